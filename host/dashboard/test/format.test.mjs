import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const format = await load("src/format.ts");

test("figures fit in a tile", () => {
  const cases = [[0, "0"], [0.4234, "0.42"], [999.6, "1000"], [1234, "1,234"], [12_345, "12.3k"], [1_234_567, "1.23M"], [2e9, "2G"], [null, "–"], [undefined, "–"], [NaN, "–"]];
  for (const [value, shown] of cases) assert.equal(format.short(value), shown);
});

test("counts have all their digits", () => {
  assert.equal(format.count(48_112_004), "48,112,004");
  assert.equal(format.count(undefined), "–");
});

test("bytes have the unit that fits", () => {
  const cases = [[0, "0 B"], [1023, "1023 B"], [1024, "1 KiB"], [156_237_824, "149 MiB"], [3 * 1024 ** 4, "3 TiB"]];
  for (const [value, shown] of cases) assert.equal(format.bytes(value), shown);
});

test("durations have two parts at most", () => {
  const cases = [[0, "0s"], [59, "59s"], [60, "1min"], [3661, "1h 1min"], [86_400 * 3 + 61, "3d"], [-5, "0s"], [null, "–"]];
  for (const [value, shown] of cases) assert.equal(format.duration(value), shown);
});

test("latencies go from microseconds to seconds", () => {
  for (const [value, shown] of [[0.42, "420 µs"], [2.11, "2.11 ms"], [1500, "1.5 s"], [null, "–"]]) assert.equal(format.milliseconds(value), shown);
});

test("what is typed becomes the type of the resource", () => {
  assert.equal(format.parse(" 42 ", "integer"), 42);
  assert.equal(format.parse("-1", "Integer"), -1);
  assert.equal(format.parse("21.5", "float"), 21.5);
  assert.equal(format.parse("false", "boolean"), false);
  assert.equal(format.parse("2026-01-31T12:00:00Z", "time"), "2026-01-31T12:00:00Z");
  assert.equal(format.parse("3q2+7w==", "opaque"), "3q2+7w==");
  assert.equal(format.parse("3:0", "object-link"), "3:0");
  assert.equal(format.parse(" as it is ", "string"), " as it is ");
  assert.equal(format.parse("x", null), "x");
});

test("what cannot be meant is refused before it is sent", () => {
  for (const [text, type] of [["1.5", "integer"], ["", "integer"], ["9007199254740993", "integer"], ["", "float"], ["x", "float"], ["1", "boolean"], ["", "time"], ["tomorrow", "time"], ["abc", "opaque"], ["ä===", "opaque"], ["3", "objlnk"]]) {
    assert.throws(() => format.parse(text, type), { message: type }, `${text} as ${type}`);
  }
});

test("a moment that is none is shown as it came", () => {
  assert.equal(format.clock("soon"), "soon");
  assert.equal(format.moment(null), "–");
});
