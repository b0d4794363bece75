// A Tokenhouse server for the tests of an app, in Node. `testing.d.ts` documents it.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** @import { Announcement, ServerOptions, TestServer } from "./testing.js" */

// In milliseconds.
const START_TIMEOUT = 10_000;
const STOP_TIMEOUT = 5_000;
const RESPONSE_TIMEOUT = 15_000;
// The bytes of the log that an error shows.
const TAIL = 16 * 1024;

/** @param {ServerOptions} [options] @returns {Promise<TestServer>} */
export async function startTokenhouse(options = {}) {
  const program = options.binary ?? process.env["TEST_TOKENHOUSE_BINARY"] ?? "tokenhouse";
  const log = createLog();
  // The server ends when this process closes its standard input, or ends in any way.
  const child = spawn(program, ["dev", ...argumentsFor(options)], {
    stdio: ["pipe", "pipe", log.file],
  });
  const { stdin, stdout } = child;
  const ended = new Promise((resolve) => {
    child.once("close", resolve);
    child.once("error", resolve);
  });
  const stop = async () => {
    stdin?.destroy();
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT);
    await ended;
    clearTimeout(timer);
  };
  try {
    const announcement = JSON.parse(await firstLine(child));
    // A test run that forgets `stop` can end.
    for (const part of [child, stdin, stdout]) /** @type {any} */ (part).unref();
    const server = connectTokenhouse(announcement);
    /** @type {Promise<void> | undefined} */
    let stopped;
    const stopOnce = () => (stopped ??= stop().then(log.close));
    return { ...server, log: log.tail, stop: stopOnce };
  } catch (error) {
    await stop();
    const text = log.tail();
    log.close();
    throw new Error(
      `${program} dev did not start: ${/** @type {Error} */ (error).message}\n${text}`,
    );
  }
}

/** @param {Announcement} announcement @param {{ domain?: string }} [options] @returns {TestServer} */
export function connectTokenhouse(announcement, { domain } = {}) {
  const { url, control_key: key } = announcement;

  /** @type {TestServer["control"]} */
  const control = async (method, path, body) => {
    const headers = { authorization: `Bearer ${key}` };
    // Not the global fetch, which newer versions of Node send through a proxy of the environment.
    const request = http.request(new URL(path, url), { method, headers, agent: new http.Agent() });
    request.setTimeout(RESPONSE_TIMEOUT, () => request.destroy(new Error("no response")));
    request.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = await once(request, "response");
    const text = Buffer.concat(await response.toArray()).toString();
    if (response.statusCode >= 300)
      throw new Error(`${method} ${path}: ${response.statusCode} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  };

  /** @param {object} [change] */
  const clock = async (change) => {
    const answer = await control(change ? "POST" : "GET", "/_dev/clock", change);
    return new Date(answer.now);
  };

  /** @param {Record<string, string | number | undefined>} wanted */
  const mails = (wanted) => control("GET", `/_dev/mail${query(wanted)}`);

  /** @type {TestServer["mailbox"]} */
  const mailbox = {
    mark: async () => (await mails({ to: "" })).latest,
    mails: async (wanted = {}) => (await mails(wanted)).mails,
    waitFor: async (to, { purpose, after, timeout = 5 } = {}) => {
      const wait = Math.min(timeout, RESPONSE_TIMEOUT / 1_000 - 1);
      const { mails: found } = await mails({ to, purpose, after, wait });
      if (found.length > 0) return found.at(-1);
      const all = (await mails({})).mails.map(
        (/** @type {import("./testing.js").Mail} */ mail) => `${mail.purpose} to ${mail.to}`,
      );
      const arrived = all.join(", ") || "none";
      throw new Error(`no ${purpose ?? ""} mail to ${to} in ${wait} s; arrived: ${arrived}`);
    },
    clear: (to) => control("DELETE", `/_dev/mail${query({ to })}`),
  };

  /** @type {TestServer["signIn"]} */
  const signIn = async (user, { scope, amr } = {}) => {
    const email = typeof user === "string" ? user : user.email;
    return (await control("POST", "/_dev/sign-in", { email, scope, amr })).access_token;
  };

  const stop = async () => {};
  return {
    announcement,
    url,
    staticKey: announcement.static_key,
    control,
    user: (fields = {}) => {
      const email = `user-${randomBytes(6).toString("hex")}@${domain ?? "example.com"}`;
      return control("POST", "/_dev/users", { email, ...fields });
    },
    signIn,
    headers: async (user, options) => ({ authorization: `Bearer ${await signIn(user, options)}` }),
    clock: {
      now: () => clock(),
      advance: (seconds) => clock({ advance: seconds }),
      set: (time, { ticking = false } = {}) => clock({ set: time.toISOString(), ticking }),
    },
    mailbox,
    reset: () => control("POST", "/_dev/reset", domain === undefined ? {} : { domain }),
    failDatabase: (milliseconds) =>
      control("POST", "/_dev/fault", { database: "down", for_ms: milliseconds }),
    log: () => "",
    stop,
  };
}

/** @type {typeof import("./testing.js").fixtures} */
export function fixtures(options = {}) {
  return {
    tokenhouseServer: [
      // Both test runners read the names of other fixtures from the braces.
      async ({}, use) => {
        const server = await startTokenhouse(options);
        try {
          await use(server);
        } finally {
          await server.stop();
        }
      },
      { scope: "worker" },
    ],
    // A test that fails leaves what it has changed, but the next one does not see it.
    tokenhouse: async ({ tokenhouseServer }, use) => {
      await tokenhouseServer.reset();
      await use(tokenhouseServer);
    },
  };
}

/** @param {Record<string, string | number | undefined>} parameters */
function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}

/** @param {ServerOptions} options */
function argumentsFor({ seed, clock, settings = {}, shared = false }) {
  const given = Object.entries(settings).flatMap(([name, value]) => ["--set", `${name}=${value}`]);
  if (seed !== undefined) given.push("--seed", seed);
  if (clock !== undefined) given.push("--clock", clock.toISOString());
  if (shared) given.push("--shared");
  return given;
}

/** What the server announces. @param {import("node:child_process").ChildProcess} child
 * @returns {Promise<string>} */
function firstLine(child) {
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error("it took too long")), START_TIMEOUT);
    child.stdout?.on("data", (part) => {
      text += part;
      if (text.includes("\n")) done(() => resolve(text));
    });
    child.once("error", (error) => done(() => reject(error)));
    child.once("close", (status) =>
      done(() => reject(new Error(`it exited with status ${status}`))),
    );
    /** @param {() => void} settle */
    function done(settle) {
      clearTimeout(timer);
      settle();
    }
  });
}

/** A file for the standard error of the server, which would block on a pipe that nobody reads. It has
 * no name, so that it needs no removal. */
function createLog() {
  const folder = mkdtempSync(join(tmpdir(), "tokenhouse-log-"));
  const file = openSync(join(folder, "log"), "a+", 0o600);
  rmSync(folder, { recursive: true });
  return {
    file,
    tail: () => {
      const { size } = fstatSync(file);
      const start = Math.max(0, size - TAIL);
      const bytes = Buffer.alloc(size - start);
      readSync(file, bytes, 0, bytes.length, start);
      return bytes.toString();
    },
    close: () => closeSync(file),
  };
}
