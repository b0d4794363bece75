// An app with a page and an API, which authenticates with Tokenhouse.

import http from "node:http";
import { readFile } from "node:fs/promises";

const FILES = {
  "/": ["./page.html", "text/html"],
  "/tokenhouse.js": ["../tokenhouse.js", "text/javascript"],
  "/storage.js": ["../storage.js", "text/javascript"],
};

/** Returns the app. `tokenhouse` has the `url` of Tokenhouse, and the `key` of the app there, which
 * needs the scope `introspect`. */
export function createApp(tokenhouse) {
  return http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://app");
    if (pathname === "/orders") {
      const [status, body, headers] = await orders(request, tokenhouse);
      response.writeHead(status, { ...headers, "content-type": "application/json" });
      return response.end(JSON.stringify(body));
    }
    if (!(pathname in FILES)) return response.writeHead(404).end();
    const [file, type] = FILES[pathname];
    let text = await readFile(new URL(file, import.meta.url), "utf8");
    if (pathname === "/") text = text.replace("{{url}}", tokenhouse.url);
    response.writeHead(200, { "content-type": type }).end(text);
  });
}

async function orders(request, { url, key }) {
  const [, token] = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "") ?? [];
  if (!token) return [401, { detail: "Not authenticated" }];
  const headers = { authorization: `Bearer ${key}` };
  const body = new URLSearchParams({ token });
  const response = await fetch(`${url}/introspect`, { method: "POST", headers, body });
  if (!response.ok) return [503, { detail: "Service Unavailable" }];
  const { active, scope, username } = await response.json();
  // Tells the client that the token is invalid, and not something else.
  const challenge = { "www-authenticate": 'Bearer error="invalid_token"' };
  if (!active) return [401, { detail: "Could not validate credentials" }, challenge];
  if (!scope.split(" ").includes("orders:read")) return [403, { detail: "Not enough permissions" }];
  return [200, { orders_of: username }];
}
