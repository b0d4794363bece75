// The client against the real server, through a proxy that can fail.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient, memory, TokenhouseError } from "../tokenhouse.js";
import { startGateway } from "./support/gateway.js";
import { startServer } from "./support/server.js";

const ME = "/users/me";

/** A signed-in client, and the names of the events since. */
async function signedIn(t, { server, ...options } = {}) {
  server ??= await startServer();
  const gateway = await startGateway(t, server.url);
  const user = server.ada;
  const client = createClient({ url: gateway.url, ...options });
  t.after(() => client.close());
  await client.signIn(user);
  gateway.count("/token");
  return { server, gateway, client, user, events: recorded(client) };
}

function recorded(client) {
  const events = [];
  client.on("signed-in", () => events.push("signed-in"));
  client.on("refreshed", () => events.push("refreshed"));
  client.on("signed-out", ({ reason }) => events.push(`signed-out: ${reason}`));
  return events;
}

const isOutage = (status) => (error) =>
  error instanceof TokenhouseError && error.status === status && error.isOutage;

test("signs in and sends the token", async (t) => {
  const { client, user, gateway } = await signedIn(t);
  const response = await client.fetch(ME);
  assert.equal((await response.json()).email, user.username);
  assert.equal((await client.call("GET /users/me")).email, user.username);
  assert.equal((await client.fetch(new Request(`${gateway.url}${ME}`))).status, 200);
});

test("a wrong password is an error, and no sign-out", async (t) => {
  const { client, user, events } = await signedIn(t);
  const wrong = { ...user, password: "wrong" };
  await assert.rejects(client.signIn(wrong), { name: "TokenhouseError", code: "invalid_grant" });
  assert.equal((await client.fetch(ME)).status, 200);
  assert.deepEqual(events, []);
});

test("sends the token to known origins only", async (t) => {
  const { client, server } = await signedIn(t);
  await assert.rejects(client.fetch(`${server.url}${ME}`), { name: "TypeError" });
  const known = await signedIn(t, { server, origins: [server.url] });
  assert.equal((await known.client.fetch(`${server.url}${ME}`)).status, 200);
});

test("after a 401 it refreshes once for all requests and repeats them with their bodies", async (t) => {
  const { client, server, gateway, events } = await signedIn(t);
  await server.expire();
  const change = { method: "PATCH", body: JSON.stringify({ website: "https://example.com/new" }) };
  const headers = { "content-type": "application/json" };
  const requests = Array.from({ length: 10 }, () => client.fetch(ME, { ...change, headers }));
  for (const response of await Promise.all(requests)) assert.equal(response.status, 200);
  assert.equal(gateway.count("/token"), 1);
  assert.deepEqual(events, ["refreshed"]);
});

test("a 401 that a new token does not change is the response", async (t) => {
  const { client, gateway, events } = await signedIn(t);
  for (let i = 0; i < 2; i++) gateway.answer(ME, 401, {}, "no");
  const response = await client.fetch(ME);
  assert.equal(response.status, 401);
  assert.equal(await response.text(), "no");
  assert.equal(gateway.count("/token"), 1);
  assert.deepEqual(events, ["refreshed"]);
});

test("two tabs refresh at the same time, and both stay signed in", async (t) => {
  const storage = memory();
  const first = await signedIn(t, { storage });
  const second = createClient({ url: first.gateway.url, storage });
  t.after(() => second.close());
  await first.server.expire();
  const responses = await Promise.all([first.client.fetch(ME), second.fetch(ME)]);
  assert.deepEqual(
    responses.map(({ status }) => status),
    [200, 200],
  );
  assert.equal(await first.client.token(), await second.token());
});

test("a lost response to a refresh is asked for again", async (t) => {
  const { client, server, gateway, events } = await signedIn(t);
  await server.expire();
  gateway.lose("/token");
  await assert.rejects(client.fetch(ME), { name: "TypeError" });
  assert.equal((await client.fetch(ME)).status, 200);
  assert.deepEqual(events, ["refreshed"]);
});

for (const [name, fail, expected] of [
  ["429", (gateway) => gateway.answer("/token", 429, { "retry-after": "0" }, "{}"), isOutage(429)],
  ["503", (gateway) => gateway.answer("/token", 503, { "retry-after": "0" }, "{}"), isOutage(503)],
  [
    "502 with a page",
    (gateway) => gateway.answer("/token", 502, {}, "<h1>Bad Gateway"),
    isOutage(502),
  ],
  ["a cut connection", (gateway) => gateway.cut("/token"), { name: "TypeError" }],
  [
    "a captive portal",
    (gateway) => gateway.answer("/token", 200, {}, "<h1>Welcome"),
    { status: 200 },
  ],
  [
    "400 for another reason",
    (gateway) => gateway.answer("/token", 400, {}, '{"error":"invalid_scope"}'),
    { status: 400 },
  ],
  [
    "503 with a misleading body",
    (gateway) => gateway.answer("/token", 503, {}, '{"error":"invalid_grant"}'),
    isOutage(503),
  ],
  [
    "401",
    (gateway) => gateway.answer("/token", 401, {}, '{"error":"invalid_client"}'),
    { status: 401 },
  ],
]) {
  test(`${name} at a refresh is no sign-out`, async (t) => {
    const { client, server, gateway, events } = await signedIn(t);
    await server.expire();
    fail(gateway);
    await assert.rejects(client.fetch(ME), expected);
    assert.deepEqual(events, []);
    assert.equal((await client.fetch(ME)).status, 200);
    assert.deepEqual(events, ["refreshed"]);
  });
}

