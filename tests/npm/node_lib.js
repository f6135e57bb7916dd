// An LwM2M 1.0 client made of npm's lwm2m-node-lib, driven by tests/tests/interop_npm.
//
//     node node_lib.js FOLDER SERVER_PORT ENDPOINT [FORMAT]
//
// FOLDER is where the package is installed, FORMAT the number of a content format that it shall know besides its own
// (1541): it drops a message in any other without a word. It does not look into it, so TLV is to it as text. Prints a line for each thing that happens, and is driven by lines on its
// input: "set /3303/0/5700 21.5" changes a resource, "update", "quit" deregisters and ends.

'use strict';

const { createRequire } = require('module');
const path = require('path');
const readline = require('readline');

const [folder, port, endpoint, format] = process.argv.slice(2);
const { client } = createRequire(path.join(folder, 'package.json'))('lwm2m-node-lib');

const RESOURCES = {
  '/1/0': { 1: '300' },
  '/3/0': { 0: 'Tidegate', 1: 'lwm2m-node-lib', 9: '87', 14: '+01' },
  '/3303/0': { 5700: '20.5', 5701: 'Cel' },
};

function say(line) {
  process.stdout.write(`${line}\n`);
}

function ended(what, then = () => {}) {
  return (error, result) => {
    say(error ? `${what} failed: ${error.name} ${error.message}` : `${what} done`);
    if (!error) {
      then(result);
    }
  };
}

// Each registration and update makes the library listen on another port, with handlers of its own.
function handle(device) {
  const path = (object, instance, resource) => `/${object}/${instance}/${resource}`;
  client.setHandler(device.serverInfo, 'write', (object, instance, resource, value, done) => {
    say(`written ${path(object, instance, resource)} ${Buffer.from(value).toString('hex')}`);
    done(null);
  });
  client.setHandler(device.serverInfo, 'execute', (object, instance, resource, value, done) => {
    say(`executed ${path(object, instance, resource)} ${value}`);
    done(null);
  });
}

function drive(device) {
  readline.createInterface({ input: process.stdin }).on('line', (line) => {
    const [word, where, value] = line.split(' ');
    if (word === 'set') {
      const slash = where.lastIndexOf('/');
      client.registry.setResource(where.slice(0, slash), where.slice(slash + 1), value, ended(line));
    } else if (word === 'update') {
      client.update(device, ended('update', handle));
    } else if (word === 'quit') {
      client.unregister(device, ended('deregistration', () => process.exit(0)));
    }
  });
}

const configuration = {
  lifetime: '300',
  version: '1.0',
  logLevel: 'FATAL',
  observe: { period: 3000 },
  ipProtocol: 'udp4',
  serverProtocol: 'udp4',
  formats: [{ name: 'lightweightm2m/text', value: 1541 }],
  writeFormat: 'lightweightm2m/text',
};
if (format) {
  configuration.formats.push({ name: `format/${format}`, value: Number(format) });
}
client.init({ client: configuration, logLevel: 'FATAL' });
for (const [object, resources] of Object.entries(RESOURCES)) {
  client.registry.create(object, ended(`create ${object}`));
  for (const [resource, value] of Object.entries(resources)) {
    client.registry.setResource(object, resource, value, () => {});
  }
}
client.register('127.0.0.1', port, '', endpoint, ended('registration', (device) => {
  handle(device);
  drive(device);
}));
