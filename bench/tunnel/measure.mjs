/**
 * Measurements of one running peer: TCP streams, pings, UDP without loss. Each gives back plain numbers.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { coresBetween, cpuSnapshot, finish, nowMs, rest, start, stop } from './programs.mjs';
import { CONGESTION, FAR, LINKS, NEAR } from './topology.mjs';

const load = join(dirname(fileURLToPath(import.meta.url)), 'load.mjs');
export const loadCommand = (...args) => [process.execPath, load, ...args.map(String)];
const IPERF_PORT = 5201;
export const SINK_PORT = 5301;
/** Where servers listen: MPTCP's second path comes to another address. */
export const ANY = '0.0.0.0';
const BITS_PER_GIGABYTE = 8e9;
/** Largest share of packets that may be lost in "without loss". */
const LOSS_MAX = 0.001;
const FIRST_RATE = 20_000;
/** Steps by which the border between loss and no loss is narrowed: 2^(1/32), 2 %. */
const BISECTIONS = 5;

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length === 0) return undefined;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

const percentile = (values, share) =>
  [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)];

/** Starts pings; `end()` resolves to their median and 95th percentile in ms, and how many did not come back. */
function startPings(address, intervalS) {
  const program = start(NEAR, ['ping', '-i', String(intervalS), address]);
  return async () => {
    program.child.kill('SIGINT');
    await program.ended;
    const times = [...program.output().matchAll(/time=([\d.]+)/g)].map(([, time]) => Number(time));
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(program.output()) ?? [];
    return {
      median: median(times),
      p95: percentile(times, 0.95),
      count: times.length,
      lost: Number(sent) - Number(received),
    };
  };
}

export async function idlePing(peer, { seconds }) {
  const end = startPings(peer.target, 0.02);
  await rest(Math.min(seconds, 3) * 1000);
  const { median: ms, p95, lost } = await end();
  return { pingMs: ms, pingP95Ms: p95, pingLost: lost };
}

/**
 * TCP from near to far. `cpuPerGigabyte`: CPU seconds of the whole machine, of the tunnel at the near end, and at the
 * far end, for each gigabyte that arrived.
 */
export async function tcp(peer, { streams, seconds, omit = 1, target = peer.target, isPinged = true }) {
  const server = start(FAR, [...peer.wrap, 'iperf3', '-s', '-1', '--forceflush', '-p', String(IPERF_PORT)], {
    waitFor: 'listening',
  });
  try {
    await server.ready;
    const command = [...peer.wrap, 'iperf3', '-c', target, '-p', String(IPERF_PORT), '-C', CONGESTION, '-J'];
    const client = finish(NEAR, [
      ...command,
      '-P',
      String(streams),
      '-t',
      String(seconds),
      '-O',
      String(omit),
    ]);
    client.catch(() => {});
    await rest(omit * 1000 + 300);
    const endPings = isPinged ? startPings(peer.target, 0.05) : undefined;
    const pids = peer.near === undefined ? [] : [peer.near.pid, peer.far.pid];
    const before = cpuSnapshot(pids);
    await rest(seconds * 1000 - 600);
    const cores = coresBetween(before, cpuSnapshot(pids));
    const pings = await endPings?.();
    const { end } = JSON.parse(await client);
    const bps = end.sum_received.bits_per_second;
    const perGigabyte = (used) => (used * BITS_PER_GIGABYTE) / bps;
    return {
      gbps: bps / 1e9,
      retransmits: end.sum_sent.retransmits,
      machineCpuPerGb: perGigabyte(cores.machine),
      ...(pids.length > 0 && {
        nearCpuPerGb: perGigabyte(cores.processes[0]),
        farCpuPerGb: perGigabyte(cores.processes[1]),
      }),
      machineCores: cores.machine,
      steal: cores.steal,
      ...(pings && { pingMs: pings.median, pingP95Ms: pings.p95, pingLost: pings.lost }),
    };
  } finally {
    await stop(server);
  }
}

let trials = 0;

/** One stream of datagrams through a running sink. */
export async function udpTrial(sink, target, { bytes, rate, seconds }) {
  const trial = ++trials;
  const command = loadCommand('udp-send', target, SINK_PORT, bytes, rate, seconds, trial);
  const { sent, refused, startMs, seconds: took } = JSON.parse(await finish(NEAR, command));
  const endMs = nowMs();
  const found = await Promise.race([
    sink.seeing(() => {
      const line = sink.lines().findLast((text) => text.startsWith(`{"trial":${trial},`));
      return line === undefined ? undefined : JSON.parse(line);
    }),
    rest(10_000).then(() => ({ received: 0, duplicates: 0, unordered: 0, gaps: [], samples: [], lost: [] })),
  ]);
  return { ...found, sent, refused, startMs, endMs, took, lossRatio: 1 - found.received / sent };
}

export const startUdpSink = async (target, extraSilenceMs = 0) => {
  const sink = start(FAR, loadCommand('udp-sink', ANY, SINK_PORT, LINKS[0], extraSilenceMs), {
    waitFor: 'ready',
  });
  await sink.ready;
  return sink;
};

/** The highest rate at which less than `LOSS_MAX` is lost, packets a second that arrived. */
export async function udpWithoutLoss(peer, { bytes, seconds }) {
  const sink = await startUdpSink(peer.target);
  let unordered = 0;
  let isSenderLimit = false;
  const passes = async (rate) => {
    // A disturbance of the machine is no property of the peer: one more chance.
    for (let attempt = 0; attempt < 2; attempt++) {
      const trial = await udpTrial(sink, peer.target, { bytes, rate, seconds });
      isSenderLimit = trial.sent < 0.97 * rate * seconds;
      if (process.env.WEFT_BENCH_VERBOSE !== undefined)
        console.error(
          `  ${rate.toFixed(0)}/s: sent ${trial.sent}, lost ${(100 * trial.lossRatio).toFixed(3)} %`,
        );
      if (trial.lossRatio < LOSS_MAX && !isSenderLimit) {
        unordered = trial.unordered / trial.received;
        return trial.received / trial.took;
      }
    }
    return undefined;
  };
  try {
    let best = 0;
    let low = FIRST_RATE / 2;
    let high = FIRST_RATE;
    for (let got = await passes(high); got !== undefined; got = await passes(high)) {
      best = got;
      low = high;
      high *= 2;
    }
    for (let step = 0; step < BISECTIONS; step++) {
      const rate = Math.sqrt(low * high);
      const got = await passes(rate);
      if (got === undefined) high = rate;
      else {
        best = Math.max(best, got);
        low = rate;
      }
    }
    return { kpps: best / 1000, unordered, ...(isSenderLimit && { senderLimit: 1 }) };
  } finally {
    await stop(sink);
  }
}

/** Cores that are busy although nothing is measured: what else goes on. */
export async function noise() {
  const before = cpuSnapshot([]);
  await rest(500);
  return coresBetween(before, cpuSnapshot([])).machine;
}
