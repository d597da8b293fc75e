/**
 * `node bench/daemon/run.mjs [--connections N] [--addresses N] [--starts N] [--only weft|mptcpd] [--no-write]`
 *
 * Measures Weft's path-management daemon with mptcpd beside it, in one run, and writes bench/daemon/RESULTS.md.
 * Everything happens in namespaces that this program makes; nothing of the host is touched. Needs root (or user
 * namespaces), the build (`npm run build`), and Debian's mptcpd and mptcpd-plugins; without those Weft alone is measured.
 * Shorter runs than the usual (20,000 connections, 200 addresses, 20 starts) are for trying it out.
 *
 * - *Endpoints follow addresses*: an address is set over netlink, and the kernel's endpoints are read in a loop until it
 *   has one; then it is removed and another is set at once, until that one has one; then that is removed, until it has
 *   none. A pause after each; the two daemons take turns by tens.
 * - *At full speed*: connections over loopback as fast as one thread makes them (load.mjs), with the userspace path
 *   manager and the plugin sspi in both. Afterwards ten more: does it still hear? Three runs, each with a new daemon.
 * - *CPU time of an event*: 1,000 connections a second in bursts of 20, which both take in whole, with no log;
 *   /proc/PID/task/N/schedstat of all threads. As many as 10,000 connections before are warm-up (Node compiles what is
 *   used often), and not counted; the row at full speed is without warm-up.
 * - *Memory*: /proc/PID/smaps_rollup, at rest and after each of three waves of connections, when it is quiet.
 * - *Start*: from before fork(2) until the endpoint of an address that was there is visible.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from '../support/machine.mjs';
import { enterNamespaces } from '../support/namespaces.mjs';
import { Daemon, Load, Place, sleep } from './daemon.mjs';
import { MPTCPD, WEFT } from './peers.mjs';
import { median, report } from './report.mjs';

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '20000' },
    addresses: { type: 'string', default: '200' },
    starts: { type: 'string', default: '20' },
    only: { type: 'string' },
    'no-write': { type: 'boolean', default: false },
  },
});
const connections = Number(options.connections);
const addresses = Number(options.addresses);
const starts = Number(options.starts);

const AF_INET = 2;
const RT_TABLE_MAIN = 254;
const GIVE_UP_MS = 3000;
/** 1,000 connections a second: mptcpd is deaf after a burst of 500, and on a busy machine after one of 50. */
const PACE = { burst: 20, periodMs: 20 };
const WARM_UP_CONNECTIONS = 10_000;
const HOLD = 2000;
const WAVES = 3;
const AFTERWARDS = 10;
const FLOODS = 3;

enterNamespaces('/run/netns', '/run/bench');
writeFileSync('/run/bench/mptcpd.conf', '[core]\n', { mode: 0o644 });

const machine = {
  ...describeMachine(),
  loadBefore: loadavg()[0],
  ...measureNode(),
};

/** What Node itself takes, which no program in it is below. */
function measureNode() {
  const times = [];
  for (let n = 0; n < 10; n++) {
    const began = performance.now();
    spawnSync(process.execPath, ['-e', '0']);
    times.push(performance.now() - began);
  }
  const print = "console.log(/Rss:\\s+(\\d+)/.exec(fs.readFileSync('/proc/self/smaps_rollup'))[1])";
  const { stdout } = spawnSync(process.execPath, ['-e', print], { encoding: 'utf8' });
  return { nodeStartMs: median(times), nodeRss: Number(stdout) };
}

const milliseconds = () => Number(process.hrtime.bigint()) / 1e6;

/** Looks until it is so. @returns how long that took from `began`, or `undefined` */
function until(began, isSo) {
  for (;;) {
    const so = isSo();
    const now = milliseconds();
    if (so) return now - began;
    if (now - began > GIVE_UP_MS) return undefined;
  }
}

async function startDaemon(peer, purpose, { counting = false, userspace = false } = {}) {
  const place = new Place();
  if (userspace) place.setSysctl('mptcp/path_manager', 'userspace');
  // It is ready when this address has an endpoint, or when it is quiet.
  const ready = { linkIndex: place.link, address: '10.1.0.1', prefixLength: 24 };
  place.netlink.addAddress(ready);
  if (purpose === 'checkRoute')
    place.netlink.addRoute({ family: AF_INET, table: RT_TABLE_MAIN, linkIndex: place.link });
  const began = milliseconds();
  const daemon = new Daemon(peer, purpose, place, { counting });
  const seen = purpose === 'userspace' ? undefined : until(began, () => place.hasEndpoint(ready.address));
  await daemon.quiet();
  if (daemon.child.exitCode !== null) {
    throw new Error(`${peer.name} ended: ${readFileSync(daemon.log, 'utf8')}`);
  }
  const stop = async () => {
    await daemon.stop();
    place.remove();
  };
  return { place, daemon, startMs: seen, stop };
}

/** Whoever rests after its work may do so. */
const breathe = () => sleep(30);

async function followAddress({ place }, n, into) {
  const [first, second] = ['1', '2'].map((host) => ({
    linkIndex: place.link,
    address: `10.2.${n % 250}.${host}`,
    prefixLength: 24,
  }));
  const measure = (name, isSo, ...changes) => {
    const began = milliseconds();
    for (const change of changes) change();
    const took = until(began, isSo);
    if (took === undefined) into.missed++;
    else into[name].push(took);
  };
  measure(
    'set',
    () => place.hasEndpoint(first.address),
    () => place.netlink.addAddress(first),
  );
  await breathe();
  measure(
    'replaced',
    () => place.hasEndpoint(second.address),
    () => place.netlink.deleteAddress(first),
    () => place.netlink.addAddress(second),
  );
  await breathe();
  measure(
    'removed',
    () => !place.hasEndpoint(second.address),
    () => place.netlink.deleteAddress(second),
  );
  await breathe();
}

