// Tests of the API, in vitest. Each worker has a server of its own.

import { once } from "node:events";
import { test as base, describe, expect } from "vitest";
import { fixtures } from "tokenhouse/testing";
import { createApp } from "./app.js";

const test = base.extend({
  ...fixtures(),
  app: async ({ tokenhouse }, use) => {
    const app = createApp({ url: tokenhouse.url, key: tokenhouse.staticKey }).listen(
      0,
      "127.0.0.1",
    );
    await once(app, "listening");
    await use(`http://127.0.0.1:${app.address().port}`);
    app.close();
  },
});

const HOUR = 3600;
const statusOf = async (app, headers) => (await fetch(`${app}/orders`, { headers })).status;

describe("orders", () => {
  test("belong to the user", async ({ app, tokenhouse }) => {
    const ada = await tokenhouse.user({ email: "ada@example.com", scopes: "orders:read" });
    const response = await fetch(`${app}/orders`, { headers: await tokenhouse.headers(ada) });
    expect(await response.json()).toEqual({ orders_of: "ada@example.com" });
  });

  test("need a sign-in and the scope", async ({ app, tokenhouse }) => {
    expect(await statusOf(app, {})).toBe(401);
    // The same address as in the other test, after a reset.
    const ada = await tokenhouse.user({ email: "ada@example.com" });
    expect(await statusOf(app, await tokenhouse.headers(ada))).toBe(403);
  });

  test("are closed when the token expires", async ({ app, tokenhouse }) => {
    const headers = await tokenhouse.headers(await tokenhouse.user({ scopes: "orders:read" }));
    await tokenhouse.clock.advance(23 * HOUR);
    expect(await statusOf(app, headers)).toBe(200);
    await tokenhouse.clock.advance(2 * HOUR);
    expect(await statusOf(app, headers)).toBe(401);
  });
});
