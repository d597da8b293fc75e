/**
 * `node bench/observe/run.mjs [--connections N] [--looks N] [--profile FILE]`
 *
 * What one look at the host costs, by its parts, with N live MPTCP connections of two subflows each (bench/page's place
 * and load: two namespaces, everything ends with this program). Prints milliseconds, medians over the looks; the kernel
 * is in them. Needs root and the build (`npm run build`).
 */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { enterNamespaces } from '../support/namespaces.mjs';

const here = dirname(fileURLToPath(import.meta.url));
enterNamespaces('/run/netns');

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '2000' },
    looks: { type: 'string', default: '20' },
    profile: { type: 'string' },
  },
});

const { buildPlace, PORT, Program, SERVER } = await import('../page/place.mjs');
const { listConnections, PathManager, SocketScan } = await import('../../dist/mptcp/index.js');
const { Observer } = await import('../../dist/service/observe/observer.js');
const { kernelSources } = await import('../../dist/service/observe/kernel-sources.js');

const lab = await buildPlace();
const client = lab.node('client');
const netns = client.path;
for (const name of ['client', 'server']) {
  const manager = PathManager.open({ netns: lab.node(name).path });
  manager.setLimits({ subflows: 2, addAddrAccepted: 2 });
  if (name === 'client') {
    manager.addEndpoint({ address: '10.2.0.2', flags: 2, linkIndex: client.linkIndex('c2') });
    // Both ways, without policy routing: the place has one network behind each link.
    client.setSysctl('ipv4/conf/all/rp_filter', 0);
  }
  manager.close();
}
const load = join(here, '../page/load.mjs');
const server = new Program(lab.node('server'), [process.execPath, load, 'serve', String(PORT)]);
await server.line();
const holder = new Program(
  client,
  [process.execPath, load, 'hold', SERVER, PORT, options.connections, 0].map(String),
);
await holder.line();
const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
await rest(3000);

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const looks = Number(options.looks);

/** Median milliseconds of `work`, with pauses so that the load goes on. */
async function cost(name, work) {
  const times = [];
  for (let i = 0; i < looks; i++) {
    const startMs = performance.now();
    work();
    times.push(performance.now() - startMs);
    await rest(20);
  }
  console.log(`${name.padEnd(44)} ${median(times).toFixed(2)} ms`);
}

const scan = new SocketScan({ netns });
const readAll = (wantsPlain) => {
  for (const _ of scan.read(wantsPlain));
};
let shown = 0;
readAll();
scan.visitSubflows(performance.now(), () => shown++);
console.log(`${options.connections} connections, ${shown} subflows`);
await cost('the kernel tells of all sockets (in slices)', () => readAll());
await cost('a list that is kept (listConnections)', () => listConnections({ netns }));
scan.close();

const observer = new Observer({
  sources: kernelSources({ version: 'bench', netns }),
  logger: { debug() {}, info() {}, warn: console.error, error: console.error },
  netns,
});
const session = new Session();
session.connect();
await observer.start();
const times = [];
let resolve;
const enough = new Promise((done) => {
  resolve = done;
});
if (options.profile !== undefined) {
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
}
const cpuBefore = process.cpuUsage();
const beganMs = performance.now();
observer.onSample(() => {
  times.push(observer.overview().sampleMs);
  if (times.length === looks) resolve();
});
await enough;
const { system, user } = process.cpuUsage(cpuBefore);
const seconds = (performance.now() - beganMs) / 1000;
if (options.profile !== undefined) {
  const { profile } = await session.post('Profiler.stop');
  writeFileSync(options.profile, JSON.stringify(profile));
}
console.log(`${'one look of the observer'.padEnd(44)} ${median(times).toFixed(2)} ms`);
console.log(`${'between two looks'.padEnd(44)} ${observer.overview().sampleIntervalMs} ms`);
console.log(
  `${'share of a core, watched, with overviews'.padEnd(44)} ${(((user + system) / 1e6 / seconds) * 100).toFixed(1)} %`,
);
await cost('a page of 100 rows by rate', () => observer.connections({ limit: 100 }));
await cost('a page of 100 rows by rate, searched', () =>
  observer.connections({ limit: 100, search: '203.0' }),
);
await cost('the text of an overview', () => JSON.stringify(observer.overview()));
console.log(observer.overview().totals);
await observer.stop();
await holder.stop();
await server.stop();
await lab.close();
process.exit(0);
