import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { start } from "../mock/server.mjs";
import { load } from "./load.mjs";

const api = await load("src/api.ts");
let gateway;
const fetched = globalThis.fetch;

before(async () => {
  gateway = await start({ clients: 200, token: "tg_secret" });
  globalThis.fetch = (path, init) => fetched(new URL(path, gateway.url), init);
});
after(async () => {
  globalThis.fetch = fetched;
  await gateway.stop();
});

test("without a token the gateway's refusal asks for one, and with it the same is answered", async () => {
  await assert.rejects(api.ask("status"), (problem) => problem.status === 401 && /token is needed/.test(problem.message));
  assert.equal(api.signInNeeded.value, true);
  api.signIn("tg_wrong");
  await assert.rejects(api.ask("status"), { status: 401 });
  assert.match(api.refusal.value, /not known/);
  api.signIn(" tg_secret ");
  assert.equal(api.signInNeeded.value, false);
  assert.equal((await api.ask("status")).clients, 200);
});

test("a problem says what is wrong, and in which field", async () => {
  await assert.rejects(api.ask("clients?limit=0"), { status: 400, field: "limit", message: "`limit` is a whole number from 1" });
  await assert.rejects(api.ask(api.clientPath("no/such client")), { status: 404, message: "no client is registered as `no/such client`" });
});

test("no content is null, and the status is told where it matters", async () => {
  assert.equal(await api.ask(api.clientPath("meter-0000001"), { method: "DELETE" }), null);
  const sleeping = gateway.world.clients.find((client) => !client.awake);
  const { status, body } = await api.askWithStatus(api.clientPath(sleeping.endpoint, "/operations"), { method: "POST", body: { operation: "read", path: "/3/0" } });
  assert.equal(status, 202);
  assert.ok(body.id);
});

test("a gateway that is away is told from one that refuses", async () => {
  const before = globalThis.fetch;
  globalThis.fetch = () => fetched("http://127.0.0.1:9/");
  await assert.rejects(api.ask("status"), { status: 0 });
  assert.equal(api.reached.value, false);
  globalThis.fetch = before;
  await api.ask("status");
  assert.equal(api.reached.value, true);
});

test("events come through wherever the stream was cut", () => {
  const stream = ": hello\n\nevent: notified\r\ndata: {\"a\":1}\r\n\r\ndata: one\ndata:two\n\nevent: empty\n\nevent: last\ndata: x\n\n";
  for (let size = 1; size <= stream.length; size += 1) {
    const taken = [];
    const parse = api.eventParser((type, data) => taken.push([type, data]));
    for (let at = 0; at < stream.length; at += size) parse(stream.slice(at, at + size));
    assert.deepEqual(taken, [["notified", "{\"a\":1}"], ["message", "one\ntwo"], ["last", "x"]], `pieces of ${size}`);
  }
});

test("events of the gateway are followed until nobody looks", async () => {
  const abort = new AbortController();
  const types = [];
  await assert.rejects(api.follow("events?types=log", abort.signal, (type) => {
    types.push(type);
    abort.abort();
  }), { name: "AbortError" });
  assert.deepEqual(types, ["log"]);
});

test("queries leave out what is not set", () => {
  assert.equal(api.query({ search: "a b", page: 1, object: "", sort: undefined }), "?search=a+b&page=1");
  assert.equal(api.query({}), "");
});
