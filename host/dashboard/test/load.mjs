// A module of src/ as the tests can import it.
import { build } from "esbuild";

globalThis.sessionStorage ??= memory();
globalThis.localStorage ??= memory();

export async function load(path) {
  const result = await build({ absWorkingDir: new URL("..", import.meta.url).pathname, entryPoints: [path], bundle: true, format: "esm", platform: "browser", write: false, logLevel: "warning" });
  return import(`data:text/javascript;base64,${Buffer.from(result.outputFiles[0].contents).toString("base64")}`);
}

function memory() {
  const kept = new Map();
  return { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value) };
}
