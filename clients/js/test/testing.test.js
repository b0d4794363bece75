// The helpers for tests.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { connectTokenhouse, startTokenhouse } from "../testing.js";

async function started(t, options) {
  const server = await startTokenhouse(options);
  t.after(server.stop);
  return server;
}

async function statusFor(server, headers) {
  return (await fetch(`${server.url}/users/me`, { headers })).status;
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function ended(pid) {
  for (let i = 0; i < 250 && isRunning(pid); i++) await new Promise((done) => setTimeout(done, 20));
  return !isRunning(pid);
}

test("users, tokens and the clock", async (t) => {
  const server = await started(t, { clock: new Date("2026-01-01T00:00:00Z") });
  const ada = await server.user({ email: "ada@example.com", scopes: "orders:read" });
  const headers = await server.headers(ada);
  assert.equal(await statusFor(server, headers), 200);
  assert.equal((await server.clock.now()).toISOString(), "2026-01-01T00:00:00.000Z");
  assert.equal((await server.clock.advance(25 * 3600)).toISOString(), "2026-01-02T01:00:00.000Z");
  assert.equal(await statusFor(server, headers), 401);
  await server.clock.set(new Date("2025-06-01T00:00:00Z"));
  await server.reset();
  assert.equal((await server.clock.now()).toISOString(), "2026-01-01T00:00:00.000Z");
  assert.equal(await statusFor(server, headers), 401);
  await assert.rejects(server.signIn("ada@example.com"), /404/);
});

test("methods of a sign-in", async (t) => {
  const server = await started(t);
  const headers = await server.headers(await server.user(), { amr: ["pwd", "otp"] });
  const answer = await fetch(`${server.url}/users/me/sessions`, { headers });
  assert.equal((await answer.json()).sessions[0].amr, "otp pwd");
});

test("mails by recipient and purpose", async (t) => {
  const server = await started(t);
  const [ada, bob] = [await server.user({ email: "ada+tag@example.com" }), await server.user()];
  const after = await server.mailbox.mark();
  for (const { email } of [bob, ada]) {
    const body = JSON.stringify({ email });
    const headers = { "content-type": "application/json" };
    const asked = await fetch(`${server.url}/forgot-password`, { method: "POST", headers, body });
    assert.equal(asked.status, 202);
  }
  const mail = await server.mailbox.waitFor(ada.email, { purpose: "reset-password", after });
  assert.equal(mail.to, ada.email);
  assert.ok(mail.links[0].startsWith(`${server.url}/`) && mail.text.includes(mail.links[0]));
  await server.mailbox.waitFor(bob.email, { purpose: "reset-password" });
  await server.mailbox.clear(ada.email);
  assert.equal((await server.mailbox.mails({ to: ada.email })).length, 0);
  const late = server.mailbox.waitFor(ada.email, { purpose: "reset-password", timeout: 0.1 });
  await assert.rejects(late, /arrived: .*reset-password/);
});

test("an outage of the database", async (t) => {
  const server = await started(t);
  const headers = await server.headers(await server.user());
  await server.failDatabase(60_000);
  assert.equal(await statusFor(server, headers), 503);
  await server.failDatabase(0);
  assert.equal(await statusFor(server, headers), 200);
});

test("processes that share a server reset only their own users", async (t) => {
  const shared = await started(t, { shared: true });
  const [one, two] = ["w1.example.com", "w2.example.com"].map((domain) =>
    connectTokenhouse(shared.announcement, { domain }),
  );
  const [first, second] = [
    await one.headers(await one.user()),
    await two.headers(await two.user()),
  ];
  await one.reset();
  assert.equal(await statusFor(shared, first), 401);
  assert.equal(await statusFor(shared, second), 200);
  await assert.rejects(shared.reset(), /409.*shared/);
  await assert.rejects(one.clock.advance(1), /409.*shared/);
});

test("a talkative server does not block", async (t) => {
  process.env.RUST_LOG = "debug";
  t.after(() => delete process.env.RUST_LOG);
  const server = await started(t);
  for (let i = 0; i < 1_000; i++) await server.clock.now();
  // The tail is cut.
  assert.equal(Buffer.byteLength(server.log()), 16 * 1024);
  const start = performance.now();
  await server.stop();
  assert.ok(performance.now() - start < 1_000);
});

test("a start that fails says why", async () => {
  await assert.rejects(startTokenhouse({ binary: "/no/such/program" }), /ENOENT/);
  const settings = { TOKENHOUSE_NO_SUCH: 1 };
  await assert.rejects(startTokenhouse({ settings }), /status 2[^]*TOKENHOUSE_NO_SUCH/);
});

for (const [name, ending] of [
  ["stops", "await server.stop()"],
  ["forgets to stop it", ""],
  ["is killed", "process.kill(process.pid, 'SIGKILL')"],
]) {
  test(`no server is left by a program that ${name}`, async () => {
    const program = `
      import { startTokenhouse } from ${JSON.stringify(new URL("../testing.js", import.meta.url))};
      const server = await startTokenhouse();
      console.log(server.announcement.pid);
      ${ending}`;
    // Node 24 uses the proxy for its own fetch with this variable.
    const proxy = { HTTP_PROXY: "http://127.0.0.1:9", NODE_USE_ENV_PROXY: "1" };
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      env: { ...process.env, ...proxy },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const output = child.stdout.toArray();
    await once(child, "close");
    const pid = Number(Buffer.concat(await output));
    assert.ok(pid > 0);
    assert.ok(await ended(pid));
  });
}
