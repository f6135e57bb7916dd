// What is known of a client's resources: from answers to this page, and from notifications while it is open.

import { signal, type Signal } from "@preact/signals";
import { Problem, ask, askWithStatus, clientPath } from "../api";
import { reason, t } from "../text";
import { say } from "../part";
import type { Operation, Outcome, Pending, Value } from "../type";

export interface Reading {
  value: unknown;
  at: number;
}

/** Points that are kept of a resource. */
const KEPT = 600;

export class Readings {
  /** The last value by path. */
  readonly last: Signal<ReadonlyMap<string, Reading>> = signal(new Map());
  /** Numbers over time by path: seconds, values. */
  readonly series: Signal<ReadonlyMap<string, [number[], number[]]>> = signal(new Map());
  /** Paths that the client has said it has. */
  readonly present: Signal<ReadonlySet<string>> = signal(new Set());
  /** Instances whose resources the client has told: all of them (discover), or those that can be read. */
  readonly told: Signal<ReadonlyMap<string, "discover" | "read">> = signal(new Map());
  /** Attributes of paths, as discovered. */
  readonly attributes: Signal<ReadonlyMap<string, Record<string, string>>> = signal(new Map());
  /** Paths that an operation is being done on. */
  readonly busy: Signal<ReadonlySet<string>> = signal(new Set());

  constructor(
    readonly endpoint: string,
    /** Called when observations or the queue may have changed. */
    private readonly changed: () => void,
  ) {}

  /** Keeps these values, of this time. */
  take(values: Value[], at = Date.now()): void {
    if (values.length === 0) return;
    const last = new Map(this.last.value);
    const series = new Map(this.series.value);
    const present = new Set(this.present.value);
    for (const { path, value, type } of values) {
      last.set(path, { value, at });
      present.add(path);
      if (type === "time") continue;
      if (typeof value !== "number" && typeof value !== "boolean") continue;
      const [times, numbers] = series.get(path) ?? [[], []];
      series.set(path, [[...times, at / 1000].slice(-KEPT), [...numbers, Number(value)].slice(-KEPT)]);
    }
    this.last.value = last;
    this.series.value = series;
    this.present.value = present;
  }

  /** Does it and says how it went; undefined if it went wrong. */
  async perform(operation: Operation): Promise<Outcome | undefined> {
    const key = `${operation.operation} ${operation.path}`;
    if (this.busy.value.has(key)) return undefined;
    this.busy.value = new Set([...this.busy.value, key]);
    try {
      const outcome = await this.ask(operation);
      this.settle(operation, outcome);
      return outcome.success ? outcome : undefined;
    } catch (error) {
      say("bad", `${operation.path}: ${reason(error)}`);
      return undefined;
    } finally {
      this.busy.value = new Set([...this.busy.value].filter((it) => it !== key));
      this.changed();
    }
  }

  private async ask(operation: Operation): Promise<Outcome> {
    const { status, body } = await askWithStatus<Outcome | Pending>(clientPath(this.endpoint, "/operations?timeout=30"), { method: "POST", body: operation });
    if (status !== 202) return body as Outcome;
    const { id } = body as Pending;
    say("calm", t("operation.queued"));
    this.changed();
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const { answer, problem } = await ask<Pending>(`operations/${encodeURIComponent(id)}`);
      if (answer) return answer;
      if (problem) throw new Problem(problem.status, problem.title, problem.detail);
    }
  }

  private settle(operation: Operation, outcome: Outcome): void {
    if (!outcome.success) {
      say("bad", t("operation.refused", { path: operation.path, code: outcome.code, meaning: CODES[outcome.code] ?? "" }));
      return;
    }
    this.take(outcome.values ?? []);
    const { operation: name, path } = operation;
    if ((name === "read" || name === "discover") && path.split("/").length === 3 && this.told.value.get(path) !== "discover") {
      this.told.value = new Map([...this.told.value, [path, name]]);
    }
    if (operation.operation === "write") {
      this.take([{ path: operation.path, value: operation.value }]);
    }
    if (outcome.links) {
      const attributes = new Map(this.attributes.value);
      const present = new Set(this.present.value);
      for (const link of outcome.links) {
        attributes.set(link.target, link.attributes);
        present.add(link.target);
      }
      this.attributes.value = attributes;
      this.present.value = present;
    }
    say("good", t("operation.done", { operation: outcome.operation, path: operation.path, code: outcome.code, ms: outcome.took_ms }));
  }
}

/** Ends a client's registration. */
export function deregister(endpoint: string): Promise<void> {
  return ask(clientPath(endpoint), { method: "DELETE" });
}

/** RFC 7252, section 12.1.2. */
const CODES: Record<string, string> = {
  "4.00": "Bad Request",
  "4.01": "Unauthorized",
  "4.02": "Bad Option",
  "4.03": "Forbidden",
  "4.04": "Not Found",
  "4.05": "Method Not Allowed",
  "4.06": "Not Acceptable",
  "4.08": "Request Entity Incomplete",
  "4.09": "Conflict",
  "4.12": "Precondition Failed",
  "4.13": "Request Entity Too Large",
  "4.15": "Unsupported Content-Format",
  "5.00": "Internal Server Error",
  "5.01": "Not Implemented",
  "5.03": "Service Unavailable",
};
