// What a script of the plugin folder runs in: QuickJS as a translator. scripts/engine-build makes a component of this
// file; the gateway hands the script over as its settings.
//
// `configure` evaluates the script; `uplink` and `downlink` turn the contract's values into plain objects, call the
// script's functions, and turn what they return into actions. At the end the shape of LoRaWAN codecs, as such functions.
import { write } from 'tidegate:translator/log@1.0.0';

/** The script's functions, once it is configured. */
let script = {};

export const setup = {
  configure(text) {
    const given = JSON.parse(text);
    const settings = freeze(given.settings ?? {});
    globalThis.settings = settings;
    let functions;
    try {
      functions = evaluate(given.script.source);
    } catch (error) {
      throw [diagnostic(given.script.name, error)];
    }
    try {
      script = given.codec || functions.decodeUplink || functions.encodeDownlink
        ? codec(functions, given.codec ?? {}, settings)
        : functions;
      return subscriptions(script, settings);
    } catch (error) {
      throw [diagnostic(given.script.name, error)];
    }
  },
};

export const uplink = {
  translate(event) {
    if (!script.uplink) return [];
    const plain = fromEvent(event);
    return guard(() => actions(script.uplink(plain), plain.endpoint));
  },
};

export const downlink = {
  translate(message) {
    if (!script.downlink) return [];
    const plain = new Message(message);
    return guard(() => actions(script.downlink(plain), undefined));
  },
};

// ---- the script --------------------------------------------------------------------------------------------------

/** Evaluates a script as it stands, so that line and column of an error are its own. */
function evaluate(source) {
  // `export` says nothing here; blanks in its place keep the columns.
  const plain = source.replace(/^([ \t]*)export[ \t]+(?=(?:function|const|let|var|class)\b)/gm, (all, indent) => indent + ' '.repeat(all.length - indent.length));
  const names = ['configure', 'subscriptions', 'uplink', 'downlink', 'decodeUplink', 'encodeDownlink'];
  const fields = names.map((name) => `${name}: typeof ${name} === 'undefined' ? undefined : ${name}`);
  // The line break ends a comment in the last line.
  const found = (0, eval)(`${plain}\n;({ ${fields.join(', ')} })`);
  for (const name of ['configure', 'uplink', 'downlink', 'decodeUplink', 'encodeDownlink']) {
    if (found[name] !== undefined && typeof found[name] !== 'function') throw new TypeError(`${name} must be a function`);
  }
  if (!found.uplink && !found.downlink && !found.decodeUplink && !found.encodeDownlink) {
    throw new TypeError('it defines none of the functions uplink, downlink, decodeUplink and encodeDownlink');
  }
  return found;
}

function subscriptions(functions, settings) {
  let wanted = functions.subscriptions ?? [];
  if (functions.configure) wanted = functions.configure(settings) ?? wanted;
  if (typeof wanted === 'string' || Array.isArray(wanted)) wanted = { subscriptions: wanted };
  if (typeof wanted !== 'object') throw new TypeError('configure must return an array of topic filters, or an object with them as `subscriptions`');
  return {
    filters: list(wanted.subscriptions ?? []).map((of) => (typeof of === 'string' ? { filter: of, qos: QOS[0] } : { filter: text(of.filter, 'filter of a subscription'), qos: qos(of.qos) })),
    parameters: list(wanted.parameters ?? []).map((name) => text(name, 'name of a parameter')),
    attributes: [],
  };
}

function diagnostic(name, error) {
  return { key: place(error) ? `${name}:${place(error)}` : name, text: describe(error) };
}

/** `line:column` of the script where an error comes from, if it says so. */
function place(error) {
  const found = /<(?:input|evalScript|eval)>:(\d+)(?::(\d+))?/.exec(String(error?.stack ?? ''));
  if (!found) return undefined;
  return found[2] === undefined ? found[1] : `${found[1]}:${found[2]}`;
}

