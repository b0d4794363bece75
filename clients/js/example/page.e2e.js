// Tests of the page, in a real browser by Playwright.

import { once } from "node:events";
import { test as base, expect } from "@playwright/test";
import { startTokenhouse } from "tokenhouse/testing";
import { createApp } from "./app.js";

const HOUR = 3600;

const test = base.extend({
  // Each worker has its own app, on whose origin the settings of its server depend.
  site: [
    async ({}, use) => {
      const target = {};
      const app = createApp(target).listen(0, "127.0.0.1");
      await once(app, "listening");
      const origin = `http://127.0.0.1:${app.address().port}`;
      const tokenhouse = await startTokenhouse({ settings: { TOKENHOUSE_CORS_ORIGINS: origin } });
      Object.assign(target, { url: tokenhouse.url, key: tokenhouse.staticKey });
      await use({ origin, tokenhouse });
      await tokenhouse.stop();
      app.close();
    },
    { scope: "worker" },
  ],
  ada: async ({ site }, use) => {
    await site.tokenhouse.reset();
    await use(await site.tokenhouse.user({ email: "ada@example.com", scopes: "orders:read" }));
  },
});

async function open(context, { origin }) {
  const page = await context.newPage();
  page.on("pageerror", (error) => expect(error).toBeUndefined());
  await page.goto(origin);
  return page;
}

async function signIn(page, { email, password }) {
  await page.fill("[name=username]", email);
  await page.fill("[name=password]", password);
  await page.click("text=Sign in");
}

const expectStatus = (page, text) => expect(page.locator("p")).toHaveText(text);

async function expectOrders(page, text) {
  await page.click("text=Show the orders");
  await expect(page.locator("output")).toHaveText(text);
}

test("a user signs in and stays signed in after a reload", async ({ context, site, ada }) => {
  const page = await open(context, site);
  await signIn(page, { ...ada, password: "wrong" });
  await expectStatus(page, "Incorrect username or password");
  await signIn(page, ada);
  await expectStatus(page, "signed in");
  await page.reload();
  await expectOrders(page, "ada@example.com");
});

test("all tabs hear of a sign-in and a sign-out", async ({ context, site, ada }) => {
  const [one, two] = [await open(context, site), await open(context, site)];
  await signIn(one, ada);
  await expectStatus(two, "signed in");
  await expectOrders(two, "ada@example.com");
  await two.click("text=Sign out");
  await expectStatus(one, "signed out: elsewhere");
  await expectOrders(one, "Not authenticated");
});

test("two tabs refresh at the same time", async ({ context, site, ada }) => {
  const [one, two] = [await open(context, site), await open(context, site)];
  await signIn(one, ada);
  await expectStatus(two, "signed in");
  await site.tokenhouse.clock.advance(HOUR);
  await Promise.all([expectOrders(one, "ada@example.com"), expectOrders(two, "ada@example.com")]);
  await expectStatus(one, "signed in");
});

test("a user whose session has ended is signed out", async ({ context, site, ada }) => {
  const page = await open(context, site);
  await signIn(page, ada);
  await expectStatus(page, "signed in");
  // As a sign-in on another device: the profile `tutorial` allows a user one session.
  await site.tokenhouse.signIn(ada);
  await expectOrders(page, "Could not validate credentials");
  await expectStatus(page, "signed out: invalid_grant");
});
