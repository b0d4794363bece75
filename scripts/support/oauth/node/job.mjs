// One operation of a client: the job is read from standard input, the outcome written as JSON.

import { readFileSync } from 'node:fs'

export const job = JSON.parse(readFileSync(0, 'utf8'))

/** Runs the operation that the job names, and writes what it gives, or how it was refused. */
export async function run(operations) {
  let outcome
  try {
    outcome = { result: await operations[job.operation]() }
  } catch (error) {
    outcome = { refused: refusal(error) }
  }
  process.stdout.write(JSON.stringify(outcome))
}

/** The status and the error's code, where the library read an answer as a refusal. */
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