test("no refresh is tried before Retry-After", async (t) => {
  const { client, server, gateway, events } = await signedIn(t);
  await server.expire();
  gateway.answer("/token", 503, { "retry-after": "1" }, "{}");
  const failed = performance.now();
  for (let i = 0; i < 3; i++) await assert.rejects(client.fetch(ME), isOutage(503));
  assert.equal(gateway.count("/token"), 1);
  while (performance.now() < failed + 1_100) await new Promise((done) => setTimeout(done, 50));
  assert.equal((await client.fetch(ME)).status, 200);
  assert.deepEqual(events, ["refreshed"]);
});

test("an ended session signs out, once", async (t) => {
  const { client, server, events } = await signedIn(t);
  await server.endSessions();
  const requests = Array.from({ length: 5 }, () => client.fetch(ME));
  for (const response of await Promise.all(requests)) assert.equal(response.status, 401);
  assert.deepEqual(events, ["signed-out: invalid_grant"]);
  assert.equal(await client.token(), null);
});

test("the late refusal of an old token does not remove the tokens of another tab", async (t) => {
  const storage = memory();
  const { client, server, gateway, user, events } = await signedIn(t, { storage });
  await server.endSessions();
  const release = gateway.hold("/token");
  const late = client.fetch(ME);
  while (gateway.count("/token") === 0) await new Promise((done) => setTimeout(done, 5));
  const other = createClient({ url: server.url, storage });
  t.after(() => other.close());
  await other.signIn(user);
  release();
  assert.equal((await late).status, 200);
  assert.deepEqual(events, []);
});

test("a sign-out ends the session on the server, even while a refresh is under way", async (t) => {
  const storage = memory();
  const { client, server, gateway, events } = await signedIn(t, { storage });
  const { refresh_token } = storage.read();
  await server.expire();
  const release = gateway.hold("/token");
  const late = client.fetch(ME);
  while (gateway.count("/token") === 0) await new Promise((done) => setTimeout(done, 5));
  await client.signOut();
  release();
  assert.equal((await late).status, 401);
  assert.equal(storage.read(), null);
  assert.deepEqual(events, ["signed-out: signed-out"]);
  const body = new URLSearchParams({ grant_type: "refresh_token", refresh_token });
  const response = await fetch(`${server.url}/token`, { method: "POST", body });
  assert.equal((await response.json()).error, "invalid_grant");
});

test("a sign-out that the server does not hear is reported", async (t) => {
  const { client, gateway, events } = await signedIn(t);
  gateway.cut("/revoke");
  await assert.rejects(client.signOut(), { name: "TypeError" });
  assert.deepEqual(events, ["signed-out: signed-out"]);
  assert.equal(await client.token(), null);
});

test("sessions are listed, renamed and ended", async (t) => {
  const { client, server, user, events } = await signedIn(t, { device: { name: "Ada's laptop" } });
  const phone = await signedIn(t, { server, device: { id: "7f3c", name: "Ada's phone" } });
  const names = async () => (await client.sessions.list()).map(({ name }) => name).sort();
  assert.deepEqual(await names(), ["Ada's laptop", "Ada's phone"]);
  const [current] = (await client.sessions.list()).filter((session) => session.current);
  assert.equal((await client.sessions.rename(current.id, "Laptop")).name, "Laptop");
  // The same device again.
  await phone.client.signIn(user);
  assert.deepEqual(await names(), ["Ada's phone", "Laptop"]);
  await client.sessions.endOthers();
  assert.deepEqual(await names(), ["Laptop"]);
  assert.equal((await phone.client.fetch(ME)).status, 401);
  assert.deepEqual(phone.events, ["signed-in", "signed-out: invalid_grant"]);
  await client.sessions.end(current.id);
  assert.equal((await client.fetch(ME)).status, 401);
  assert.deepEqual(events, ["signed-out: invalid_grant"]);
});

test("a sign-out everywhere ends the other sessions too", async (t) => {
  const one = await signedIn(t);
  const two = await signedIn(t, { server: one.server });
  await one.client.signOut({ everywhere: true });
  assert.deepEqual(one.events, ["signed-out: signed-out"]);
  assert.equal((await two.client.fetch(ME)).status, 401);
});

test("without refresh tokens a session ends with its access token", async (t) => {
  const { client, server, gateway, events } = await signedIn(t, { offline: false });
  await server.expire();
  assert.equal((await client.fetch(ME)).status, 200);
  await server.endSessions();
  assert.equal((await client.fetch(ME)).status, 401);
  assert.equal(gateway.count("/token"), 0);
  assert.deepEqual(events, ["signed-out: invalid_token"]);
});

test("a listener can call the client", async (t) => {
  const { client, server } = await signedIn(t);
  const token = new Promise((resolve) => client.on("refreshed", () => resolve(client.token())));
  await server.expire();
  await client.fetch(ME);
  assert.equal(await token, await client.token());
});