function describe(error) {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Runs what belongs to the script; what it throws becomes a fault. */
function guard(run) {
  try {
    return run();
  } catch (error) {
    const kind = error instanceof Unsupported ? 'unsupported' : error instanceof Malformed ? 'malformed' : 'internal';
    const at = kind === 'internal' ? place(error) : undefined;
    const said = kind === 'internal' ? describe(error) : error.message;
    throw { tag: kind, val: at === undefined ? said : `${said} (line ${at.replace(':', ', column ')})` };
  }
}

/** To be thrown by scripts: not meant for this translator. */
class Unsupported extends Error {}
/** To be thrown by scripts: the input is wrong. */
class Malformed extends Error {}

// ---- from the contract -------------------------------------------------------------------------------------------

function fromEvent({ tag, val }) {
  const event = { type: tag, endpoint: val.client.endpoint, labels: fromPairs(val.client.attributes), received: Number(val.received) };
  if (val.path !== undefined) event.path = fromPath(val.path);
  if (val.operation !== undefined) event.operation = val.operation;
  if (val.context !== undefined) event.context = val.context;
  if (val.code !== undefined) event.code = `${val.code >> 5}.${String(val.code & 31).padStart(2, '0')}`;
  if (val.delivery !== undefined) event.delivery = val.delivery;
  if (val.sequence !== undefined && val.sequence !== null) event.sequence = val.sequence;
  if (val.location !== undefined) event.location = val.location;
  if (val.content !== undefined) fromContent(val.content, event);
  if (val.registration !== undefined) event.registration = fromRegistration(val.registration);
  if (val.previous) event.previous = fromRegistration(val.previous);
  if (val.linksChanged !== undefined) event.linksChanged = val.linksChanged;
  if (val.reason !== undefined) event.reason = val.reason;
  if (val.stage !== undefined) event.stage = val.stage.val === undefined ? val.stage.tag : { transferred: val.stage.val.map(Number) };
  if (val.failure !== undefined) event.failure = val.failure.val === undefined ? val.failure.tag : `${val.failure.tag}: ${val.failure.val}`;
  return event;
}

function fromContent(content, event) {
  event.payload = content.payload;
  event.format = content.format ?? undefined;
  event.problem = content.problem ?? undefined;
  event.samples = content.samples.map(fromSample);
}

function fromSample({ path, value, kind, taken }) {
  const sample = { path: fromPath(path), value: fromValue(value), type: value.tag };
  // The engine has 64-bit integers as numbers only.
  if (typeof sample.value === 'number' && value.tag !== 'float' && !Number.isSafeInteger(sample.value)) sample.exact = false;
  if (kind !== undefined && kind !== null) sample.kind = kind;
  if (taken !== undefined && taken !== null) sample.time = Number(taken);
  return sample;
}

function fromValue({ tag, val }) {
  switch (tag) {
    case 'unsigned':
      // The engine hands all 64 bits over as a signed number.
      return val < 0 ? Number(val) + 2 ** 64 : Number(val);
    case 'integer':
    case 'time':
      return Number(val);
    case 'object-link':
      return `${val.object}:${val.objectInstance}`;
    case 'null':
      return null;
    default:
      return val;
  }
}

function fromPath(path) {
  if (path.object === undefined || path.object === null) return '/';
  let text = `/${path.object}`;
  if (path.objectInstance === undefined || path.objectInstance === null) return text;
  text += `/${path.objectInstance}`;
  if (path.resource === undefined || path.resource === null) return text;
  text += `/${path.resource}`;
  return path.resourceInstance === undefined || path.resourceInstance === null ? text : `${text}/${path.resourceInstance}`;
}

function fromRegistration(of) {
  return {
    location: of.location,
    version: of.version,
    lifetime: of.lifetime,
    binding: of.binding,
    queueMode: of.queueMode,
    alternatePath: of.alternatePath,
    objects: of.objects.map((link) => ({ path: fromPath(link.path), attributes: fromPairs(link.attributes) })),
    parameters: fromPairs(of.parameters),
    links: decodeUtf8(of.links),
    peer: of.peer,
    attributes: fromPairs(of.attributes),
  };
}

function fromPairs(pairs) {
  const object = {};
  for (const [name, value] of pairs) Object.defineProperty(object, name, { value: value ?? null, enumerable: true, writable: true, configurable: true });
  return object;
}

/** An MQTT message; text and JSON are made when they are asked for. */
class Message {
  constructor(of) {
    this.topic = of.topic;
    this.payload = of.payload;
    this.qos = QOS.indexOf(of.qos);
    this.retain = of.retain;
    this.responseTopic = of.properties.responseTopic ?? undefined;
    this.correlation = of.properties.correlation ?? undefined;
    this.expiry = of.properties.expiry ?? undefined;
    this.contentType = of.properties.contentType ?? undefined;
    this.user = of.properties.user;
  }

  get text() {
    return decodeUtf8(this.payload);
  }

  get json() {
    try {
      return JSON.parse(this.text);
    } catch (error) {
      throw new Malformed(`the message on ${this.topic} is not JSON: ${error.message}`);
    }
  }
}

// ---- to the contract ---------------------------------------------------------------------------------------------

function actions(returned, endpoint) {
  if (returned === undefined || returned === null) return [];
  if (typeof returned.then === 'function') throw new TypeError('an async function cannot be called: a translator waits for nothing');
  return list(returned).map((of) => action(of, endpoint));
}

function action(of, endpoint) {
  if (typeof of !== 'object' || of === null) throw new TypeError(`an action must be an object, not ${typeof of}`);
  if (of.topic !== undefined) return { tag: 'publish', val: toMessage(of) };
  const name = Object.keys(OPERATIONS).find((name) => of[name] !== undefined);
  if (name === undefined) throw new TypeError(`an action needs \`topic\` or one of ${Object.keys(OPERATIONS).join(', ')}; it has ${Object.keys(of).join(', ') || 'nothing'}`);
  const recipients = of.parameter !== undefined
    ? [{ tag: 'parameter', val: [text(of.parameter[0], 'name of the parameter'), text(of.parameter[1], 'value of the parameter')] }]
    : [{ tag: 'endpoint', val: text(of.endpoint ?? endpoint, 'endpoint of the request') }];
  return {
    tag: 'perform',
    val: {
      recipients,
      operation: OPERATIONS[name](of),
      context: of.context === undefined ? '' : text(of.context, 'context'),
      expiry: of.expiry,
      urgent: of.urgent === true,
      attributes: [],
    },
  };
}

function toMessage(of) {
  return {
    topic: text(of.topic, 'topic'),
    payload: toPayload(of.payload),
    qos: qos(of.qos),
    retain: of.retain === true,
    properties: {
      responseTopic: of.responseTopic,
      correlation: of.correlation === undefined ? undefined : toPayload(of.correlation),
      expiry: of.expiry,
      contentType: of.contentType,
      user: Array.isArray(of.user) ? of.user : Object.entries(of.user ?? {}),
    },
  };
}

const OPERATIONS = {
  read: (of) => ({ tag: 'read', val: { path: toPath(of.read), queries: list(of.queries ?? []), accept: of.accept } }),
  discover: (of) => ({ tag: 'discover', val: { path: toPath(of.discover), queries: list(of.queries ?? []), depth: of.depth } }),
  write: (of) => ({ tag: 'write', val: toWrite(of, of.write) }),
  writeAttributes: (of) => ({ tag: 'write-attributes', val: { path: toPath(of.writeAttributes), values: Object.entries(of.values ?? {}).map(([name, value]) => [name, value === null ? undefined : String(value)]) } }),
  execute: (of) => ({ tag: 'execute', val: { path: toPath(of.execute), queries: list(of.queries ?? []), arguments: of.arguments === undefined ? undefined : String(of.arguments) } }),
  create: (of) => ({ tag: 'create', val: { path: toPath(of.create), queries: list(of.queries ?? []), body: toBody(of, of.values ?? {}) } }),
  delete: (of) => ({ tag: 'delete', val: { path: toPath(of.delete), queries: list(of.queries ?? []) } }),
  observe: (of) => ({ tag: 'observe', val: { path: toPath(of.observe), queries: list(of.queries ?? []), accept: of.accept } }),
  cancelObservation: (of) => ({ tag: 'cancel-observation', val: { path: toPath(of.cancelObservation), queries: list(of.queries ?? []), mode: of.mode ?? 'active' } }),
  readComposite: (of) => ({ tag: 'read-composite', val: { paths: list(of.readComposite).map(toPath), accept: of.accept } }),
  writeComposite: (of) => ({ tag: 'write-composite', val: { body: toBody(of, of.writeComposite) } }),
  observeComposite: (of) => ({ tag: 'observe-composite', val: { paths: list(of.observeComposite).map(toPath), accept: of.accept } }),
  cancelObservationComposite: (of) => ({ tag: 'cancel-observation-composite', val: { paths: list(of.cancelObservationComposite).map(toPath), mode: of.mode ?? 'active' } }),
};

/** `write: "/3/0/14", value: …`, `write: "/5/0/0", payload: …, format: 42`, or `write: { "/3311/0/5850": true, … }`. */
function toWrite(of, target) {
  const queries = list(of.queries ?? []);
  if (typeof target === 'string') {
    const path = toPath(target);
    const body = of.payload !== undefined ? toBody(of, {}) : { tag: 'samples', val: [toSample(target, of.type === undefined ? of.value : { value: of.value, type: of.type })] };
    return { path, queries, mode: of.mode ?? (path.resource === undefined ? 'update' : 'replace'), body };
  }
  const paths = Object.keys(target).map(toPath);
  if (paths.length === 0) throw new TypeError('a write without values');
  if (paths.length === 1) return { path: paths[0], queries, mode: of.mode ?? 'replace', body: toBody(of, target) };
  const [first] = paths;
  if (!paths.every((path) => path.object === first.object && path.objectInstance === first.objectInstance && path.resource !== undefined)) {
    throw new TypeError('one write is for resources of one object instance; for more there is writeComposite');
  }
  return { path: { object: first.object, objectInstance: first.objectInstance }, queries, mode: of.mode ?? 'update', body: toBody(of, target) };
}

function toBody(of, values) {
  if (of.payload !== undefined) return { tag: 'encoded', val: { format: of.format, payload: toPayload(of.payload) } };
  return { tag: 'samples', val: Object.entries(values).map(([path, value]) => toSample(path, value)) };
}

function toSample(path, value) {
  return { path: toPath(path), value: toValue(value, path), kind: undefined, taken: undefined };
}

/** The type follows JavaScript's; `{ value, type }` says it. */
function toValue(value, path) {
  if (typeof value === 'object' && value !== null && value.type !== undefined && !(value instanceof Uint8Array)) {
    return typed(value.type, value.value, path);
  }
  switch (typeof value) {
    case 'boolean':
      return { tag: 'boolean', val: value };
    case 'string':
      return { tag: 'text', val: value };
    case 'bigint':
      return typed('integer', value, path);
    case 'number':
      return Number.isSafeInteger(value) ? { tag: 'integer', val: value } : { tag: 'float', val: value };
    default:
      if (value === null) return { tag: 'null' };
      if (value instanceof Uint8Array || Array.isArray(value)) return { tag: 'opaque', val: bytes(value, `value of ${path}`) };
      throw new TypeError(`the value of ${path} must be a boolean, number, text, bytes or null, not ${typeof value}`);
  }
}

function typed(type, value, path) {
  switch (type) {
    case 'integer':
    case 'unsigned':
    case 'time':
      // The engine takes 64 bits as a number: what is not exact as one is refused rather than changed.
      if (!Number.isSafeInteger(Number(value))) throw new TypeError(`the value of ${path} must be an integer within 2^53, not ${String(value)}`);
      return { tag: type, val: Number(value) };
    case 'float':
      return { tag: type, val: Number(value) };
    case 'boolean':
      return { tag: type, val: Boolean(value) };
    case 'text':
    case 'core-link':
      return { tag: type, val: String(value) };
    case 'opaque':
      return { tag: type, val: bytes(value, `value of ${path}`) };
    case 'object-link': {
      const [object, objectInstance] = String(value).split(':').map(Number);
      return { tag: type, val: { object, objectInstance } };
    }
    default:
      throw new TypeError(`the value of ${path} has the type ${type}, which LwM2M does not have`);
  }
}

function toPath(path) {
  const found = /^\/(?:(\d{1,5})(?:\/(\d{1,5})(?:\/(\d{1,5})(?:\/(\d{1,5}))?)?)?)?$/.exec(String(path));
  if (!found) throw new TypeError(`${String(path)} is not a path such as "/3/0/1"`);
  const [object, objectInstance, resource, resourceInstance] = found.slice(1).map((id) => {
    if (id !== undefined && Number(id) > 65535) throw new TypeError(`${path} has an id above 65535`);
    return id === undefined ? undefined : Number(id);
  });
  return { object, objectInstance, resource, resourceInstance };
}

function toPayload(of) {
  if (of === undefined || of === null) return new Uint8Array(0);
  if (typeof of === 'string') return encodeUtf8(of);
  if (of instanceof Uint8Array) return of;
  if (of instanceof ArrayBuffer) return new Uint8Array(of);
  return encodeUtf8(json(of));
}

/** JSON in which large integers are numbers, and bytes base64. */
function json(of) {
  const large = [];
  const text = JSON.stringify(of, (_, value) => {
    if (typeof value === 'bigint') return `\u0000${large.push(value.toString()) - 1}\u0000`;
    return value instanceof Uint8Array ? btoa(String.fromCharCode(...value)) : value;
  });
  if (text === undefined) throw new TypeError('the payload cannot be written as JSON');
  return large.length === 0 ? text : text.replace(/"\\u0000(\d+)\\u0000"/g, (_, at) => large[at]);
}

function bytes(of, what) {
  if (of instanceof Uint8Array) return of;
  if (Array.isArray(of) && of.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255)) return Uint8Array.from(of);
  throw new TypeError(`the ${what} must be bytes: a Uint8Array or an array of numbers from 0 to 255`);
}

