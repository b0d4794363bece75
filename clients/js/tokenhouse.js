// The client. `tokenhouse.d.ts` documents what it exports; `tsc` checks that both agree.

/** @import { Client, ClientOptions, Tokens } from "./tokenhouse.js" */

import { memory } from "./storage.js";

export { memory, webStorage } from "./storage.js";

// Times are in milliseconds.

// setTimeout takes a signed 32-bit number, and fires at once above it.
const LONGEST_TIMER = 2 ** 31 - 1;
// The part of its lifetime after which an access token is renewed.
const RENEWED_AFTER = 0.8;
// Between a failed refresh and the next by the timer, and the least between two by the timer.
const PAUSE = 5_000;
// A wrong `Retry-After` must not stop the client for longer.
const LONGEST_PAUSE = 300_000;
// For a response of Tokenhouse, whose own limits are shorter.
const TIMEOUT = 15_000;

export class TokenhouseError extends Error {
  /** @param {Response} response @param {any} body */
  constructor(response, body) {
    const detail = typeof body?.detail === "string" ? body.detail : undefined;
    super(body?.error_description ?? detail ?? `unexpected response (status ${response.status})`);
    this.name = "TokenhouseError";
    this.status = response.status;
    /** @type {string | undefined} */
    this.code = body?.error;
    this.body = body;
    // A date would need a comparison with the clock of the device, which may be wrong.
    const seconds = /^\d+$/.exec(response.headers.get("retry-after") ?? "");
    /** @type {number | undefined} */
    this.retryAfter = seconds ? Number(seconds[0]) : undefined;
  }

  get isOutage() {
    return this.status === 429 || this.status >= 500;
  }
}

