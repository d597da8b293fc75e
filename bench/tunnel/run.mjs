/**
 * `node bench/tunnel/run.mjs [--rounds N] [--seconds N] [--only TEXT,…] [--parts speed,udp,shaped,cut] [--append]
 *                            [--no-write] [--routed] [--soak MINUTES] [--profile FOLDER]`
 *
 * Measures Weft's tunnel and its peers in one run and writes bench/tunnel/RESULTS.md and results.jsonl: TCP streams,
 * UDP without loss, CPU time, pings, shaped paths, and a path that is cut. Everything happens in namespaces that this
 * program makes; nothing of the host is touched. Needs root, the build (`npm run build`), and Debian's iperf3,
 * iputils-ping, nftables, iproute2, mptcpize, wireguard-go, wireguard-tools, openvpn, openssl.
 *
 * Each round starts every peer anew, so that a disturbance of the machine does not hit one peer only. Medians.
 * `--routed` puts routers into the paths (topology.mjs): its results stand beside those without; for shaped and cut.
 * `--append` adds to the results that are there. `--soak 10` is memory at full rate, Weft only, in addition (nothing
 * else is measured when `--parts` is empty). `--profile FOLDER` measures nothing: CPU profiles of Weft's threads.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { describeMachine } from '../support/machine.mjs';
import { enterNamespaces } from '../support/namespaces.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
    parts: { type: 'string', default: 'speed,udp,shaped,cut' },
    routed: { type: 'boolean', default: false },
    append: { type: 'boolean', default: false },
    'no-write': { type: 'boolean', default: false },
    soak: { type: 'string' },
    profile: { type: 'string' },
  },
});
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
const parts = options.parts.split(',');
/** Numbers below a few seconds are for trying this program out. */
const CUT_TIMES = {
  beforeS: Math.min(3, seconds),
  cutS: Math.min(4, seconds),
  afterS: Math.min(6, seconds + 1),
};
const SHAPED_RATES = [
  [100, 100],
  [100, 300],
];

enterNamespaces('/run/bench');
if (options.routed) process.env.WEFT_BENCH_ROUTED = '1';

const { finish, killAll } = await import('./programs.mjs');
const { allowMptcp, buildTopology, CONGESTION, FAR_ADDRESSES, NEAR, shape } = await import('./topology.mjs');
const { PEERS } = await import('./peers.mjs');
const { idlePing, noise, tcp, udpWithoutLoss } = await import('./measure.mjs');
const { cutTcp, cutUdp } = await import('./cut.mjs');
const { printProfiles, profileFolders, soak } = await import('./soak.mjs');
const { report } = await import('./report.mjs');

/** Counters of the peer that is measured, told with WEFT_BENCH_VERBOSE. */
let watched;

const grown = (now, before) =>
  Object.entries(now)
    .filter(([name, value]) => typeof value === 'number' && value !== before[name])
    .map(([name, value]) => `${name} ${(value - before[name]).toFixed(0)}`)
    .join(' ');

/** What grew between two readings of both ends' counters. */
const differences = (before, after) =>
  after.map((end, i) => {
    const paths = end.paths.map((path, index) => `[${grown(path, before[i].paths[index])}]`);
    return `${i === 0 ? 'near' : 'far'}: ${grown(end, before[i])} ${paths.join(' ')}`;
  });

/** One a measurement: { peer, kind, round, values, noise }. */
const records = [];
const notes = [];

async function attempt(peer, what, round, work) {
  const counters = process.env.WEFT_BENCH_VERBOSE === undefined ? undefined : watched;
  const kind = options.routed ? `routed ${what}` : what;
  const busy = await noise();
  try {
    const countersBefore = counters?.();
    const values = await work();
    records.push({ peer, kind, round, noise: busy, values });
    if (counters !== undefined) {
      for (const line of differences(countersBefore, counters())) console.error(`  ${line}`);
    }
    const text = Object.entries(values)
      .filter(([, value]) => typeof value === 'number')
      .map(([name, value]) => `${name} ${value.toFixed(2)}`);
    console.error(`${peer}: ${kind}: ${text.join(', ')} (noise ${busy.toFixed(2)})`);
  } catch (error) {
    notes.push(`${peer}, ${kind}, round ${round + 1}: ${String(error.message).split('\n')[0]}`);
    console.error(`${peer}: ${kind} failed: ${error.message}`);
  }
}

