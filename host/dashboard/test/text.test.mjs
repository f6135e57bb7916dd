import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { load } from "./load.mjs";

const { en } = await load("src/text/en.ts");
const { zh } = await load("src/text/zh.ts");
const root = new URL("../src/", import.meta.url);
const sources = readdirSync(root, { recursive: true }).filter((name) => /\.tsx?$/.test(name) && !name.startsWith("text/")).map((name) => readFileSync(new URL(name, root), "utf8")).join("\n");

test("both languages have the same keys", () => {
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
});

test("both languages fill in the same, and nothing is empty", () => {
  const gaps = (text) => [...text.matchAll(/\{\w+\}/g)].map(([gap]) => gap).sort();
  for (const [key, text] of Object.entries(en)) {
    assert.deepEqual(gaps(zh[key]), gaps(text), key);
    assert.notEqual(text.trim(), "", key);
    assert.notEqual(zh[key].trim(), "", key);
  }
});

test("each key is used", () => {
  const groups = [...sources.matchAll(/(?:word\("|`)(\w+)(?:"|\.\$\{)/g)].map(([, group]) => group);
  const unused = Object.keys(en).filter((key) => !sources.includes(`"${key}"`) && !groups.includes(key.split(".")[0]));
  assert.deepEqual(unused, []);
});
