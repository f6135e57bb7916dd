// Pictures of every page in both themes and at phone width: `node browser/screenshots.mjs [FOLDER]`.
import { mkdirSync } from "node:fs";
import { gateway, launch, open } from "./browse.mjs";

const folder = process.argv[2] ?? new URL("../screenshots", import.meta.url).pathname;
mkdirSync(folder, { recursive: true });
const { url, stop } = await gateway({ clients: 100_000 });
const browser = await launch();
const client = process.env.TIDEGATE_CLIENT ?? "lamp-0000002";
const views = [
  ["overview", "/"],
  ["clients", "/clients"],
  ["client", `/clients/${encodeURIComponent(client)}`, async (page) => {
    await page.getByRole("button", { name: "Read /3/0", exact: true }).click();
    await page.locator("output").first().waitFor();
  }],
  ["values", `/clients/${encodeURIComponent(client)}`, async (page) => {
    await page.getByRole("button", { name: /3303/ }).first().click();
    await page.getByRole("button", { name: "Observe /3303/0/5700" }).or(page.getByRole("button", { name: "Cancel observation /3303/0/5700" })).click();
    await page.waitForTimeout(3500);
    await page.getByRole("tab", { name: /Values/ }).click();
  }],
  ["translators", "/translators"],
  ["translator", process.env.TIDEGATE_URL ? "/translators/emqx" : "/translators/lamps"],
  ["mqtt", "/mqtt"],
  ["log", "/log"],
];
for (const [theme, size, name] of [["light", [1280, 900], "light"], ["dark", [1280, 900], "dark"], ["light", [390, 844], "phone"]]) {
  for (const [view, path, act] of views) {
    const page = await open(browser, url, { viewport: { width: size[0], height: size[1] }, colorScheme: theme, hasTouch: name === "phone" });
    try {
      await page.goto(path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await page.waitForTimeout(1600);
      await act?.(page);
      await page.waitForTimeout(400);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) console.log(`${name}-${view}: ${wide} px too wide`);
      await page.screenshot({ path: `${folder}/${name}-${view}.png` });
    } catch (error) {
      console.log(`${name}-${view}: ${error.message.split("\n")[0]}`);
      await page.screenshot({ path: `${folder}/${name}-${view}.png` });
    }
    if (page.complaints.length) console.log(`${name}-${view}:`, page.complaints);
    await page.context().close();
  }
}
await browser.close();
await stop();
