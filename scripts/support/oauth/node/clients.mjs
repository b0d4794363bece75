// Runs one operation of an OAuth2 library for Node, used as its documentation shows:
//   node clients.mjs LIBRARY <job.json
// Reads the job from standard input, and writes the result or the refusal as JSON.

import { readFileSync } from 'node:fs'
import process from 'node:process'

import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'

const job = JSON.parse(readFileSync(0, 'utf8'))

// Client authentication by an API key as a bearer token.
function bearer(_as, _client, _body, headers) {
  headers.set('authorization', `Bearer ${job.key}`)
}

// The operations of oauth4webapi.
async function oauth4webapi() {
  // http instead of https, on the loopback interface.
  const options = { [oauth.allowInsecureRequests]: true }
  const issuer = new URL(job.base)
  const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options })
  const as = await oauth.processDiscoveryResponse(issuer, discovered)
  const client = { client_id: job.clientId }

  async function introspect(authentication) {
    const response = await oauth.introspectionRequest(as, client, authentication, job.token, options)
    return oauth.processIntrospectionResponse(as, client, response)
  }

  return {
    async signIn() {
      const parameters = new URLSearchParams(job.parameters)
      const response = await oauth.genericTokenEndpointRequest(
        as,
        client,
        oauth.None(),
        'password',
        parameters,
        options,
      )
      return oauth.processGenericTokenEndpointResponse(as, client, response)
    },

    async readMe() {
      const url = new URL('/users/me', issuer)
      const response = await oauth.protectedResourceRequest(
        job.token,
        'GET',
        url,
        undefined,
        undefined,
        options,
      )
      return response.json()
    },

    async revoke() {
      const response = await oauth.revocationRequest(as, client, oauth.None(), job.token, options)
      await oauth.processRevocationResponse(response)
    },

    introspect: () => introspect(oauth.ClientSecretBasic(job.secret)),

    introspectWithKey: () => introspect(bearer),
  }
}

// The operations of openid-client.
async function openidClient() {
  function configuration(authentication) {
    return openid.discovery(new URL(job.base), job.clientId, undefined, authentication, {
      algorithm: 'oauth2',
      // http instead of https, on the loopback interface.
      execute: [openid.allowInsecureRequests],
    })
  }

  return {
    async signIn() {
      const config = await configuration(openid.None())
      return openid.genericGrantRequest(config, 'password', job.parameters)
    },

    async readMe() {
      const config = await configuration(openid.None())
      const url = new URL('/users/me', job.base)
      const response = await openid.fetchProtectedResource(config, job.token, url, 'GET')
      return response.json()
    },

    async revoke() {
      await openid.tokenRevocation(await configuration(openid.None()), job.token)
    },

    async introspect() {
      const config = await configuration(openid.ClientSecretBasic(job.secret))
      return openid.tokenIntrospection(config, job.token)
    },

    async introspectWithKey() {
      return openid.tokenIntrospection(await configuration(bearer), job.token)
    },
  }
}

// The status and error code of a response that the library reports as an error.
function refusal(error) {
  switch (error.code) {
    case 'OAUTH_WWW_AUTHENTICATE_CHALLENGE':
      return { status: error.status, error: error.cause[0].parameters.error }
    case 'OAUTH_RESPONSE_BODY_ERROR':
      return { status: error.status, error: error.error }
    default:
      throw error
  }
}

const libraries = { oauth4webapi, 'openid-client': openidClient }
let outcome
try {
  const operations = await libraries[process.argv[2]]()
  outcome = { result: await operations[job.operation]() }
} catch (error) {
  outcome = { refused: refusal(error) }
}
process.stdout.write(JSON.stringify(outcome))
