// The npm package openid-client, used as its documentation shows.

import * as client from 'openid-client'
import { job, run } from './job.mjs'

/** Discovers the service, for a client that authenticates in this way. */
function configuration(authentication) {
  return client.discovery(new URL(job.base), job.clientId, undefined, authentication, {
    algorithm: 'oauth2',
    // For http in place of https: this is loopback.
    execute: [client.allowInsecureRequests],
  })
}

/** A way of client authentication: the app's key as a bearer token. */
function bearer(_as, _client, _body, headers) {
  headers.set('authorization', `Bearer ${job.key}`)
}

await run({
  async signIn() {
    const config = await configuration(client.None())
    return client.genericGrantRequest(config, 'password', job.parameters)
  },

  async readMe() {
    const config = await configuration(client.None())
    const url = new URL('/users/me', job.base)
    const answer = await client.fetchProtectedResource(config, job.token, url, 'GET')
    return answer.json()
  },

  async revoke() {
    await client.tokenRevocation(await configuration(client.None()), job.token)
  },

  async introspect() {
    const config = await configuration(client.ClientSecretBasic(job.secret))
    return client.tokenIntrospection(config, job.token)
  },

  async introspectWithKey() {
    return client.tokenIntrospection(await configuration(bearer), job.token)
  },
})
