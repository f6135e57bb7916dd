// Builds the dashboard into a folder (dist/ unless told otherwise): `node build.mjs [FOLDER]`.
//
// Called by scripts/dashboard-build. Beside the files it writes `files.rs`, the table that host/src/admin/page.rs includes.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? join(here, "dist");
/** Of all files together, in bytes. */
const LARGEST = 250_000;

const result = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  outdir: join(out, "assets"),
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  charset: "utf8",
  legalComments: "eof",
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".svg": "text" },
  metafile: true,
  write: false,
  logLevel: "warning",
});

const files = result.outputFiles.map((file) => ({
  path: `assets/${file.path.split(/[\\/]/).pop()}`,
  body: Buffer.from(file.contents),
}));
const named = (suffix) => `/${files.find((file) => file.path.endsWith(suffix)).path}`;
const index = readFileSync(join(here, "src/index.html"), "utf8").replace("{{script}}", named(".js")).replace("{{style}}", named(".css"));
files.push({ path: "index.html", body: Buffer.from(index) });
files.push({ path: "icon.svg", body: readFileSync(join(here, "src/icon.svg")) });
files.sort((a, b) => (a.path < b.path ? -1 : 1));

const size = files.reduce((sum, file) => sum + file.body.length, 0);
if (size > LARGEST) {
  throw new Error(`the dashboard is ${size} bytes, over ${LARGEST}`);
}
rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "assets"), { recursive: true });
for (const file of files) {
  writeFileSync(join(out, file.path), file.body);
}
writeFileSync(join(out, "files.rs"), table(files));
console.log(`dashboard: ${files.length} files, ${size} bytes`);

/** The table that the gateway embeds. */
function table(files) {
  const types = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml" };
  const rows = files.map(({ path, body }) => {
    const tag = createHash("sha256").update(body).digest("hex").slice(0, 16);
    const kind = types[path.split(".").pop()];
    return `    File { path: "/${path}", kind: "${kind}", tag: "\\"${tag}\\"", body: include_bytes!("${path}") },\n`;
  });
  return `// Written by scripts/dashboard-build.\n&[\n${rows.join("")}]\n`;
}
