// The npm package oauth4webapi, used as its documentation shows.

import * as oauth from 'oauth4webapi'
import { job, run } from './job.mjs'

// For http in place of https: this is loopback.
const options = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(job.base)
const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options })
const as = await oauth.processDiscoveryResponse(issuer, found)
const client = { client_id: job.clientId }

/** A way of client authentication: the app's key as a bearer token. */
function bearer(_as, _client, _body, headers) {
  headers.set('authorization', `Bearer ${job.key}`)
}

async function introspect(authentication) {
  const answer = await oauth.introspectionRequest(as, client, authentication, job.token, options)
  return oauth.processIntrospectionResponse(as, client, answer)
}

await run({
  async signIn() {
    const parameters = new URLSearchParams(job.parameters)
    const answer = await oauth.genericTokenEndpointRequest(
      as,
      client,
      oauth.None(),
      'password',
      parameters,
      options,
    )
    return oauth.processGenericTokenEndpointResponse(as, client, answer)
  },

  async readMe() {
    const url = new URL('/users/me', issuer)
    const answer = await oauth.protectedResourceRequest(
      job.token,
      'GET',
      url,
      undefined,
      undefined,
      options,
    )
    return answer.json()
  },

  async revoke() {
    const answer = await oauth.revocationRequest(as, client, oauth.None(), job.token, options)
    await oauth.processRevocationResponse(answer)
  },

  introspect: () => introspect(oauth.ClientSecretBasic(job.secret)),

  introspectWithKey: () => introspect(bearer),
})