function text(of, what) {
  if (typeof of !== 'string') throw new TypeError(`the ${what} must be text, not ${of === undefined ? 'missing' : typeof of}`);
  return of;
}

function list(of) {
  return Array.isArray(of) ? of : [of];
}

function qos(of) {
  const name = QOS[of ?? 0];
  if (name === undefined) throw new TypeError(`qos must be 0, 1 or 2, not ${String(of)}`);
  return name;
}

function freeze(of) {
  if (typeof of === 'object' && of !== null) {
    Object.values(of).forEach(freeze);
    Object.freeze(of);
  }
  return of;
}

const QOS = ['at-most-once', 'at-least-once', 'exactly-once'];

// ---- LoRaWAN codecs (TS013) --------------------------------------------------------------------------------------

/** The functions of a translator that does with opaque bytes what `decodeUplink` and `encodeDownlink` say. */
function codec(functions, options, variables) {
  const resource = options.resource;
  const up = options.uplink ?? 'up/${endpoint}';
  const down = options.downlink ?? 'dn/${endpoint}';
  const written = options.write ?? resource;
  const fPort = options.fPort ?? 1;
  if (functions.encodeDownlink && written === undefined) throw new TypeError('encodeDownlink needs `write`, or `resource`, in [codec]: the path that its bytes are written to');
  if (functions.encodeDownlink && !down.includes('${endpoint}')) throw new TypeError('`downlink` in [codec] must have the level ${endpoint}');
  const observed = list(options.observe ?? (resource === undefined ? [] : resource));
  const decode = (event, path, data) => {
    const input = { bytes: Array.from(data), fPort, recvTime: new Date(event.received), variables };
    const { data: fields, warnings, errors } = result('decodeUplink', functions.decodeUplink(input));
    if (errors?.length) throw new Malformed(`decodeUplink: ${errors.join('; ')}`);
    const payload = { endpoint: event.endpoint, path, received: new Date(event.received).toISOString(), data: fields };
    if (warnings?.length) payload.warnings = warnings;
    return { topic: up.replace('${endpoint}', () => topicLevel(event.endpoint)), payload, qos: options.qos ?? 0 };
  };
  return {
    subscriptions: functions.encodeDownlink ? [{ filter: down.replace('${endpoint}', '+'), qos: options.qos ?? 0 }] : [],
    uplink(event) {
      if (event.type === 'registered') return observed.map((path) => ({ observe: path }));
      if (!functions.decodeUplink || event.payload === undefined || !(event.code ?? '2.05').startsWith('2.')) return [];
      if (resource !== undefined) {
        const isWanted = ({ path, value }) => value instanceof Uint8Array && (path === resource || path.startsWith(`${resource}/`));
        return event.samples.filter(isWanted).map((sample) => decode(event, sample.path, sample.value));
      }
      return event.payload.length === 0 ? [] : [decode(event, event.path ?? '/', event.payload)];
    },
    downlink(message) {
      const level = down.split('/').indexOf('${endpoint}');
      const endpoint = fromTopicLevel(message.topic.split('/')[level] ?? '');
      const said = message.json;
      const input = { data: said?.data ?? said, fPort: said?.fPort ?? fPort, variables };
      const { bytes: data, errors } = result('encodeDownlink', functions.encodeDownlink(input));
      if (errors?.length) throw new Malformed(`encodeDownlink: ${errors.join('; ')}`);
      return [{ endpoint, write: written, value: { value: data, type: 'opaque' } }];
    },
  };
}

