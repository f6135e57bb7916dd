// A browser on the dashboard, for the suite and for screenshots: Debian's chromium, driven by playwright-core.
//
// TIDEGATE_URL: a real gateway's dashboard; without it the mock is started. CHROMIUM: another browser.
import { chromium } from "playwright-core";
import { start } from "../mock/server.mjs";

export const URL_OF_GATEWAY = process.env.TIDEGATE_URL;

/** The base URL, and what ends it. */
export async function gateway(options) {
  if (URL_OF_GATEWAY) return { url: URL_OF_GATEWAY.replace(/\/$/, ""), stop: async () => {} };
  return start(options);
}

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
}

/** A page that fails the test for whatever the browser complains of, and for requests that leave the gateway. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1280, height: 860 }, locale: "en-US", ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && !/Failed to load resource|ERR_/.test(message.text()) && page.complaints.push(message.text()));
  page.on("request", (request) => !request.url().startsWith(url) && !/^(data|blob):/.test(request.url()) && page.complaints.push(`leaves: ${request.url()}`));
  return page;
}
