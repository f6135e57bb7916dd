// Numbers, times and values as people read them. Locale comes from `text.ts`.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 1234567 as `1,234,567`. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : Math.round(value).toLocaleString("en-US");
}

/** 8412 as `8.41k`: three digits that fit in a tile. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return `${digits(value / 1e9)}G`;
  if (size >= 1e6) return `${digits(value / 1e6)}M`;
  if (size >= 1e4) return `${digits(value / 1e3)}k`;
  return size >= 1000 ? count(value) : digits(value);
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  let unit = 0;
  let left = value;
  while (Math.abs(left) >= 1024 && unit < UNITS.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? left : digits(left)} ${UNITS[unit]}`;
}

/** Seconds as `2d 3h`, the two largest parts. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return "0s";
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join(" ");
}

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return value < 1 ? `${digits(value * 1000)} µs` : value < 1000 ? `${digits(value)} ms` : `${digits(value / 1000)} s`;
}

/** The time of day. */
export function clock(at: string, withMilliseconds = false): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return at;
  const two = (part: number) => String(part).padStart(2, "0");
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return withMilliseconds ? `${time}.${String(date.getMilliseconds()).padStart(3, "0")}` : time;
}

/** Day and time of day. */
export function moment(at: string | null | undefined): string {
  if (!at) return "–";
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return at;
  const two = (part: number) => String(part).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at)}`;
}

/** Seconds since then; negative if it is to come. */
export function age(at: string, now = Date.now()): number {
  return (now - new Date(at).getTime()) / 1000;
}

/** What a resource of this type holds. */
export function value(of: unknown, type?: string | null): string {
  if (type === "time" && typeof of === "number") return moment(new Date(of * 1000).toISOString());
  if (of === null || of === undefined) return "–";
  if (typeof of === "object") return JSON.stringify(of);
  return String(of);
}

function digits(of: number): string {
  const size = Math.abs(of);
  return of.toLocaleString("en-US", { maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : 2, useGrouping: false });
}

/** What was typed for a resource of this type, as the API takes it; an `Error` says why it cannot be. */
export function parse(text: string, type: string | null | undefined): unknown {
  const given = text.trim();
  switch ((type ?? "string").toLowerCase()) {
    case "integer":
    case "unsigned":
    case "unsigned integer":
      if (!/^[+-]?\d+$/.test(given)) throw new Error("integer");
      if (!Number.isSafeInteger(Number(given))) throw new Error("integer");
      return Number(given);
    case "float": {
      const number = Number(given);
      if (given === "" || !Number.isFinite(number)) throw new Error("float");
      return number;
    }
    case "boolean":
      if (given !== "true" && given !== "false") throw new Error("boolean");
      return given === "true";
    case "time": {
      const date = new Date(given);
      if (given === "" || Number.isNaN(date.getTime())) throw new Error("time");
      return date.toISOString().replace(".000Z", "Z");
    }
    case "opaque":
      if (!/^[A-Za-z0-9+/]*={0,2}$/.test(given) || given.length % 4 !== 0) throw new Error("opaque");
      return given;
    case "object-link":
    case "objlnk":
      if (!/^\d+:\d+$/.test(given)) throw new Error("objlnk");
      return given;
    default:
      return text;
  }
}