/** Starts a peer, does something with it, and ends it. */
async function withPeer(peer, context, work) {
  const folder = mkdtempSync('/run/bench/peer-');
  try {
    const running = await peer.start({ folder, ...context });
    try {
      watched = running.counters;
      await work(running);
    } finally {
      watched = undefined;
      await running.stop();
    }
  } catch (error) {
    notes.push(`${peer.name}: ${String(error.message).split('\n')[0]}`);
    console.error(`${peer.name}: ${error.message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const rateName = (rates) => rates.join('+');

async function measureShaped(peer, running, rates, round) {
  shape(rates);
  const kind = `shaped ${rateName(rates)}`;
  const times = { seconds: Math.max(2, seconds * 2), omit: 2, streams: 1 };
  if (peer.name.startsWith('bare')) {
    for (const [i, target] of FAR_ADDRESSES.entries()) {
      await attempt(peer.name, `${kind} path ${i + 1}`, round, () => tcp(running, { ...times, target }));
    }
  } else await attempt(peer.name, kind, round, () => tcp(running, times));
  shape(undefined);
}

async function measurePeer(peer, round) {
  const wants = (part) => parts.includes(part) && peer.parts.includes(part);
  const [even, uneven] = SHAPED_RATES;
  const isTold = peer.name.startsWith('Weft') && !peer.isAdaptive;
  if (wants('speed') || wants('udp') || wants('shaped') || wants('cut')) {
    await withPeer(peer, { weights: [1, 1] }, async (running) => {
      const { name } = peer;
      if (wants('speed')) {
        if (!peer.tcpOnly) await attempt(name, 'idle', round, () => idlePing(running, { seconds }));
        await attempt(name, 'tcp1', round, () => tcp(running, { streams: 1, seconds }));
        await attempt(name, 'tcp4', round, () => tcp(running, { streams: 4, seconds }));
      }
      if (wants('udp')) {
        const trial = { seconds: Math.min(1, seconds / 2) };
        await attempt(name, 'udp64', round, () => udpWithoutLoss(running, { bytes: 64, ...trial }));
        await attempt(name, 'udp1400', round, () => udpWithoutLoss(running, { bytes: 1400, ...trial }));
      }
      if (wants('cut')) {
        for (const kind of ['link', 'silent']) {
          if (!peer.tcpOnly)
            await attempt(name, `cut ${kind} udp`, round, () => cutUdp(running, kind, CUT_TIMES));
          await attempt(name, `cut ${kind} tcp`, round, () => cutTcp(running, kind, CUT_TIMES));
        }
      }
      if (wants('shaped')) {
        await measureShaped(peer, running, even, round);
        if (!isTold) await measureShaped(peer, running, uneven, round);
      }
    });
  }
  if (wants('shaped') && isTold) {
    await withPeer(peer, { weights: uneven.map((rate) => rate / 100) }, async (running) => {
      await measureShaped(peer, running, uneven, round);
    });
  }
}

const chosen = PEERS.filter(({ name }) => {
  const only = options.only.split(',').filter((text) => text !== '');
  return (
    only.length === 0 ||
    only.some((text) => (text.startsWith('=') ? name === text.slice(1) : name.includes(text)))
  );
});
const weft = PEERS.find(({ name }) => name === 'Weft');

async function profile(base) {
  const folders = profileFolders(base);
  await withPeer(weft, { weights: [1, 1], profile: folders }, async (running) => {
    await attempt(weft.name, 'tcp1', 0, () => tcp(running, { streams: 1, seconds }));
  });
  printProfiles(folders);
}

async function main() {
  buildTopology();
  allowMptcp();
  if (options.profile !== undefined) return profile(resolve(options.profile));
  const loadBefore = loadavg()[0];
  const startedMs = Date.now();
  for (let round = 0; round < rounds; round++) {
    console.error(`round ${round + 1} of ${rounds}`);
    for (const peer of chosen) await measurePeer(peer, round);
  }
  if (options.soak !== undefined) {
    await withPeer(weft, { weights: [1, 1] }, async (running) => {
      await attempt(weft.name, 'soak', 0, () => soak(running, Number(options.soak)));
    });
  }
  const iperf = (await finish(NEAR, ['iperf3', '--version'])).split('\n')[0];
  const file = join(here, 'results.jsonl');
  const [before, ...earlier] =
    options.append && existsSync(file)
      ? readFileSync(file, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
      : [];
  const machine = {
    ...describeMachine(),
    iperf,
    congestion: CONGESTION,
    loadBefore,
    minutes: (Date.now() - startedMs) / 60_000 + (before?.machine.minutes ?? 0),
  };
  const peers = PEERS.map(({ name, note, version }) => ({ name, note, version: version() }));
  const head = {
    machine,
    settings: before?.settings ?? { rounds, seconds, cut: CUT_TIMES },
    peers,
    notes: [...(before?.notes ?? []), ...notes],
  };
  const all = [...earlier, ...records];
  const text = report(head, all);
  console.log(text);
  if (options['no-write']) return;
  writeFileSync(file, [head, ...all].map((line) => `${JSON.stringify(line)}\n`).join(''));
  writeFileSync(join(here, 'RESULTS.md'), text);
}

try {
  await main();
} finally {
  killAll();
}
