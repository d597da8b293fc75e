/**
 * What is measured: frames that the browser draws, CPU time and memory of the service, and how long the page takes to
 * show that a path is gone.
 */
import { readFileSync } from 'node:fs';

export const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** proc(5): a tick is 10 ms on every architecture that Weft runs on. */
const TICKS_PER_SECOND = 100;

/** Seconds of CPU time that all threads of a process have used. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Share of one core that the processes use while `work` is under way. @returns its result, and the shares */
export async function cpuShares(pids, work) {
  const [before, beganMs] = [pids.map(cpuSeconds), performance.now()];
  const result = await work();
  const seconds = (performance.now() - beganMs) / 1000;
  return { result, shares: pids.map((pid, i) => (cpuSeconds(pid) - before[i]) / seconds) };
}

function machineSeconds() {
  const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
    .split('\n')[0]
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return {
    busy: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    steal: steal / TICKS_PER_SECOND,
  };
}

/** Busy cores of the whole machine, and stolen ones, while `work` is under way. */
export async function machineShare(work) {
  const [before, beganMs] = [machineSeconds(), performance.now()];
  await work();
  const [after, seconds] = [machineSeconds(), (performance.now() - beganMs) / 1000];
  return { busy: (after.busy - before.busy) / seconds, steal: (after.steal - before.steal) / seconds };
}

/** MiB. */
export function memory(pid) {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)[1]) / 1024;
  return { rss: field('Rss'), pss: field('Pss') };
}

/** Times of the frames in the page, over `seconds`. `eachFrame` is a script that runs in each. */
export async function countFrames(page, seconds, eachFrame = '') {
  const times = await page.evaluate(`new Promise((resolve) => {
    const times = [];
    const tick = (time) => {
      times.push(time);
      if (time - times[0] > ${seconds * 1000}) return resolve(times);
      ${eachFrame}
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  })`);
  const gaps = times.slice(1).map((time, i) => time - times[i]);
  const sorted = [...gaps].sort((a, b) => a - b);
  return {
    perSecond: (gaps.length * 1000) / (times.at(-1) - times[0]),
    /** In the worst whole second. */
    perSecondWorst: worstSecond(times),
    gapP99Ms: sorted[Math.max(0, Math.ceil(sorted.length * 0.99) - 1)],
    gapMostMs: sorted.at(-1),
  };
}

function worstSecond(times) {
  let worst = Infinity;
  let first = 0;
  for (const [i, time] of times.entries()) {
    if (time - times[0] < 1000) continue;
    while (time - times[first] > 1000) first++;
    worst = Math.min(worst, i - first);
  }
  return worst;
}

/**
 * Resolves with the wall-clock time, ms, of the first frame in which a script of the page is true.
 * @param condition a JavaScript expression
 */
export function frameWhen(page, condition, timeoutMs = 30_000) {
  return page.evaluate(`new Promise((resolve, reject) => {
    const endMs = performance.now() + ${timeoutMs};
    const look = () => {
      if (${condition}) resolve(Date.now());
      else if (performance.now() > endMs) resolve(undefined);
      else requestAnimationFrame(look);
    };
    look();
  })`);
}

/** KiB a minute: the slope of the straight line that fits best through `[minute, MiB]`. */
export function slopeKibPerMinute(points) {
  const n = points.length;
  const mean = (i) => points.reduce((sum, point) => sum + point[i], 0) / n;
  const [meanX, meanY] = [mean(0), mean(1)];
  const top = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const bottom = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return bottom === 0 ? 0 : (top / bottom) * 1024;
}

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length / 2) - 1)];
};
