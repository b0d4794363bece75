// A reverse proxy in front of Tokenhouse, for what networks do to clients: it counts the requests to a
// path, and answers the next of them with an error or not at all.

import http from "node:http";
import { once } from "node:events";

/** Starts a proxy of `upstream`, which ends with the test. */
export async function startGateway(t, upstream) {
  const counts = new Map();
  const changes = new Map();
  const faults = [];
  const server = http.createServer((request, response) => {
    const path = new URL(request.url, upstream).pathname;
    counts.set(path, (counts.get(path) ?? 0) + 1);
    const fault = faults[0]?.path === path ? faults.shift() : undefined;
    if (fault?.before) return fault.before(request, response);
    const { method, headers } = request;
    const forwarded = http.request(new URL(request.url, upstream), { method, headers, agent });
    forwarded.on("error", () => response.destroy());
    forwarded.on("response", (answer) => {
      if (fault?.after) return fault.after(answer, response);
      void forward(answer, response, changes.get(path));
    });
    request.pipe(forwarded);
  });
  // The timers of a test may be fake, and connections that are kept alive depend on them.
  const agent = new http.Agent({ keepAlive: false });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** The number of requests to this path since the last call. */
    count(path) {
      const count = counts.get(path) ?? 0;
      counts.delete(path);
      return count;
    },
    /** Replaces members of the JSON of all responses to the path. */
    change: (path, members) => changes.set(path, members),
    /** Answers the next request to the path itself. */
    answer: (path, status, headers, body = "") =>
      faults.push({ path, before: (_, response) => response.writeHead(status, headers).end(body) }),
    /** Cuts the connection of the next request to the path. */
    cut: (path) => faults.push({ path, before: (request) => request.socket.destroy() }),
    /** Forwards the next request to the path, and loses the response. */
    lose: (path) => faults.push({ path, after: (_, response) => response.destroy() }),
    /** Holds the response to the next request to the path until the returned function is called. */
    hold(path) {
      let release;
      const released = new Promise((resolve) => (release = resolve));
      const after = async (answer, response) => {
        await released;
        await forward(answer, response);
      };
      faults.push({ path, after });
      return release;
    },
  };
}

/** Forwards a response, with these members of its JSON changed. */
async function forward(answer, response, changes) {
  let body = Buffer.concat(await answer.toArray());
  if (changes) body = Buffer.from(JSON.stringify({ ...JSON.parse(body), ...changes }));
  response.writeHead(answer.statusCode, { ...answer.headers, "content-length": body.length });
  response.end(body);
}
