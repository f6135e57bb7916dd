// A gateway that is none: answers the API of host/src/admin with simulated clients, for work on the dashboard and its tests.
//
//   node mock/server.mjs [--port 18083] [--clients 100000] [--token SECRET]
//
// Serves dist/ as host/src/admin/page.rs does. `POST /mock/down?s=5` makes it refuse connections for a time.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { World } from "./world.mjs";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'";
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml" };

class Problem extends Error {
  constructor(status, title, detail, extra = {}) {
    super(detail);
    this.body = { type: "about:blank", title, status, detail, ...extra };
  }
}

/** Starts a server; `stop()` ends it and its streams. */
export function start({ port = 0, clients = 100_000, token = null } = {}) {
  const world = new World(clients);
  let downUntil = 0;
  const server = createServer(async (request, response) => {
    if (Date.now() < downUntil) {
      request.socket.destroy();
      return;
    }
    const url = new URL(request.url, "http://localhost");
    try {
      if (url.pathname === "/mock/down") {
        downUntil = Date.now() + 1000 * Number(url.searchParams.get("s") ?? 5);
        response.end();
        server.closeAllConnections();
        return;
      }
      await answer(world, token, request, response, url);
    } catch (error) {
      const problem = error instanceof Problem ? error.body : { type: "about:blank", title: "Internal Server Error", status: 500, detail: String(error.stack) };
      if (!response.headersSent) json(response, problem.status, problem, "application/problem+json");
      response.end();
    }
  });
  world.start();
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      const stop = () => {
        world.stop();
        server.closeAllConnections();
        return new Promise((done) => server.close(done));
      };
      resolve({ url: `http://127.0.0.1:${server.address().port}`, world, stop });
    });
  });
}

