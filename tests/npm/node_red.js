// The LwM2M 1.0 client of npm's node-red-contrib-lwm2m without Node-RED, driven by tests/tests/interop_npm.
//
//     node node_red.js FOLDER SERVER_PORT OWN_PORT ENDPOINT
//
// FOLDER is where the package is installed. Its client is a program in C around Wakaama that asks this process for
// every value over its standard streams; the package's classes do that and keep the objects. Prints a line for each
// thing that happens, and is driven by lines on its input: "set /3303/0/5700 21.5" changes a resource (any JSON value),
// "quit" deregisters and ends.

'use strict';

const { EventEmitter } = require('events');
const path = require('path');
const readline = require('readline');

const [folder, serverPort, ownPort, endpoint] = process.argv.slice(2);
const { LwM2MClientProxy, LwM2MObjectStore, ResourceRepositoryBuilder } =
  require(path.join(folder, 'node_modules/node-red-contrib-lwm2m/dist/lwm2m-common.js'));

const OBJECTS = {
  3: {
    0: {
      0: { type: 'STRING', acl: 'R', value: 'Tidegate' },
      1: { type: 'STRING', acl: 'R', value: 'node-red-contrib-lwm2m' },
      4: { type: 'FUNCTION' },
      6: { type: 'MULTIPLE_RESOURCE', acl: 'R', value: { 0: 1, 5: 4 } },
      9: { type: 'INTEGER', acl: 'R', value: 87 },
      14: { type: 'STRING', acl: 'RW', value: '+01' },
      15: { type: 'STRING', acl: 'RW', value: 'Europe/Berlin' },
    },
  },
  3303: {
    0: {
      5700: { type: 'FLOAT', acl: 'RW', value: 20.5 },
      5701: { type: 'STRING', acl: 'RW', value: 'Cel' },
    },
  },
  // Of no definition, and to be created and deleted.
  31024: {
    0: {
      0: { type: 'BOOLEAN', acl: 'RWD', value: true },
      1: { type: 'INTEGER', acl: 'RWD', value: -70000 },
      2: { type: 'OPAQUE', acl: 'RWD', value: 'hex:00ff10' },
    },
  },
};

function say(line) {
  process.stdout.write(`${line}\n`);
}

// What the package expects of a Node-RED node: events, logs, settings.
class Node extends EventEmitter {
  constructor() {
    super();
    Object.assign(this, {
      clientName: endpoint,
      clientPort: Number(ownPort),
      useIPv4: true,
      serverId: 99,
      serverHost: '127.0.0.1',
      serverPort: Number(serverPort),
      lifetimeSec: 300,
      reconnectSec: 0,
      hideSensitiveInfo: false,
      credentialFilePath: path.join(folder, 'there-is-no-such-file'),
      // What it sends and receives, on the error output.
      redirectLwm2mClientLog: true,
      dumpLwm2mMessages: true,
    });
  }

  log(line) {
    say(`log ${line}`);
  }

  debug() {}

  trace() {}

  error(line) {
    say(`error ${line}`);
  }
}

function shown(value) {
  if (value && value.toJSON && value.type !== undefined) {
    return JSON.stringify(value.toJSON().value);
  }
  return Buffer.isBuffer(value) ? value.toString() : JSON.stringify(value);
}

async function main() {
  const node = new Node();
  const store = new LwM2MObjectStore(node);
  node.objectStore = store;
  node.on('object-event', ({ eventType, uri, value, remote }) => {
    if (remote) {
      say(`${eventType} ${uri} ${shown(value)}`);
    }
  });
  node.on('clientStateChanged', (state) => say(`state ${state}`));
  store.repo = await new ResourceRepositoryBuilder([OBJECTS], true).build(node);
  const client = new LwM2MClientProxy(node);
  client.on('disconnected', () => say('disconnected'));
  client.start();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [word, uri, value] = line.split(' ');
    if (word === 'set') {
      await store.write(uri, JSON.parse(value), false);
      say(`${line} done`);
    } else if (word === 'quit') {
      break;
    }
  }
  // An interrupt makes the program deregister; a test that fails kills this process and closes its input.
  await client.shutdown({ deregister: true });
  process.exit(0);
}

main();
