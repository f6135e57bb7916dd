// The dashboard in a browser: each page, each action, a lost connection.
//
//   node --test browser/dashboard.test.mjs                      against the mock
//   TIDEGATE_URL=http://127.0.0.1:18083 TIDEGATE_CLIENT=dev1 …  against a gateway with at least that client
//
// What needs the mock (100,000 clients, a fault, a connection that breaks) is skipped against a gateway. There the client has to have
// the objects 3 and 3303, as `tidegate demo` has, and the artifact of TIDEGATE_ARTIFACT is put in service and reverted.
// Screenshots of what failed are left in screenshots/.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { basename } from "node:path";
import { after, before, test } from "node:test";
import { URL_OF_GATEWAY, gateway, launch, open } from "./browse.mjs";

const isReal = URL_OF_GATEWAY !== undefined;
const CLIENT = process.env.TIDEGATE_CLIENT ?? "lamp-0000002";
const TRANSLATOR = process.env.TIDEGATE_TRANSLATOR ?? "emqx";
const ARTIFACT = process.env.TIDEGATE_ARTIFACT;
const onlyMock = { skip: isReal && "needs the mock" };
const clientPath = `/clients/${encodeURIComponent(CLIENT)}`;
let served;
let browser;

before(async () => {
  served = await gateway({ clients: 100_000 });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await served?.stop();
});

/** A test with a page of its own, which must not complain. */
function look(name, act, options = {}) {
  test(name, { timeout: 60_000, ...options.test }, async () => {
    const page = await open(browser, served.url, options.context);
    page.setDefaultTimeout(10_000);
    try {
      await act(page);
      assert.deepEqual(page.complaints, []);
    } catch (error) {
      const folder = new URL("../screenshots/", import.meta.url).pathname;
      mkdirSync(folder, { recursive: true });
      await page.screenshot({ path: `${folder}failed-${name.replace(/\W+/g, "-")}.png` });
      throw error;
    } finally {
      await page.context().close();
    }
  });
}

const heading = (page, name) => page.getByRole("heading", { level: 1, name }).waitFor();
const says = (page, text) => page.locator(".toast", { hasText: text }).first().waitFor();

look("the overview shows figures and four plots, and they move", async (page) => {
  await page.goto("/");
  await heading(page, "Overview");
  await page.locator(".chart canvas").nth(3).waitFor();
  const label = () => page.locator(".chart").first().getAttribute("aria-label");
  const before = await label();
  assert.match(before, /Messages per second: Messages up [\d.,k]+/);
  if (!isReal) await page.waitForFunction((old) => document.querySelector(".chart").getAttribute("aria-label") !== old, before);
});