/** @param {ClientOptions} options @returns {Client} */
export function createClient(options) {
  const { storage = memory(), device, offline = true } = options;
  let { background = true } = options;
  const send = options.fetch ?? ((request) => fetch(request));
  const base = options.url.replace(/\/+$/, "");
  const page = /^https?:/.test(globalThis.location?.href) ? location.href : base;
  const origins = new Set([base, page, ...(options.origins ?? [])].map(originOf));

  /** @type {Map<string, Set<(detail: any) => void>>} */
  const listeners = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** The refresh under way, which all callers share. @type {Promise<Tokens | null> | null} */
  let refreshing = null;
  /** The last refresh, if it failed, and the time before which none is due.
   * @type {{ error: unknown, until: number } | null} */
  let failure = null;

  /** Calls the listeners later, so that they can use the client, and cannot break what is under way.
   * @param {string} event @param {object} [detail] */
  function emit(event, detail = {}) {
    for (const listener of listeners.get(event) ?? []) queueMicrotask(() => listener(detail));
  }

  /** @param {Tokens | null} tokens */
  async function store(tokens) {
    await storage.write(tokens);
    arm(tokens);
  }

  /** @param {string} reason @param {string} [description] */
  async function end(reason, description) {
    await store(null);
    emit("signed-out", { reason, description });
  }

  /** Sends a form without a token. @param {string} path @param {Record<string, string | undefined>} fields */
  async function post(path, fields) {
    const body = new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) if (value) body.set(name, value);
    // A redirect would send the password elsewhere.
    const init = { method: "POST", body, ...limited(), redirect: /** @type {const} */ ("error") };
    return answerTo(await send(new Request(base + path, init)));
  }

  /** @param {Record<string, string | undefined>} fields @returns {Promise<Tokens>} */
  async function grant(fields) {
    const [answer, response] = await post("/token", fields);
    // The page of a captive portal has status 200 too.
    if (typeof answer?.access_token !== "string") throw new TokenhouseError(response, answer);
    const { access_token, refresh_token, scope, session_id, expires_in } = answer;
    const times = { received_at: Date.now(), lifetime: expires_in * 1000 };
    return { access_token, refresh_token, scope, session_id, ...times };
  }

  function refresh() {
    refreshing ??= rotate().finally(() => {
      refreshing = null;
    });
    return refreshing;
  }

  /** Exchanges the refresh token, and returns the tokens to use, or null if the session has ended.
   * Tabs need no lock: Tokenhouse answers the same refresh token with the same tokens. */
  async function rotate() {
    const before = await storage.read();
    if (!before?.refresh_token) return null;
    const { refresh_token } = before;
    /** @type {Tokens | null} */
    let renewed = null;
    /** @type {unknown} */
    let error;
    try {
      renewed = await grant({ grant_type: "refresh_token", refresh_token });
    } catch (caught) {
      error = caught;
    }
    const stored = await storage.read();
    // The user has signed out or in meanwhile, or another tab was faster: this response is outdated.
    if (stored?.refresh_token !== refresh_token) return stored;
    if (renewed) {
      failure = null;
      await store(renewed);
      emit("refreshed");
      return renewed;
    }
    const refusal = error instanceof TokenhouseError ? error : undefined;
    if (refusal?.status === 400 && refusal.code === "invalid_grant") {
      await end("invalid_grant", refusal.message);
      return null;
    }
    const pause = Math.min((refusal?.retryAfter ?? 0) * 1000 || PAUSE, LONGEST_PAUSE);
    failure = { error, until: performance.now() + pause };
    arm(before);
    throw error;
  }

  /** The rest of the pause after a failed refresh. */
  function pause() {
    return failure ? Math.max(0, failure.until - performance.now()) : 0;
  }

  /** Returns the tokens for a request, renewed if they are due. Never fails: whether a token is valid
   * is up to the server, as the clock of the device may be wrong. */
  async function current() {
    const stored = await storage.read();
    if (!stored?.refresh_token || dueIn(stored) > 0 || pause() > 0) return stored;
    return refresh().catch(() => stored);
  }

  /** Returns the tokens to use instead of rejected ones, or null.
   * @param {Tokens} rejected @param {Response} response */
  async function replacement(rejected, response) {
    const stored = await storage.read();
    if (stored?.access_token !== rejected.access_token) return stored;
    if (stored.refresh_token) {
      const refusal = failure?.error;
      if (pause() > 0 && refusal instanceof TokenhouseError && refusal.retryAfter) throw refusal;
      return refresh();
    }
    const challenge = response.headers.get("www-authenticate") ?? "";
    if (challenge.includes('error="invalid_token"')) await end("invalid_token");
    return null;
  }

  /** Sets the timer for the next refresh. @param {Tokens | null} tokens */
  function arm(tokens) {
    clearTimeout(timer);
    if (!background || !tokens?.refresh_token) return;
    const delay = Math.max(dueIn(tokens), pause(), PAUSE);
    timer = setTimeout(() => void tick().catch(() => {}), Math.min(delay, LONGEST_TIMER));
    // A program in Node can end meanwhile.
    /** @type {any} */ (timer).unref?.();
  }

  async function tick() {
    const stored = await storage.read();
    if (!stored?.refresh_token || dueIn(stored) > 0) arm(stored);
    else await refresh();
  }

  /** @type {Client["fetch"]} */
  async function fetchWithToken(input, init) {
    const request = new Request(input instanceof Request ? input : new URL(input, page), init);
    const origin = originOf(request.url);
    if (!origins.has(origin)) throw new TypeError(`${origin} is not among the client's origins`);
    const tokens = await current();
    if (!tokens) return send(request);
    // The original is for the second attempt, since a body can be sent only once.
    const response = await send(authorized(request.clone(), tokens));
    const renewed = response.status === 401 ? await replacement(tokens, response) : null;
    if (!renewed) return response;
    await response.body?.cancel();
    return send(authorized(request, renewed));
  }

  /** @param {string} route @param {any} [input] @returns {Promise<any>} */
  async function call(route, input = {}) {
    const [method = "", template = ""] = route.split(" ");
    const path = template.replace(/{(\w+)}/g, (_, name) => encodeURIComponent(input.path[name]));
    const query = `${parameters(input.query)}`;
    /** @type {RequestInit} */
    const init = { method, ...limited(), headers: { ...input.headers } };
    if (input.form) init.body = parameters(input.form);
    if (input.body) {
      init.body = JSON.stringify(input.body);
      init.headers = { ...input.headers, "content-type": "application/json" };
    }
    const response = await fetchWithToken(base + path + (query && `?${query}`), init);
    return (await answerTo(response))[0];
  }

  /** @type {Client["signIn"]} */
  async function signIn({ username, password, scope = "" }) {
    const scopes = offline ? `${scope} offline_access`.trim() : scope;
    const tokens = await grant({
      grant_type: "password",
      username,
      password,
      scope: scopes,
      device_id: device?.id,
      device_name: device?.name,
    });
    failure = null;
    await store(tokens);
    emit("signed-in");
    return { kind: "signed-in", scope: tokens.scope };
  }

  /** @type {Client["signOut"]} */
  async function signOut({ everywhere = false } = {}) {
    if (everywhere) await call("POST /logout", { query: { all: true } });
    const tokens = await storage.read();
    if (!tokens) return;
    await end("signed-out");
    if (!everywhere) await post("/revoke", { token: tokens.refresh_token ?? tokens.access_token });
  }

  const unsubscribe = storage.subscribe?.((before, after) => {
    arm(after);
    if (before && !after) emit("signed-out", { reason: "elsewhere" });
    if (!before && after) emit("signed-in");
  });
  // A storage that fails now will fail at the first request, where the app can handle it.
  void Promise.resolve(storage.read()).then(arm, () => {});

  return {
    fetch: fetchWithToken,
    call,
    signIn,
    signOut,
    token: async () => (await current())?.access_token ?? null,
    sessions: {
      list: async () => (await call("GET /users/me/sessions")).sessions,
      rename: (id, name) => call("PATCH /users/me/sessions/{id}", { path: { id }, body: { name } }),
      end: (id) => call("DELETE /users/me/sessions/{id}", { path: { id } }),
      endOthers: () => call("DELETE /users/me/sessions", { query: { keep: "current" } }),
    },
    on: (event, listener) => {
      const added = listeners.get(event) ?? new Set();
      listeners.set(event, added.add(listener));
      return () => void added.delete(listener);
    },
    close: () => {
      background = false;
      clearTimeout(timer);
      unsubscribe?.();
    },
  };
}

/** The time until the tokens are to be renewed, counted from their receipt by the clock of the device.
 * If the clock is changed meanwhile, this is wrong once, and a 401 corrects it. @param {Tokens} tokens */
function dueIn({ received_at, lifetime }) {
  const left = received_at + lifetime * RENEWED_AFTER - Date.now();
  // A server may leave out the lifetime.
  return Number.isNaN(left) ? LONGEST_TIMER : left;
}

/** @param {Request} request @param {Tokens} tokens */
function authorized(request, tokens) {
  request.headers.set("authorization", `Bearer ${tokens.access_token}`);
  return request;
}

/** Returns the JSON of a response, undefined without. Throws what is no success.
 * @param {Response} response @returns {Promise<[any, Response]>} */
async function answerTo(response) {
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    // No content, or the page of a proxy.
  }
  if (!response.ok) throw new TokenhouseError(response, body);
  return [body, response];
}

/** @param {Record<string, unknown>} [values] */
function parameters(values = {}) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
}

const limited = () => ({ signal: AbortSignal.timeout(TIMEOUT) });

/** @param {string} url */
const originOf = (url) => new URL(url).origin;
