// The timers of a browser, and the fixtures in Playwright.

import { once } from "node:events";
import http from "node:http";
import { test, expect } from "@playwright/test";
import { createApp } from "../example/app.js";
import { fixtures } from "../testing.js";

const DAY = 24 * 3600 * 1000;

test("a lifetime beyond the range of a timer", async ({ page }) => {
  let refreshes = 0;
  const server = http.createServer((request, response) => {
    if (request.url === "/token") refreshes += 1;
    response.writeHead(503, { "access-control-allow-origin": "*" }).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const app = createApp({ url: `http://127.0.0.1:${server.address().port}` }).listen(
    0,
    "127.0.0.1",
  );
  await once(app, "listening");

  await page.clock.install();
  await page.addInitScript((lifetime) => {
    const tokens = { access_token: "a", refresh_token: "r", scope: "", lifetime };
    localStorage.tokenhouse ??= JSON.stringify({ ...tokens, received_at: Date.now() });
    const set = window.setTimeout;
    window.timers = 0;
    window.setTimeout = (...given) => {
      window.timers += 1;
      return set(...given);
    };
  }, 45 * DAY);
  await page.goto(`http://127.0.0.1:${app.address().port}`);
  await page.clock.runFor(60_000);
  expect(refreshes).toBe(0);
  expect(await page.evaluate("timers")).toBe(1);
  await page.clock.fastForward(24 * DAY);
  await page.clock.fastForward(11 * DAY);
  expect(refreshes).toBe(0);
  await page.clock.fastForward(DAY);
  await expect.poll(() => refreshes).toBe(1);
  server.close();
  app.close();
});

const withServer = test.extend(fixtures());

withServer.describe.serial("the fixtures", () => {
  for (const attempt of [1, 2]) {
    withServer(`reset the server before each test (${attempt})`, async ({ tokenhouse }) => {
      const ada = await tokenhouse.user({ email: "ada@example.com" });
      const headers = await tokenhouse.headers(ada);
      expect((await fetch(`${tokenhouse.url}/users/me`, { headers })).status).toBe(200);
    });
  }
});
