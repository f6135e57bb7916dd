// Asks the gateway. Every request goes through `ask`; what comes back wrong is a `Problem` with a sentence for people.

import { signal } from "@preact/signals";

/** Why a request was not answered as it was meant; status 0: the gateway was not reached. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    detail: string,
    readonly field?: string,
  ) {
    super(detail);
  }
}

/** Whether the last request reached the gateway. */
export const reached = signal(true);
/** Whether the gateway wants a token that it has not got. */
export const signInNeeded = signal(false);
/** Why the token was refused, after one was given. */
export const refusal = signal("");

let token = read("tidegate.token");

/** Uses this token from now on, kept until the tab closes. */
export function signIn(given: string): void {
  token = given.trim();
  write("tidegate.token", token);
  refusal.value = "";
  signInNeeded.value = false;
}

/** Forgets the token. */
export function signOut(): void {
  token = "";
  write("tidegate.token", "");
  signInNeeded.value = true;
}

export function isSignedIn(): boolean {
  return token !== "";
}

interface Asked {
  method?: string;
  /** Sent as JSON, unless it is bytes. */
  body?: unknown;
  type?: string;
  signal?: AbortSignal;
}

/** What the gateway answers to this, parsed; `null` for no content. */
export async function ask<T>(path: string, asked: Asked = {}): Promise<T> {
  return (await askWithStatus<T>(path, asked)).body;
}

export async function askWithStatus<T>(path: string, asked: Asked = {}): Promise<{ status: number; body: T }> {
  const response = await send(path, asked);
  const text = await response.text();
  if (!response.ok) throw problem(response.status, response.statusText, text);
  try {
    return { status: response.status, body: (text === "" ? null : JSON.parse(text)) as T };
  } catch {
    throw new Problem(response.status, "", `/api/v1/${path}: ${text.slice(0, 200)}`);
  }
}

/** A stream of server-sent events, until the signal aborts or the gateway ends it. */
export async function follow(path: string, signal: AbortSignal, take: (type: string, data: string) => void): Promise<void> {
  const response = await send(path, { signal });
  if (!response.ok || !response.body) throw problem(response.status, response.statusText, await response.text());
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parse = eventParser(take);
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    parse(value);
  }
}

/** Takes a stream of events in pieces, wherever they were cut. */
export function eventParser(take: (type: string, data: string) => void): (piece: string) => void {
  let rest = "";
  let type = "message";
  let data: string[] = [];
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) take(type, data.join("\n"));
        type = "message";
        data = [];
      } else if (line.startsWith("event:")) {
        type = line.slice(6).trim();
      } else if (line.startsWith("data:")) {
        data.push(line.slice(5).replace(/^ /, ""));
      }
    }
  };
}

/** A query of those that are set. */
export function query(values: Record<string, string | number | boolean | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

/** The path of a client. */
export function clientPath(endpoint: string, rest = ""): string {
  return `clients/${encodeURIComponent(endpoint)}${rest}`;
}

async function send(path: string, { method = "GET", body, type, signal }: Asked): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", "X-Tidegate": "1" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const isBytes = body instanceof Blob || body instanceof ArrayBuffer;
  if (body !== undefined) headers["Content-Type"] = type ?? (isBytes ? "application/octet-stream" : "application/json");
  const init: RequestInit = { method, headers, credentials: "omit" };
  if (body !== undefined) init.body = isBytes ? (body as BodyInit) : JSON.stringify(body);
  if (signal) init.signal = signal;
  let response: Response;
  try {
    response = await fetch(`/api/v1/${path}`, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    reached.value = false;
    throw new Problem(0, "", "");
  }
  reached.value = true;
  return response;
}

function problem(status: number, title: string, text: string): Problem {
  let body: { title?: string; detail?: string; field?: string } = {};
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    body = { detail: text.slice(0, 400) };
  }
  if (status === 401) {
    if (token) refusal.value = body.detail ?? "";
    signInNeeded.value = true;
  }
  return new Problem(status, body.title ?? title, body.detail || body.title || title || String(status), body.field);
}

function read(name: string): string {
  try {
    return sessionStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}

function write(name: string, value: string): void {
  try {
    sessionStorage.setItem(name, value);
  } catch {
    // Kept for this page only.
  }
}
