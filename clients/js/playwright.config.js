import { defineConfig } from "@playwright/test";

export default defineConfig({
  testMatch: ["example/*.e2e.js", "test/*.e2e.js"],
  workers: 2,
  fullyParallel: true,
  reporter: "line",
  use: {
    browserName: "chromium",
    // Debian's, so that nothing has to be downloaded.
    launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium" },
  },
});