function result(name, of) {
  if (typeof of !== 'object' || of === null) throw new TypeError(`${name} must return an object`);
  return of;
}

// ---- what scripts find -------------------------------------------------------------------------------------------

/** A text as one safe level of a topic. */
function topicLevel(text) {
  return text.replace(/[/+#%\u0000-\u001f\u007f-\u009f]/g, (character) => Array.from(encodeUtf8(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''));
}

function fromTopicLevel(level) {
  return level.includes('%') ? decodeUtf8(Uint8Array.from(unescaped(level))) : level;
}

function* unescaped(level) {
  const raw = encodeUtf8(level);
  for (let at = 0; at < raw.length; at += 1) {
    const digits = raw[at] === 0x25 ? String.fromCharCode(raw[at + 1] ?? 0, raw[at + 2] ?? 0) : '';
    if (/^[0-9a-fA-F]{2}$/.test(digits)) {
      yield parseInt(digits, 16);
      at += 2;
    } else {
      yield raw[at];
    }
  }
}

function encodeUtf8(text) {
  const out = new Uint8Array(text.length * 3);
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    let point = text.charCodeAt(at);
    if (point >= 0xd800 && point < 0xe000) {
      point = text.codePointAt(at);
      if (point > 0xffff) at += 1;
      else point = 0xfffd; // half of a pair
    }
    if (point < 0x80) {
      out[length++] = point;
    } else if (point < 0x800) {
      out[length++] = 0xc0 | (point >> 6);
      out[length++] = 0x80 | (point & 63);
    } else if (point < 0x10000) {
      out[length++] = 0xe0 | (point >> 12);
      out[length++] = 0x80 | ((point >> 6) & 63);
      out[length++] = 0x80 | (point & 63);
    } else {
      out[length++] = 0xf0 | (point >> 18);
      out[length++] = 0x80 | ((point >> 12) & 63);
      out[length++] = 0x80 | ((point >> 6) & 63);
      out[length++] = 0x80 | (point & 63);
    }
  }
  return out.slice(0, length);
}

/** What is not UTF-8 becomes U+FFFD, as in a browser. */
function decodeUtf8(of) {
  let text = '';
  for (let at = 0; at < of.length; ) {
    const first = of[at++];
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const more = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0;
    let point = first & (0x3f >> more);
    let taken = 0;
    while (taken < more && (of[at] & 0xc0) === 0x80) {
      point = (point << 6) | (of[at++] & 63);
      taken += 1;
    }
    const whole = more > 0 && taken === more && point >= [0, 0x80, 0x800, 0x10000][more] && point <= 0x10ffff && !(point >= 0xd800 && point < 0xe000);
    text += whole ? String.fromCodePoint(point) : '\ufffd';
  }
  return text;
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function btoa(text) {
  let out = '';
  for (let at = 0; at < text.length; at += 3) {
    const [a, b, c] = [0, 1, 2].map((of) => text.charCodeAt(at + of));
    if (!(a < 256) || b > 255 || c > 255) throw new RangeError('btoa takes characters up to U+00FF');
    const bits = (a << 16) | ((b || 0) << 8) | (c || 0);
    out += BASE64[bits >> 18] + BASE64[(bits >> 12) & 63];
    out += at + 1 < text.length ? BASE64[(bits >> 6) & 63] : '=';
    out += at + 2 < text.length ? BASE64[bits & 63] : '=';
  }
  return out;
}

function atob(of) {
  const digits = String(of).replace(/[\t\n\f\r ]/g, '').replace(/={1,2}$/, '');
  if (digits.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(digits)) throw new Malformed('not base64');
  let out = '';
  for (let at = 0, bits = 0, held = 0; at < digits.length; at += 1) {
    bits = ((bits << 6) | BASE64.indexOf(digits[at])) & 0xffffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out += String.fromCharCode((bits >> held) & 255);
    }
  }
  return out;
}

/** Two digits for each byte. */
function toHex(of) {
  return Array.from(of, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromHex(text) {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) throw new Malformed('not hexadecimal');
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function line(values) {
  return values.map((value) => (typeof value === 'string' ? value : value instanceof Error ? describe(value) : typeof value === 'object' ? json(value) : String(value))).join(' ');
}

// A translator is a function of what goes in: no clock and no chance.
const Clock = globalThis.Date;
class FixedDate extends Clock {
  constructor(...given) {
    if (given.length === 0) throw new TypeError('there is no clock in a translator: event.received says when');
    super(...given);
  }

  static now() {
    throw new TypeError('there is no clock in a translator: event.received says when');
  }
}

Math.random = () => {
  throw new TypeError('there is no chance in a translator: the same event must give the same actions');
};

Object.assign(globalThis, {
  Date: FixedDate,
  Unsupported,
  Malformed,
  topicLevel,
  fromTopicLevel,
  toHex,
  fromHex,
  atob,
  btoa,
  console: {
    debug: (...values) => write('debug', line(values)),
    log: (...values) => write('info', line(values)),
    info: (...values) => write('info', line(values)),
    warn: (...values) => write('warn', line(values)),
    error: (...values) => write('error', line(values)),
  },
  TextEncoder: class {
    encode(text = '') {
      return encodeUtf8(String(text));
    }
  },
  TextDecoder: class {
    decode(of = new Uint8Array(0)) {
      return decodeUtf8(of instanceof Uint8Array ? of : new Uint8Array(of.buffer ?? of));
    }
  },
});
