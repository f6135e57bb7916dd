// What the gateway's API (`/api/v1`) answers, as far as the dashboard shows it.

export interface Client {
  endpoint: string;
  address: string;
  transport: "udp" | "dtls";
  identity: string | null;
  lwm2m_version: string;
  binding: string;
  queue_mode: boolean;
  awake: boolean | null;
  lifetime_s: number;
  registered_at: string;
  updated_at: string;
  expires_at: string;
  location: string;
  translators: string[];
}

export interface ClientDetail extends Client {
  objects: ClientObject[];
  attributes: Record<string, string | null>;
  observations: number | null;
  queued: number | null;
}

export interface ClientObject {
  id: number;
  version: string | null;
  instances: number[];
  name?: string;
}

export interface Page<T> {
  data: T[];
  meta: { page: number; limit: number; count: number; has_next: boolean };
}

export interface List<T> {
  data: T[];
}

export interface Model {
  id: number;
  version: string;
  name: string;
  resources: Resource[];
}

export interface Resource {
  id: number;
  name: string;
  /** Letters of R, W and E. */
  operations: string | null;
  type: string | null;
  units?: string | null;
  range?: string | null;
  multiple: boolean;
  mandatory: boolean;
  description?: string;
}

export interface Value {
  path: string;
  type?: string | null;
  value: unknown;
  name?: string;
  units?: string;
}

export interface Observation {
  id: number | string;
  paths: string[];
  asked_by: string;
  since?: string;
  last_at?: string;
  sequence?: number;
}

export interface Queued {
  id: number | string;
  operation: string;
  path: string;
  queued_at?: string;
  expires_at?: string | null;
  asked_by: string;
}

export interface Operation {
  operation: string;
  path: string;
  value?: unknown;
  arguments?: string;
}

export interface Outcome {
  endpoint: string;
  operation: string;
  path: string;
  code: string;
  success: boolean;
  took_ms: number;
  values?: Value[];
  links?: { target: string; attributes: Record<string, string> }[];
}

/** Something that waits for a sleeping client. */
export interface Pending {
  id: string;
  state: "queued" | "sent" | "answered" | "failed";
  answer?: Outcome;
  problem?: { status: number; title: string; detail: string };
}

export interface Trace {
  active_until: string | null;
  exchanges: Exchange[];
}

export interface Exchange {
  at: string;
  direction: "in" | "out";
  type: string;
  code: string;
  mid: number;
  token: string;
  options: { name: string; value: unknown }[];
  payload: { format?: string; text?: string; values?: unknown; base64?: string } | null;
  bytes: number;
  retransmitted: number;
}

export interface Translator {
  name: string;
  state: string;
  generation: number;
  artifact: string;
  sha256: string;
  since: string;
  settings: unknown;
  subscriptions: string[];
  totals: Record<string, number>;
  last_rejection?: { at: string; reason: string } | null;
  history: { at: string; generation: number; what: string; reason?: string }[];
  can_revert: boolean;
  draining: number;
}

export interface Fault {
  at: string;
  direction: string;
  cause: string;
  about: string | null;
  reason: string;
  outcome: string;
  input: unknown;
}

export interface Attempt {
  actions?: unknown[];
  fault?: unknown;
  fuel?: number;
  took_us?: number;
}

export interface Sample {
  at: string;
  /** Messages in the step. */
  up: number;
  down: number;
  faults: number;
  clients: number;
  outbox: number;
  resident_bytes: number;
  latency_p50_ms: number | null;
  latency_p99_ms: number | null;
  cpu: number;
}

export interface Series {
  step_s: number;
  samples: Sample[];
}

export interface Status {
  version: string;
  started_at?: string;
  uptime_s?: number;
  clients: number;
  mqtt: {
    broker: string;
    connected: boolean;
    subscribed: boolean;
    error: string | null;
    published: number;
    acknowledged: number;
    received: number;
    dropped?: Record<string, number>;
  };
  outbox: { waiting: number; bytes: number; dropped?: number; degraded?: boolean };
  process?: { resident_bytes: number; cpu_s: number; handles: number };
}

export interface LogLine {
  at: string;
  level: string;
  target: string;
  message: string;
  fields?: Record<string, unknown>;
}

export interface Topic {
  topic: string;
  count: number;
  last_at: string;
  qos: number;
  retain: boolean;
  bytes: number;
}

/** One of `/events`. */
export interface Event {
  at: string;
  type: string;
  endpoint?: string;
  path?: string;
  values?: Value[];
  [name: string]: unknown;
}