/** The daemons take turns, so that a disturbance of the machine does not hit one only. */
async function measureAddresses(peers, results, purpose) {
  const rivals = [];
  for (const peer of peers.filter((candidate) => candidate.has(purpose))) {
    results[peer.name][purpose] = { set: [], replaced: [], removed: [], missed: 0 };
    rivals.push({ peer, running: await startDaemon(peer, purpose) });
  }
  const TURN = 10;
  for (let n = 0; n < addresses; n += TURN) {
    for (const { peer, running } of rivals) {
      for (let i = n; i < Math.min(n + TURN, addresses); i++) {
        await followAddress(running, i, results[peer.name][purpose]);
      }
    }
  }
  for (const { running } of rivals) await running.stop();
}

async function withConnections(peer, counting, work) {
  const running = await startDaemon(peer, 'userspace', { counting, userspace: true });
  const load = new Load(running.place);
  await load.ready();
  try {
    return await work({ ...running, load });
  } finally {
    await load.stop();
    await running.stop();
  }
}

/** How many events the kernel makes of one connection, as Weft counts them when it is not in a hurry. */
async function countEvents() {
  return withConnections(WEFT, false, async ({ daemon, load }) => {
    const before = await WEFT.seen(daemon);
    await load.connect(100);
    await daemon.quiet();
    const after = await WEFT.seen(daemon);
    return (after.events - before.events) / 100;
  });
}

function measureFlood(peer, eventsPerConnection) {
  return withConnections(peer, true, async ({ daemon, load }) => {
    const before = await daemon.seen();
    const cpuBefore = daemon.cpuNs();
    const seconds = await load.connect(connections, 1);
    const cpuMs = ((await daemon.quiet(500)) - cpuBefore) / 1e6;
    const after = await daemon.seen();
    await load.connect(AFTERWARDS, 1);
    await daemon.quiet();
    const last = await daemon.seen();
    const flood = { connections, seconds, cpuMs, produced: Math.round(connections * eventsPerConnection) };
    if (after.events === undefined) {
      const afterwards = last.established - after.established;
      return { ...flood, established: after.established, afterwards, afterwardsWanted: 2 * AFTERWARDS };
    }
    return {
      ...after,
      ...flood,
      events: after.events - before.events,
      remembered: last.connections,
      afterwards: last.events - after.events,
      afterwardsWanted: Math.round(AFTERWARDS * eventsPerConnection),
    };
  });
}

function measureCpu(peer, eventsPerConnection) {
  return withConnections(peer, false, async ({ daemon, load }) => {
    await load.connect(Math.min(WARM_UP_CONNECTIONS, connections), 1, PACE);
    const before = await daemon.quiet();
    await load.connect(connections, 1, PACE);
    const usedNs = (await daemon.quiet()) - before;
    // Less than a system call takes for each connection: it was deaf.
    const deaf = usedNs < 500 * connections;
    return { connections, deaf, usPerEvent: usedNs / 1000 / (connections * eventsPerConnection) };
  });
}

function measureMemory(peer) {
  return withConnections(peer, false, async ({ daemon, load }) => {
    const hold = Math.min(HOLD, connections);
    const rest = daemon.memory();
    const waves = [];
    for (let n = 0; n < WAVES; n++) {
      await load.connect(connections, hold);
      await daemon.quiet(1000);
      waves.push(daemon.memory());
    }
    return { hold, rest, waves };
  });
}

async function measureStart(peer) {
  const times = [];
  for (let n = 0; n < starts; n++) {
    const running = await startDaemon(peer, 'endpoints');
    if (running.startMs !== undefined) times.push(running.startMs);
    await running.stop();
  }
  return times;
}

const chosen = [WEFT, MPTCPD].filter(
  (peer) => peer.has('endpoints') && (options.only ?? peer.name).toLowerCase() === peer.name.toLowerCase(),
);
const results = Object.fromEntries(chosen.map(({ name }) => [name, {}]));
const step = (text) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);

for (const purpose of ['endpoints', 'checkRoute']) {
  step(`addresses (${purpose})`);
  await measureAddresses(chosen, results, purpose);
}
const eventsPerConnection = await countEvents();
for (const peer of chosen) {
  step(`${peer.name}: ${connections} connections at full speed`);
  results[peer.name].floods = [];
  for (let n = 0; n < FLOODS; n++)
    results[peer.name].floods.push(await measureFlood(peer, eventsPerConnection));
  step(`${peer.name}: CPU time`);
  results[peer.name].cpu = await measureCpu(peer, eventsPerConnection);
  step(`${peer.name}: memory`);
  results[peer.name].memory = await measureMemory(peer);
  step(`${peer.name}: starts`);
  results[peer.name].start = await measureStart(peer);
}

const text = report({
  results,
  names: chosen.map(({ name }) => name),
  eventsPerConnection,
  connections,
  machine,
  peers: chosen.map(({ name, version }) => ({ name, version: version() })),
});
console.log(text);
if (!options['no-write']) {
  writeFileSync(join(dirname(fileURLToPath(import.meta.url)), 'RESULTS.md'), text);
}