async function answer(world, token, request, response, url) {
  const path = url.pathname;
  if (path === "/healthz") return void response.end("ok\n");
  if (!path.startsWith("/api")) return page(request, response, path);
  if (token && request.headers.authorization !== `Bearer ${token}`) {
    throw new Problem(401, "Unauthorized", request.headers.authorization ? "this token is not known" : "a token is needed: `Authorization: Bearer TOKEN`");
  }
  if (!["GET", "HEAD"].includes(request.method) && !request.headers["x-tidegate"] && !/json|wasm|javascript|octet/.test(request.headers["content-type"] ?? "")) {
    throw new Problem(415, "Unsupported Media Type", "say `Content-Type: application/json` or `X-Tidegate: 1`");
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const parts = path.slice("/api/v1/".length).split("/").map(decodeURIComponent);
  const route = ROUTES.find(([method, pattern]) => method === request.method && fits(pattern, parts));
  if (!route) throw new Problem(404, "Not Found", "there is nothing at this path");
  const names = route[1].map((name, at) => (name === "*" ? parts[at] : null)).filter((name) => name !== null);
  const asked = { world, query: url.searchParams, body, names, request, response, read: () => JSON.parse(body.toString() || "{}") };
  const result = await route[2](asked);
  if (result === STREAM) return;
  if (result === undefined) return void response.writeHead(204).end();
  json(response, result.$status ?? 200, result.$status ? result.body : result);
}

const STREAM = Symbol("stream");
const fits = (pattern, parts) => pattern.length === parts.length && pattern.every((name, at) => name === "*" || name === parts[at]);

function json(response, status, body, type = "application/json") {
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(JSON.stringify(body));
}

function page(request, response, path) {
  const name = path.startsWith("/assets/") || path === "/icon.svg" ? path.slice(1) : "index.html";
  let body;
  try {
    body = readFileSync(dist + name.replaceAll("..", ""));
  } catch {
    throw new Problem(404, "Not Found", "there is nothing at this path");
  }
  const tag = `"${createHash("sha256").update(body).digest("hex").slice(0, 16)}"`;
  const headers = { "content-type": TYPES[name.split(".").pop()], "content-security-policy": POLICY, etag: tag, "cache-control": name.startsWith("assets/") ? "public, max-age=31536000, immutable" : "no-cache" };
  if (request.headers["if-none-match"] === tag) return void response.writeHead(304, headers).end();
  response.writeHead(200, headers).end(body);
}

function known(world, endpoint) {
  const client = world.client(endpoint);
  if (!client) throw new Problem(404, "Not Found", `no client is registered as \`${endpoint}\``, { type: "urn:tidegate:problem:unknown-client" });
  return client;
}

function translator(world, name) {
  const found = world.translators.find((it) => it.name === name);
  if (!found) throw new Problem(404, "Not Found", `there is no translator \`${name}\``);
  return found;
}

const ROUTES = [
  ["GET", ["status"], ({ world }) => world.status()],
  ["GET", ["series"], ({ world }) => ({ step_s: 2, samples: world.samples })],
  ["GET", ["events"], events],
  ["GET", ["clients"], ({ world, query }) => {
    try {
      return world.list(query);
    } catch (error) {
      throw new Problem(400, "Bad Request", error.message, { field: error.field });
    }
  }],
  ["GET", ["clients", "*"], ({ world, names: [ep] }) => world.detail(known(world, ep))],
  ["DELETE", ["clients", "*"], ({ world, names: [ep] }) => { world.remove(known(world, ep)); }],
  ["GET", ["clients", "*", "observations"], ({ world, names: [ep] }) => ({ data: world.observationsOf(known(world, ep).endpoint) })],
  ["GET", ["clients", "*", "queue"], ({ world, names: [ep] }) => ({ data: world.queueOf(known(world, ep)) })],
  ["POST", ["clients", "*", "operations"], async ({ world, names: [ep], read }) => {
    const client = known(world, ep);
    const body = read();
    if (!body.operation) throw new Problem(400, "Bad Request", "`operation` is missing", { field: "operation" });
    await new Promise((done) => setTimeout(done, 15 + Math.random() * 40));
    return world.perform(client, body);
  }],
  ["GET", ["operations", "*"], ({ world, names: [id] }) => ({ id, state: world.held.has(id) ? "answered" : "queued", answer: world.held.get(id) })],
  ["GET", ["clients", "*", "trace"], ({ world, names: [ep] }) => world.traceOf(known(world, ep).endpoint)],
  ["PUT", ["clients", "*", "trace"], ({ world, names: [ep] }) => world.startTrace(known(world, ep).endpoint)],
  ["DELETE", ["clients", "*", "trace"], ({ world, names: [ep] }) => { world.stopTrace(known(world, ep).endpoint); }],
  ["GET", ["translators"], ({ world }) => ({ data: world.translators })],
  ["POST", ["translators", "*", "reload"], ({ world, names: [name] }) => world.reload(translator(world, name))],
  ["POST", ["translators", "*", "revert"], ({ world, names: [name] }) => {
    if (!translator(world, name).can_revert) throw new Problem(409, "Conflict", "there is no generation before this one");
    return world.revert(translator(world, name));
  }],
  ["PUT", ["translators", "*", "artifact"], ({ world, names: [name], body, query, request }) => {
    const text = body.toString("latin1");
    const isWasm = text.startsWith("\0asm");
    if (!isWasm && !/export/.test(text)) {
      const at = text.split("\n").length;
      throw new Problem(422, "Unprocessable Content", `${name}.js: SyntaxError: expecting ';'\n    at line ${at}\nthe translator that serves stays as it is`);
    }
    return world.artifact(name, body, query.get("activate") !== "false", request.headers["content-type"]);
  }],
  ["POST", ["translators", "*", "try"], ({ world, names: [name], read }) => {
    const body = read();
    if (!body.event && !body.message) throw new Problem(400, "Bad Request", "either `event` or `message` is needed", { field: "event" });
    return world.attempt(translator(world, name), body);
  }],
  ["GET", ["translators", "*", "faults"], ({ world, names: [name] }) => ({ data: translator(world, name) && world.faultsOf(name) })],
  ["GET", ["models", "*"], ({ world, names: [id] }) => {
    const model = world.model(Number(id));
    if (!model) throw new Problem(404, "Not Found", `object ${id} has no definition`);
    return model;
  }],
  ["GET", ["log"], ({ world, query }) => ({ data: world.log(query.get("level"), Number(query.get("limit") ?? 500)) })],
  ["GET", ["mqtt", "topics"], ({ world }) => ({ data: world.topics() })],
];

function events({ world, query, response }) {
  const types = query.get("types")?.split(",");
  const endpoint = query.get("endpoint");
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(": hello\n\n");
  const listen = (event) => {
    if (types && !types.includes(event.type)) return;
    if (endpoint && event.endpoint !== endpoint) return;
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  };
  world.on("event", listen);
  response.on("close", () => world.off("event", listen));
  return STREAM;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { port: { type: "string", default: "18083" }, clients: { type: "string", default: "100000" }, token: { type: "string" } } });
  const { url } = await start({ port: Number(values.port), clients: Number(values.clients), token: values.token ?? null });
  console.log(url);
}
