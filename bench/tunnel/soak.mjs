/**
 * Two long runs of Weft: memory at full rate (`soak`), and CPU profiles of its threads (`profile`).
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { finish, memoryKib, nowMs, rest, start, stop } from './programs.mjs';
import { CONGESTION, FAR, NEAR } from './topology.mjs';

const SAMPLE_EVERY_MS = 5000;
/** What Node takes at the start, until its compilers and its heap have found their size. */
const WARM_UP_MS = 60_000;

/** KiB a minute: the slope of the straight line that fits best. */
function slope(points) {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const top = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const bottom = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return bottom === 0 ? 0 : top / bottom;
}

/** TCP both ways at full rate for `minutes`; memory of both ends, KiB. */
export async function soak(peer, minutes) {
  const port = '5202';
  const server = start(FAR, ['iperf3', '-s', '-1', '--forceflush', '-p', port], {
    waitFor: 'listening',
  });
  try {
    await server.ready;
    const seconds = Math.round(minutes * 60);
    const flags = ['-C', CONGESTION, '-t', String(seconds), '-P', '2', '--bidir', '-i', '0', '-J'];
    const client = finish(NEAR, ['iperf3', '-c', peer.target, '-p', port, ...flags]);
    client.catch(() => {});
    const startMs = nowMs();
    const samples = [];
    const isOver = client.then(() => true);
    isOver.catch(() => {});
    while (!(await Promise.race([isOver, rest(SAMPLE_EVERY_MS).then(() => false)]))) {
      const [near, far] = [memoryKib(peer.near.pid), memoryKib(peer.far.pid)];
      samples.push({ minute: (nowMs() - startMs) / 60_000, near, far });
    }
    const { end } = JSON.parse(await client);
    const gigabytes = (end.sum_received.bytes + (end.sum_received_bidir_reverse?.bytes ?? 0)) / 1e9;
    const warm = samples.filter(({ minute }) => minute * 60_000 >= Math.min(WARM_UP_MS, seconds * 250));
    const told = (pick) => {
      const points = warm.map((sample) => [sample.minute, pick(sample).rss]);
      if (points.length === 0) return undefined;
      return {
        rssFirstMib: points[0][1] / 1024,
        rssLastMib: points.at(-1)[1] / 1024,
        rssMostMib: Math.max(...points.map(([, kib]) => kib)) / 1024,
        pssLastMib: pick(warm.at(-1)).pss / 1024,
        slopeKibPerMinute: slope(points),
      };
    };
    const gbps = (gigabytes * 8) / seconds;
    return { minutes, gbps, gigabytes, near: told(({ near }) => near), far: told(({ far }) => far), samples };
  } finally {
    await stop(server);
  }
}

/** Where each thread's time went: `[share, function and place]`, most first. */
function hottest(file, count) {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, 'utf8'));
  const names = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map();
  let total = 0;
  samples.forEach((id, i) => {
    const { functionName, url, lineNumber } = names.get(id);
    const key = `${functionName || '(anonymous)'}  ${url.split('/').slice(-2).join('/')}:${lineNumber + 1}`;
    times.set(key, (times.get(key) ?? 0) + timeDeltas[i]);
    total += timeDeltas[i];
  });
  const sorted = [...times].sort(([, a], [, b]) => b - a).slice(0, count);
  return { seconds: total / 1e6, functions: sorted.map(([key, time]) => [time / total, key]) };
}

/** Prints the profiles that V8 wrote into the folders, one a thread. */
export function printProfiles(folders, count = 18) {
  for (const folder of folders) {
    for (const name of readdirSync(folder).sort()) {
      const { seconds, functions } = hottest(join(folder, name), count);
      console.log(`\n${join(folder, name)} (${seconds.toFixed(1)} s)`);
      for (const [share, what] of functions)
        console.log(`  ${(100 * share).toFixed(1).padStart(5)} %  ${what}`);
    }
  }
}

export function profileFolders(base) {
  const folders = ['near', 'far'].map((end) => join(base, end));
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  return folders;
}
