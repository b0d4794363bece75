// Stands in for the sessions of Tokenhouse until the server has them.
import http from "node:http";
import { once } from "node:events";
import { randomBytes } from "node:crypto";

const draw = () => randomBytes(12).toString("base64url");

export async function startServer(t, { lifetime = 900 } = {}) {
  let live = new Set();
  let ended = false;
  const next = new Map();
  let latest;
  let sessions = 0;
  const pair = () => {
    const made = { access_token: draw(), refresh_token: "tkr_" + draw() };
    live.add(made.access_token);
    latest = made.refresh_token;
    return made;
  };
  const server = http.createServer(async (request, response) => {
    const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
    const reply = (status, body, headers = {}) =>
      response
        .writeHead(status, { "content-type": "application/json", ...headers })
        .end(JSON.stringify(body));
    const shape = { token_type: "bearer", expires_in: lifetime, scope: "", session_id: 12 };
    if (request.url === "/token") {
      if (form.get("grant_type") === "password") {
        if (form.get("password") !== PASSWORD)
          return reply(401, {
            detail: "Unauthorized",
            error: "invalid_grant",
            error_description: "Incorrect username or password",
          });
        ended = false;
        return reply(200, {
          ...shape,
          ...pair(),
          scope: (form.get("scope") ?? "").replace(/ ?offline_access/, ""),
        });
      }
      const shown = form.get("refresh_token");
      if (ended || (shown !== latest && !next.has(shown)))
        return reply(400, {
          error: "invalid_grant",
          error_description: "The session has ended",
          detail: "The session has ended",
        });
      if (!next.has(shown)) next.set(shown, pair());
      return reply(200, { ...shape, ...next.get(shown) });
    }
    if (request.url === "/revoke") {
      ended = true;
      live.clear();
      return response.writeHead(200).end();
    }
    const bearer = request.headers.authorization?.replace("Bearer ", "");
    if (!live.has(bearer))
      return reply(
        401,
        { detail: "Could not validate credentials" },
        { "www-authenticate": 'Bearer realm="tokenhouse", error="invalid_token"' },
      );
    reply(200, { email: "ada@example.com" });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => (server.close(), server.closeAllConnections()));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    user: async () => ({ username: "ada@example.com", password: PASSWORD }),
    expire: async () => live.clear(),
    endSessions: async () => {
      ended = true;
      live.clear();
    },
  };
}
const PASSWORD = "mulberry-Tram-71";
