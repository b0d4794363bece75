// Long lifetimes, and devices whose clock is wrong.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { before, mock, test } from "node:test";
import { createClient, memory } from "../tokenhouse.js";
import { startGateway } from "./support/gateway.js";
import { startServer } from "./support/server.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const ME = "/users/me";

// The start of the server uses real timers.
before(startServer);

async function signedIn(t, { answers } = {}) {
  const server = await startServer();
  const gateway = await startGateway(t, server.url);
  if (answers) gateway.change("/token", answers);
  const storage = memory();
  const client = createClient({ url: gateway.url, storage, fetch: sent });
  t.after(() => client.close());
  await client.signIn(server.ada);
  assert.equal(gateway.count("/token"), 1);
  const events = [];
  client.on("signed-out", ({ reason }) => events.push(reason));
  return { server, gateway, storage, client, events };
}

const realTimeout = setTimeout;

/** Gives a request that should not be there the time to arrive. */
const settle = () => new Promise((done) => realTimeout(done, 5));

/** Waits for other tokens than these, and fails after 5 s. */
async function replaced(storage, { access_token }) {
  for (let i = 0; i < 1_000; i++) {
    if (storage.read().access_token !== access_token) return;
    await settle();
  }
  assert.fail("the tokens were not refreshed");
}

/** Instead of the global fetch, whose own timers would be fake too. */
async function sent(request) {
  const { method, headers } = request;
  const outgoing = http.request(request.url, { method, headers: Object.fromEntries(headers) });
  outgoing.end(await request.text());
  const [response] = await once(outgoing, "response");
  const body = Buffer.concat(await response.toArray());
  return new Response(body, { status: response.statusCode });
}

function fakeTimers(t) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.now() });
  t.after(() => mock.timers.reset());
  // The fake timer lacks the overflow of the real one.
  const fake = globalThis.setTimeout;
  const overflowing = (callback, delay) => fake(callback, delay > 2 ** 31 - 1 ? 1 : delay);
  t.after(() => mock.restoreAll());
  return mock.method(globalThis, "setTimeout", overflowing).mock;
}

/** Sets the clock of the device, which moves no timer. */
function setClock(t, offset) {
  const real = Date.now;
  Date.now = () => real() + offset.value;
  t.after(() => (Date.now = real));
}

test("a lifetime beyond the range of a timer", async (t) => {
  const timers = fakeTimers(t);
  const { gateway, storage } = await signedIn(t, { answers: { expires_in: (45 * DAY) / 1000 } });
  const tokens = storage.read();
  for (let i = 0; i < 60; i++) {
    mock.timers.tick(1_000);
    await settle();
  }
  assert.equal(gateway.count("/token"), 0);
  assert.equal(timers.callCount(), 1);
  for (let day = 1; day < 36; day++) {
    mock.timers.tick(DAY);
    await settle();
  }
  assert.equal(gateway.count("/token"), 0);
  mock.timers.tick(DAY);
  await replaced(storage, tokens);
  assert.equal(gateway.count("/token"), 1);
});

test("tokens are refreshed in time without requests of the app", async (t) => {
  fakeTimers(t);
  const { gateway, storage } = await signedIn(t);
  for (let refreshes = 1; refreshes <= 3; refreshes++) {
    const tokens = storage.read();
    mock.timers.tick(11 * MINUTE);
    await settle();
    assert.equal(gateway.count("/token"), 0);
    mock.timers.tick(MINUTE);
    await replaced(storage, tokens);
    assert.equal(gateway.count("/token"), 1);
  }
});

for (const lifetime of [0, -1, undefined, null]) {
  test(`a lifetime of ${lifetime} makes no loop`, async (t) => {
    fakeTimers(t);
    const { gateway } = await signedIn(t, { answers: { expires_in: lifetime } });
    for (let i = 0; i < 60; i++) {
      mock.timers.tick(1_000);
      await settle();
    }
    assert.ok(gateway.count("/token") <= 12);
  });
}

for (const [name, before, after] of [
  ["is an hour fast", HOUR, HOUR],
  ["is an hour slow", -HOUR, -HOUR],
  ["is an hour fast and is set right", HOUR, 0],
  ["is an hour slow and is set right", -HOUR, 0],
  ["is right and is set an hour fast", 0, HOUR],
  ["is right and is set an hour slow", 0, -HOUR],
]) {
  test(`a clock that ${name}`, async (t) => {
    const offset = { value: before };
    setClock(t, offset);
    const { server, gateway, storage, client, events } = await signedIn(t);
    for (let i = 0; i < 5; i++) assert.equal((await client.fetch(ME)).status, 200);
    assert.equal(gateway.count("/token"), 0);
    offset.value = after;
    // As after a reload of the page.
    const reloaded = createClient({ url: gateway.url, storage, fetch: sent });
    t.after(() => reloaded.close());
    for (let i = 0; i < 5; i++) assert.equal((await client.fetch(ME)).status, 200);
    for (let i = 0; i < 5; i++) assert.equal((await reloaded.fetch(ME)).status, 200);
    // Set forward by more than the lifetime, the clock makes the token look expired, once.
    assert.equal(gateway.count("/token"), after > before ? 1 : 0);
    await server.expire();
    gateway.count(ME);
    assert.equal((await client.fetch(ME)).status, 200);
    assert.equal(gateway.count("/token"), 1);
    assert.equal(gateway.count(ME), 2);
    assert.deepEqual(events, []);
  });
}