look("every page is reached by keys, and says its name", async (page) => {
  await page.goto("/");
  await heading(page, "Overview");
  for (const [key, name] of [["c", "Clients"], ["t", "Translators"], ["m", "MQTT"], ["l", "Log"], ["o", "Overview"]]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await heading(page, name);
    assert.equal(await page.title(), `${name} · Tidegate`);
    assert.equal(await page.locator("nav a[aria-current=page]").innerText(), name);
  }
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByRole("heading", { name: "Keyboard" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
});

look("language and theme are chosen and kept", async (page) => {
  await page.goto("/clients");
  await heading(page, "Clients");
  await page.getByLabel("Language").selectOption("zh");
  await heading(page, "客户端");
  assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
  await page.getByRole("button", { name: "深色" }).click();
  await page.reload();
  await heading(page, "客户端");
  assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
});

look("a client is found by a part of its name and opened", async (page) => {
  await page.goto("/clients");
  await heading(page, "Clients");
  await page.keyboard.press("/");
  await page.keyboard.type(CLIENT);
  await page.waitForURL(/search=/);
  await page.getByRole("link", { name: CLIENT, exact: true }).click();
  await heading(page, CLIENT);
  await page.goBack();
  assert.equal(await page.getByRole("searchbox").inputValue(), CLIENT);
  await page.getByRole("searchbox").fill("no-such-client-anywhere");
  await page.getByText("No client fits").waitFor();
  await page.getByRole("button", { name: "Clear filters" }).click();
  await page.getByRole("link", { name: CLIENT }).or(page.locator("td.endpoint a").first()).first().waitFor();
});

look("100,000 clients are paged, filtered and sorted while the page stays usable", async (page) => {
  await page.goto("/clients");
  await page.getByText("100,000 registered").waitFor();
  assert.equal(await page.locator("tbody tr").count(), 50);
  await page.getByRole("button", { name: "Next page" }).click();
  await page.getByText("51–100 of 100,000").waitFor();
  const number = page.getByLabel("Page", { exact: true });
  await number.fill("2000");
  await number.press("Enter");
  await page.getByText("99,951–100,000 of 100,000").waitFor();
  assert.equal(await page.getByRole("button", { name: "Next page" }).isDisabled(), true);
  await page.getByLabel("Transport").selectOption("dtls");
  await page.getByText("20,000 found").waitFor();
  await page.getByRole("button", { name: /^Endpoint/ }).click();
  await page.locator("th[aria-sort=descending]").waitFor();
  const begun = Date.now();
  await page.getByRole("searchbox").fill("meter-00999");
  await page.getByText("5 found").or(page.getByText("25 found")).or(page.getByText(/^\d+ found/)).first().waitFor();
  const took = Date.now() - begun;
  assert.ok(took < 2000, `search took ${took} ms`);
  const blocked = await page.evaluate(() => new Promise((resolve) => {
    const from = performance.now();
    setTimeout(() => resolve(performance.now() - from), 0);
  }));
  assert.ok(blocked < 200, `the page was blocked for ${blocked} ms`);
}, { test: onlyMock });

look("resources are read, and values stand beside the names of the model", async (page) => {
  await page.goto(clientPath);
  await page.getByRole("button", { name: "Read /3/0", exact: true }).click();
  await says(page, "read /3/0: 2.05");
  await page.locator("[data-path='/3/0/0'] output").waitFor();
  await page.getByText("Manufacturer").waitFor();
  assert.notEqual(await page.locator("[data-path='/3/0/0'] output").innerText(), "");
});

look("an instance is discovered", async (page) => {
  await page.goto(clientPath);
  await page.getByRole("button", { name: "Discover /3/0" }).click();
  await says(page, "discover /3/0: 2.05");
});

look("an observation fills a plot, stands in its list and is cancelled", async (page) => {
  await page.goto(clientPath);
  await page.getByRole("button", { name: /\/3303/ }).click();
  await page.getByRole("button", { name: "Observe /3303/0/5700" }).click();
  await says(page, "observe /3303/0/5700: 2.05");
  await page.getByRole("tab", { name: /Values/ }).click();
  await page.locator(".chart canvas").first().waitFor();
  await page.getByRole("tab", { name: /Observations/ }).click();
  await page.getByRole("cell", { name: "/3303/0/5700", exact: true }).waitFor();
  await page.getByRole("button", { name: "Cancel observation /3303/0/5700" }).click();
  await says(page, "cancel-observe");
  await page.getByRole("cell", { name: "/3303/0/5700", exact: true }).waitFor({ state: "detached" });
});

look("a value is checked, then written", async (page) => {
  await page.goto(clientPath);
  await page.getByRole("button", { name: /\/3311/ }).click();
  await page.getByRole("button", { name: "Write /3311/0/5851" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox").fill("half");
  await dialog.getByRole("button", { name: "Write" }).click();
  await dialog.getByText("A whole number is needed").waitFor();
  await dialog.getByRole("textbox").fill("50");
  await dialog.getByRole("textbox").press("Enter");
  await says(page, "write /3311/0/5851: 2.04");
  assert.equal(await page.locator("[data-path='/3311/0/5851'] output").innerText(), "50");
}, { test: onlyMock });

look("executing asks first, and cancel does nothing", async (page) => {
  await page.goto(clientPath);
  const button = page.getByRole("button", { name: "Execute /3/0/4" });
  let sent = 0;
  page.on("request", (request) => (sent += Number(request.method() === "POST")));
  await button.click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal(sent, 0);
  if (isReal) return;
  await button.click();
  await page.getByRole("dialog").getByRole("button", { name: "Execute" }).click();
  await says(page, "execute /3/0/4: 2.04");
});

look("a sleeping client's request waits in the queue and is answered later", async (page) => {
  const sleeping = served.world.clients.find((client) => !client.awake).endpoint;
  await page.goto(`/clients/${encodeURIComponent(sleeping)}`);
  await page.getByRole("button", { name: "Read /3/0", exact: true }).click();
  await says(page, "The device sleeps");
  await page.getByRole("tab", { name: /Queue/ }).click();
  await page.getByRole("cell", { name: "/3/0" }).waitFor();
  await says(page, "read /3/0: 2.05");
  await page.getByText("Nothing waits").waitFor();
}, { test: onlyMock });

look("a trace shows decoded exchanges until it is stopped", async (page) => {
  await page.goto(clientPath);
  await page.getByRole("tab", { name: "Trace" }).click();
  await page.getByRole("button", { name: "Start trace" }).click();
  await page.getByRole("button", { name: "Stop trace" }).waitFor();
  await page.getByRole("tab", { name: "Objects" }).click();
  await page.getByRole("button", { name: "Read /3/0", exact: true }).click();
  await says(page, "2.05");
  await page.getByRole("tab", { name: "Trace" }).click();
  const row = page.locator(".exchanges summary", { hasText: "2.05" }).first();
  await row.click();
  await page.getByText("Content-Format").first().waitFor();
  await page.getByRole("button", { name: "Stop trace" }).click();
  await page.getByRole("button", { name: "Start trace" }).waitFor();
});

look("ending a registration asks first", async (page) => {
  await page.goto("/clients/meter-0000001");
  await page.getByRole("button", { name: "End registration" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await heading(page, "meter-0000001");
  await page.getByRole("button", { name: "End registration" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End registration" }).click();
  await says(page, "meter-0000001: registration ended");
  await heading(page, "Clients");
  await page.goto("/clients/meter-0000001");
  await page.getByText("This client is not registered").waitFor();
}, { test: onlyMock });

look("a translator is reloaded, and reverted after a question", async (page) => {
  await page.goto("/translators");
  await page.getByRole("link", { name: new RegExp(TRANSLATOR) }).first().click();
  await heading(page, TRANSLATOR);
  await page.getByRole("button", { name: "Reload", exact: true }).click();
  await says(page, `${TRANSLATOR} reloaded: generation`);
  if (isReal && !ARTIFACT) return;
  if (ARTIFACT) {
    await page.locator("input[type=file]").setInputFiles(ARTIFACT);
    await page.getByText(`${basename(ARTIFACT)} fits`).waitFor({ timeout: 30_000 });
    await page.getByRole("button", { name: "Put in service" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Put in service" }).click();
    await says(page, "serves");
  }
  await page.getByRole("button", { name: "Revert" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revert" }).click();
  await says(page, `${TRANSLATOR} reverted: generation`);
});

look("a dropped artifact is checked, tried and only then put in service; a wrong one is refused with the reason", async (page) => {
  await page.goto("/translators/lamps");
  await heading(page, "lamps");
  const drop = (name, text) => page.evaluate(([name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name));
    document.querySelector(".drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  }, [name, text]);
  await drop("notes.txt", "x");
  await page.getByText("notes.txt is neither .wasm nor .js").waitFor();
  await drop("lamps.js", "function (");
  await page.getByText("SyntaxError").waitFor();
  await drop("lamps.js", "export function uplink() {}");
  await page.getByText("lamps.js fits").waitFor();
  await page.getByRole("button", { name: "Event", exact: true }).click();
  const asked = page.waitForRequest((request) => request.url().includes("/try"));
  await page.getByRole("button", { name: "Try", exact: true }).click();
  assert.match((await asked).url(), /artifact=[0-9a-f]{64}/);
  await page.getByText("1 actions").waitFor();
  await page.getByRole("button", { name: "Put in service" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Put in service" }).click();
  await says(page, "lamps: generation");
  await page.locator(".history").getByText("put in service").first().waitFor();
}, { test: onlyMock });

look("a fault shows the input that caused it, which can be tried again", async (page) => {
  await page.goto("/translators/lamps");
  await page.locator(".exchanges summary", { hasText: "TypeError" }).first().click();
  await page.getByRole("button", { name: "Try this input" }).first().click();
  assert.match(await page.getByLabel(/An event or a message/).inputValue(), /"Notified"/);
  await page.getByRole("button", { name: "Try", exact: true }).click();
  await page.getByText("1 actions").waitFor();
}, { test: onlyMock });

look("what is tried has to be JSON", async (page) => {
  await page.goto(`/translators/${TRANSLATOR}`);
  await page.getByLabel(/An event or a message/).fill("{");
  await page.getByRole("button", { name: "Try", exact: true }).click();
  await page.getByText("This is not JSON").waitFor();
});

look("MQTT shows the broker, topics and messages as they go by", async (page) => {
  await page.goto("/mqtt");
  await heading(page, "MQTT");
  await page.getByText("Acknowledged").waitFor();
  if (!isReal) await page.getByRole("cell", { name: /lwm2m\/.*\/up\// }).first().waitFor();
  await page.getByRole("tab", { name: "Live messages" }).click();
  if (isReal) return;
  await page.locator(".exchanges summary").first().waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator(".exchanges summary").first().click();
  await page.getByText("msgType").first().waitFor();
});

look("the log is filtered by level and text", async (page) => {
  await page.goto("/log");
  await page.locator(".log li").first().waitFor();
  await page.getByLabel("Level").selectOption("error");
  if (!isReal) await page.waitForFunction(() => [...document.querySelectorAll(".log .badge")].every((badge) => badge.textContent === "error"));
  await page.getByRole("searchbox").fill("no such line at all");
  await page.getByText("No lines").waitFor();
});

look("a lost connection is said, what was known stays, and it comes back by itself", async (page) => {
  await page.goto("/clients");
  await page.locator("tbody tr").first().waitFor();
  await fetch(`${served.url}/mock/down?s=6`);
  await page.locator(".banner").waitFor({ timeout: 15_000 });
  assert.equal(await page.locator("tbody tr").count(), 50);
  await page.locator(".banner").waitFor({ state: "detached", timeout: 15_000 });
  await page.locator("tbody tr").first().waitFor();
}, { test: onlyMock });

test("a gateway with tokens asks for one, refuses a wrong one and takes the right one", { timeout: 60_000, ...onlyMock }, async () => {
  const { url, stop } = await gateway({ clients: 10, token: "tg_right" });
  const page = await open(browser, url);
  page.setDefaultTimeout(10_000);
  try {
    await page.goto("/clients");
    await page.getByLabel("Token").fill("tg_wrong");
    await page.getByRole("dialog").getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("dialog").getByText("this token is not known").waitFor();
    await page.getByLabel("Token").fill("tg_right");
    await page.getByRole("dialog").getByRole("button", { name: "Sign in" }).click();
    await page.getByText("10 registered").waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    assert.deepEqual(page.complaints, []);
  } finally {
    await page.context().close();
    await stop();
  }
});

look("on a phone nothing is wider than the screen, and all pages are a tap away", async (page) => {
  await page.goto("/");
  for (const name of ["Clients", "Translators", "MQTT", "Log", "Overview"]) {
    await page.locator("nav.side li a", { hasText: name }).tap();
    await heading(page, name);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} is ${wide} px too wide`);
  }
  await page.goto(clientPath);
  await page.getByRole("button", { name: "Read /3/0", exact: true }).tap();
  await page.locator("[data-path='/3/0/0'] output").waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `the client is ${wide} px too wide`);
}, { context: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true } });

look("every control has a name, and text can be told from its ground in both themes", async (page) => {
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme });
    for (const path of ["/", "/clients", clientPath, `/translators/${TRANSLATOR}`, "/mqtt", "/log"]) {
      await page.goto(path);
      await heading(page);
      await page.waitForTimeout(500);
      assert.deepEqual(await page.evaluate(nameless), [], `${theme} ${path}`);
      assert.deepEqual(await page.evaluate(pale), [], `${theme} ${path}`);
    }
  }
});

/** In the page: controls without a name. */
function nameless() {
  const name = (it) => it.getAttribute("aria-label") || it.textContent.trim() || [...(it.labels ?? [])].map((label) => label.textContent.trim()).join("") || it.title;
  return [...document.querySelectorAll("button, a[href], input, select, textarea, [role=img]")].filter((it) => !name(it)).map((it) => it.outerHTML.slice(0, 120));
}

/** In the page: text whose contrast is below 4.5 (WCAG 2.2, 1.4.3). */
function pale() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (color, under) => {
    canvas.fillStyle = `rgb(${under.join()})`;
    canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const ground = (it) => {
    const chain = [];
    for (let at = it; at; at = at.parentElement) chain.unshift(getComputedStyle(at).backgroundColor);
    return chain.reduce((under, color) => parse(color, under), [255, 255, 255]);
  };
  const light = (rgb) => rgb.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)).reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const found = new Set();
  for (const it of document.querySelectorAll("body *")) {
    const isText = [...it.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!isText || !it.checkVisibility({ opacityProperty: true }) || it.closest(":disabled, .hidden, .skip, .old, option, .fresh")) continue;
    const under = ground(it);
    const [a, b] = [light(parse(getComputedStyle(it).color, under)), light(under)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.add(`${it.tagName}.${it.className} ${contrast.toFixed(2)} ${it.textContent.trim().slice(0, 30)}`);
  }
  return [...found];
}
