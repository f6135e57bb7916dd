// What the simulated gateway knows: clients, translators, and what happens to them. `start()` makes time pass.
import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import { MODELS } from "./models.mjs";

const iso = (at = Date.now()) => new Date(at).toISOString();
const VENDORS = ["urn:imei:35209900", "meter-", "lamp-", "urn:dev:os:32473-"];

export class World extends EventEmitter {
  constructor(count) {
    super();
    this.setMaxListeners(0);
    this.begun = Date.now() - 3 * 86_400_000;
    this.clients = Array.from({ length: count }, (_, number) => this.#make(number));
    this.index = new Map(this.clients.map((client) => [client.endpoint, client]));
    this.values = new Map();
    this.observed = new Map();
    this.held = new Map();
    this.traces = new Map();
    this.queues = new Map();
    this.samples = Array.from({ length: 300 }, (_, at) => this.#sample(Date.now() - (300 - at) * 2000));
    this.lines = Array.from({ length: 200 }, (_, at) => this.#line(Date.now() - (200 - at) * 4000));
    this.kept = new Map();
    this.translators = translators(this.begun);
    this.faults = faults();
    this.seen = new Map();
  }

  start() {
    this.timers = [setInterval(() => this.#second(), 1000), setInterval(() => this.#tick(), 2000)];
  }

  stop() {
    this.timers?.forEach(clearInterval);
  }

  client(endpoint) {
    return this.index.get(endpoint);
  }

  list(query) {
    const page = whole(query, "page", 1);
    const limit = whole(query, "limit", 50);
    const search = (query.get("search") ?? "").toLowerCase();
    const [transport, object, sleepy] = ["transport", "object", "queue_mode"].map((name) => query.get(name));
    let found = this.clients.filter((client) =>
      (!search || client.endpoint.toLowerCase().includes(search) || client.address.includes(search)) &&
      (!transport || client.transport === transport) &&
      (!object || client.objects.includes(Number(object))) &&
      (!sleepy || String(client.queue_mode) === sleepy));
    const sort = query.get("sort") ?? "endpoint";
    const [key, sign] = sort.startsWith("-") ? [sort.slice(1), -1] : [sort, 1];
    if (!(key in this.clients[0])) throw Object.assign(new Error(`clients cannot be sorted by \`${key}\``), { field: "sort" });
    found = found.sort((a, b) => sign * (a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : 0));
    const data = found.slice((page - 1) * limit, page * limit).map(shown);
    return { data, meta: { page, limit, count: found.length, has_next: page * limit < found.length } };
  }

  detail(client) {
    const objects = client.objects.map((id) => {
      const model = this.model(id);
      return { id, version: model?.version ?? null, instances: id === 3303 ? [0, 1] : [0], ...(model && { name: model.name }) };
    });
    const links = objects.flatMap((object) => object.instances.map((n) => ({ target: `/${object.id}/${n}`, attributes: {} })));
    return { ...shown(client), objects, links, attributes: { lt: String(client.lifetime_s), lwm2m: client.lwm2m_version, b: client.binding }, observations: this.observationsOf(client.endpoint).length, queued: this.queueOf(client).length };
  }

  remove(client) {
    this.index.delete(client.endpoint);
    this.clients = this.clients.filter((it) => it !== client);
    this.#tell("deregistered", { endpoint: client.endpoint });
  }

  observationsOf(endpoint) {
    return this.observed.get(endpoint) ?? [];
  }

  queueOf(client) {
    return this.queues.get(client.endpoint) ?? [];
  }

  model(id) {
    return MODELS.find((model) => model.id === id);
  }

  perform(client, body) {
    const path = body.path ?? body.paths?.[0];
    const done = (code, extra = {}) => ({ endpoint: client.endpoint, operation: body.operation, path, code, success: code.startsWith("2"), took_ms: Math.round(20 + Math.random() * 60), values: [], ...extra });
    if (!client.awake) {
      const id = String(Math.random()).slice(2, 10);
      const waiting = this.queueOf(client);
      this.queues.set(client.endpoint, [...waiting, { id: waiting.length + 1, operation: body.operation, path, paths: [path], sent: false, expires_at: iso(Date.now() + 60_000), asked_by: "operator" }]);
      setTimeout(() => {
        this.queues.delete(client.endpoint);
        this.held.set(id, done("2.05", { values: this.#valuesAt(client, path) }));
      }, 4000);
      return { $status: 202, body: { id } };
    }
    this.#trace(client.endpoint, body.operation, path);
    this.#tell("answered", { endpoint: client.endpoint, operation: body.operation, path, code: "2.05" });
    if (body.operation === "read") {
      const values = this.#valuesAt(client, path);
      return values.length ? done("2.05", { values }) : done("4.04");
    }
    if (body.operation === "discover") {
      return done("2.05", { links: this.#valuesAt(client, path, true).map((value) => ({ target: value.path, attributes: value.path.endsWith("5700") ? { pmin: "5" } : {} })) });
    }
    if (body.operation === "write") {
      const definition = this.#definition(path);
      if (!definition?.operations.includes("W")) return done("4.05");
      this.values.set(client.endpoint + path, body.value);
      return done("2.04");
    }
    if (body.operation === "observe") {
      const id = Math.floor(Math.random() * 1e9);
      this.observed.set(client.endpoint, [...this.observationsOf(client.endpoint), { id, paths: [path], composite: false, asked_by: "operator", confirmed: true }]);
      return done("2.05", { values: this.#valuesAt(client, path) });
    }
    if (body.operation === "cancel-observe") {
      this.observed.set(client.endpoint, this.observationsOf(client.endpoint).filter((it) => !it.paths.includes(path)));
      return done("2.05");
    }
    return done("2.04");
  }

  traceOf(endpoint) {
    return this.traces.get(endpoint) ?? { active_until: null, exchanges: [] };
  }

  startTrace(endpoint) {
    this.traces.set(endpoint, { active_until: iso(Date.now() + 300_000), exchanges: this.traceOf(endpoint).exchanges });
    return this.traceOf(endpoint);
  }

  stopTrace(endpoint) {
    this.traces.set(endpoint, { ...this.traceOf(endpoint), active_until: null });
  }

  reload(translator) {
    return this.#change(translator, "reloaded");
  }

  revert(translator) {
    this.#change(translator, "reverted");
    translator.can_revert = false;
    return translator;
  }

  artifact(name, body, activate) {
    const sha256 = createHash("sha256").update(body).digest("hex");
    let found = this.translators.find((it) => it.name === name);
    if (!activate) {
      this.kept.set(sha256, body);
      return { name, sha256, bytes: body.length, activated: false, subscriptions: found?.subscriptions ?? [] };
    }
    if (!found) {
      found = { ...translators(Date.now())[1], name, history: [], generation: 0 };
      this.translators.push(found);
    }
    this.#change(found, "activated", sha256);
    return found;
  }

  attempt(translator, body) {
    const text = JSON.stringify(body);
    if (text.includes("\"boom\"")) return { fault: { cause: "trap", reason: "wasm trap: unreachable\n  at tidegate_emqx::uplink::translate" }, fuel: 12_004, took_us: 71 };
    const topic = "lwm2m/meter-1/up/resp";
    return { actions: [{ Publish: { topic, payload: JSON.stringify({ msgType: "notify", data: [{ path: "/3303/0/5700", value: 21.4 }] }), qos: 0, retain: false } }], fuel: 8_412, took_us: 38 };
  }

  faultsOf(name) {
    return this.faults.filter((fault) => fault.translator === name);
  }

  log(level, limit) {
    const levels = ["error", "warn", "info", "debug", "trace"];
    const deepest = level ? levels.indexOf(level) : 4;
    return this.lines.filter((line) => levels.indexOf(line.level) <= deepest).slice(-limit);
  }

  topics() {
    return [...this.seen.values()];
  }

  status() {
    const last = this.samples.at(-1);
    return {
      version: "0.8.0", started_at: iso(this.begun), uptime_s: Math.round((Date.now() - this.begun) / 1000), clients: this.clients.length,
      mqtt: { broker: "mqtt://127.0.0.1:1883", connected: true, subscribed: true, error: null, published: 48_112_004, acknowledged: 48_111_990, received: 22_841, connections: 1, failures: 0, dropped: { refused: 0, unfit: 2, untaken: 0 } },
      outbox: { waiting: last.outbox, bytes: last.outbox * 180, dropped: 0, recovered: 0, degraded: false },
      load: { received: 912_331_022, transmitted: 911_004_310, associations: 20_412, dropped: { "rate-limit": 12 } },
      store: null, process: { resident_bytes: last.resident_bytes, cpu_s: 8123, handles: 91 }, translators: this.translators.map((it) => it.name),
    };
  }

  #make(number) {
    const vendor = VENDORS[number % 4];
    const sleepy = number % 10 === 7;
    const secured = number % 5 === 0;
    const registered = Date.now() - (number * 7919 % 86_400) * 1000;
    const updated = Date.now() - (number * 104_729 % 280) * 1000;
    const endpoint = `${vendor}${String(number).padStart(7, "0")}`;
    return {
      endpoint, address: `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}:${40_000 + (number % 20_000)}`,
      transport: secured ? "dtls" : "udp", identity: secured ? `psk:${endpoint}` : null, lwm2m_version: number % 3 ? "1.1" : "1.2", binding: sleepy ? "UQ" : "U",
      queue_mode: sleepy, awake: !sleepy || number % 20 === 7, lifetime_s: [300, 3600, 86_400][number % 3], registered_at: iso(registered), updated_at: iso(updated),
      expires_at: iso(updated + [300, 3600, 86_400][number % 3] * 1000), location: `/rd/${number.toString(36)}`, translators: [number % 4 === 2 ? "lamps" : "emqx"],
      objects: [1, 3, 5, ...(number % 4 === 2 ? [3311] : []), 3303, ...(number % 7 === 0 ? [6, 26241] : [])],
    };
  }

  #definition(path) {
    const [object, , id] = path.slice(1).split("/").map(Number);
    return this.model(object)?.resources.find((it) => it.id === id);
  }

  #valuesAt(client, path, all = false) {
    const [object, instance, id] = path.slice(1).split("/").map(Number);
    const found = this.detail(client).objects.find((it) => it.id === object);
    const instances = found?.instances.filter((n) => instance === undefined || n === instance) ?? [];
    const resources = this.model(object)?.resources.filter((it) => (id === undefined || it.id === id) && (all || it.operations.includes("R"))) ?? [];
    const present = resources.filter((it) => ![14, 15, 5602].includes(it.id) || id !== undefined);
    return instances.flatMap((n) => present.map((it) => {
      const at = `/${object}/${n}/${it.id}`;
      return { path: at, type: it.type, value: this.values.get(client.endpoint + at) ?? example(it), name: it.name, ...(it.units && { units: it.units }) };
    }));
  }

  #trace(endpoint, operation, path) {
    const trace = this.traceOf(endpoint);
    if (!trace.active_until) return;
    const [mid, token] = [Math.floor(Math.random() * 65_536), Math.floor(Math.random() * 2 ** 32).toString(16)];
    const code = { read: "GET", observe: "GET", discover: "GET", write: "PUT", execute: "POST" }[operation] ?? "GET";
    const options = path.slice(1).split("/").map((value) => ({ name: "Uri-Path", value }));
    trace.exchanges.push({ at: iso(), direction: "out", type: "CON", code, mid, token, options: [...options, { name: "Accept", value: "application/senml+cbor" }], payload: null, bytes: 24, retransmitted: 0 });
    trace.exchanges.push({ at: iso(Date.now() + 31), direction: "in", type: "ACK", code: "2.05", mid, token, options: [{ name: "Content-Format", value: "application/senml+cbor" }], payload: { format: "application/senml+cbor", values: [{ path, value: 21.5 }] }, bytes: 61, retransmitted: 0 });
  }

  #change(translator, what, sha256) {
    translator.generation += 1;
    translator.since = iso();
    translator.state = "active";
    if (sha256) translator.sha256 = sha256;
    translator.can_revert = true;
    translator.history.unshift({ at: iso(), generation: translator.generation, what });
    this.#tell("translators", { translator: translator.name });
    this.#log("info", "tidegate::deployment", `translator ${what}`, { translator: translator.name, generation: translator.generation });
    return translator;
  }

  #sample(at) {
    const wave = Math.sin(at / 60_000) * 0.25 + Math.sin(at / 9000) * 0.08;
    return { at: iso(at), up: Math.round(8400 * (1 + wave)), down: Math.round(240 * (1 - wave)), faults: Math.random() < 0.03 ? 1 : 0, clients: this.clients?.length ?? 0, outbox: Math.max(0, Math.round(30 + 28 * wave + Math.random() * 9)), resident_bytes: 148e6 + wave * 2e6, latency_p50_ms: 0.42 + 0.1 * wave + Math.random() * 0.03, latency_p99_ms: 2.1 + wave + Math.random() * 0.5, cpu: 0.34 + wave / 4 };
  }

  #line(at) {
    const [level, target, message, fields] = [["info", "tidegate::net", "registered", { endpoint: "meter-0000001" }], ["info", "tidegate::admin", "HTTP", { method: "POST", path: "/api/v1/clients/meter-0000001/operations", status: 200 }], ["warn", "tidegate::bridge", "the device refused an observation", { endpoint: "lamp-0000002", path: "/3303/0", code: "4.05" }], ["debug", "tidegate::mqtt", "acknowledged", { packet: 1221 }], ["error", "tidegate::plugin", "a call trapped", { translator: "lamps", reason: "unreachable" }]][Math.floor(Math.random() ** 2 * 5)];
    return { at: iso(at), level, target, message, fields };
  }

  #log(level, target, message, fields) {
    const line = { at: iso(), level, target, message, fields };
    this.lines.push(line);
    this.lines.splice(0, this.lines.length - 1000);
    this.#tell("log", line);
  }

  #tick() {
    const sample = this.#sample(Date.now());
    this.samples.push(sample);
    this.samples.shift();
    this.#tell("sample", sample);
  }

  #second() {
    for (const [endpoint, observed] of this.observed) {
      const client = this.client(endpoint);
      for (const { paths } of client ? observed : []) this.#tell("notified", { endpoint, path: paths[0], values: this.#valuesAt(client, paths[0]) });
    }
    for (let n = 0; n < 6; n += 1) {
      const client = this.clients[Math.floor(Math.random() * this.clients.length)];
      if (!client) break;
      const topic = `lwm2m/${client.endpoint}/up/${n % 3 ? "notify" : "resp"}`;
      const payload = JSON.stringify({ msgType: "notify", seqNum: n, data: { reqPath: "/3303/0/5700", content: [{ path: "/3303/0/5700", value: example({ id: 5700, type: "float" }) }] } });
      const kind = ["notified", "updated", "notified", "answered", "registered", "notified"][n];
      this.#tell(kind, { endpoint: client.endpoint, ...(kind === "notified" && { path: "/3303/0/5700", values: [{ path: "/3303/0/5700", type: "float", value: example({ id: 5700, type: "float" }) }] }), ...(kind === "answered" && { operation: "read", path: "/3/0", code: "2.05" }) });
      this.#tell("publication", { endpoint: client.endpoint, topic, qos: 0, retain: false, bytes: payload.length, payload });
      const seen = this.seen.get(topic);
      this.seen.set(topic, { topic, count: (seen?.count ?? 0) + 1, last_at: iso(), qos: 0, retain: false, bytes: payload.length });
      if (this.seen.size > 200) this.seen.delete(this.seen.keys().next().value);
    }
    const line = this.#line(Date.now());
    this.#log(line.level, line.target, line.message, line.fields);
    if (Math.random() < 0.05) {
      const fault = { ...this.faults[0], at: iso() };
      this.faults.unshift(fault);
      this.faults.splice(50);
      this.#tell("fault", { translator: fault.translator, direction: fault.direction, cause: fault.cause, reason: fault.reason });
    }
  }

  #tell(type, data) {
    this.emit("event", { at: iso(), ...data, type });
  }
}

const shown = ({ objects, ...client }) => client;

function whole(query, name, otherwise) {
  const value = Number(query.get(name) ?? otherwise);
  if (!Number.isInteger(value) || value < 1 || (name === "limit" && value > 1000)) throw Object.assign(new Error(`\`${name}\` is a whole number from 1`), { field: name });
  return value;
}

function example(resource) {
  if (resource.id === 5700) return Math.round((21 + 3 * Math.sin(Date.now() / 20_000) + Math.random()) * 100) / 100;
  if (resource.id === 9) return 87;
  return { integer: resource.id * 7 % 100, float: 18.5, boolean: true, time: iso(), opaque: "3q2+7w==", string: { 0: "Open Mobile Alliance", 1: "Lightweight M2M Client", 2: "345000123", 3: "1.0.4", 7: "U", 5701: "Cel" }[resource.id] ?? "text" }[resource.type] ?? null;
}

const translators = (begun) => [
  {
    name: "emqx", state: "active", generation: 3, artifact: "built in", sha256: "9a41c6e2f7d0b7d1c5a2e1f5d9a0c4e3b2a19087f6e5d4c3b2a1908f7e6d5c4b", since: iso(begun), settings: { mountpoint: "lwm2m/%e/", lifetime_max: "86400s" }, subscriptions: ["lwm2m/+/dn/#"], draining: 0, can_revert: true,
    totals: { calls: 48_112_004, faults: 12, rejected: 1 }, last_rejection: null,
    history: [{ at: iso(begun), generation: 3, what: "reloaded" }, { at: iso(begun - 86_400_000), generation: 2, what: "rejected", reason: "settings: `mountpoint` has to end with /" }, { at: iso(begun - 186_400_000), generation: 1, what: "started" }],
  },
  {
    name: "lamps", state: "degraded", generation: 7, artifact: "plugins/lamps.js", sha256: "1f02aa13bb24cc35dd46ee57ff680079118a229b33ac44bd55ce66df77e08891", since: iso(begun + 6e7), settings: { prefix: "home", token: "•••" }, subscriptions: ["home/+/set"], draining: 0, can_revert: true,
    totals: { calls: 1_204_551, faults: 318 }, last_rejection: { at: iso(begun + 7e7), reason: "lamps.js: ReferenceError: sensr is not defined" }, history: [{ at: iso(begun + 6e7), generation: 7, what: "reloaded" }],
  },
];

function faults() {
  const fault = (translator, cause, reason, ago) => ({ translator, at: iso(Date.now() - ago), direction: "uplink", cause, about: "lamp-0000002", reason, outcome: "dropped", input: { event: { Notified: { client: { endpoint: "lamp-0000002" }, path: "/3311/0/5850", values: [{ path: "/3311/0/5850", value: { Boolean: true } }] } } } });
  return [fault("lamps", "trap", "TypeError: cannot read property 'value' of undefined\n    at translate (lamps.js:41)", 40_000), fault("lamps", "out of fuel", "the call used more than 50,000,000 units", 900_000), fault("emqx", "malformed", "topic holds a wildcard: lwm2m/+/up", 7_200_000)];
}
