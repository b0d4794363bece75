// Tokenhouse for the tests of the client: one server for each file, reset before each test.

import { after } from "node:test";
import { startTokenhouse } from "../../testing.js";

const ACCESS_LIFETIME = 900; // seconds

/** @type {Promise<import("../../testing.js").TestServer> | undefined} */
let shared;

after(async () => (await shared)?.stop());

/** Returns a server with a user, Ada. */
export async function startServer() {
  shared ??= startTokenhouse({ settings: { TOKENHOUSE_PROFILE: "standard" } });
  const server = await shared;
  await server.reset();
  const ada = await server.user({ email: "ada@example.com" });
  return {
    url: server.url,
    ada: { username: ada.email, password: ada.password },
    /** Ends all access tokens, but no session. */
    expire: () => server.clock.advance(ACCESS_LIFETIME + 1),
    endSessions: async () => {
      const headers = await server.headers(ada);
      await fetch(`${server.url}/users/me/sessions`, { method: "DELETE", headers });
    },
  };
}
