/**
 * `node bench/page/run.mjs [--connections N] [--proxied N] [--seconds N] [--cuts N] [--minutes N]
 *                          [--parts frames,cut,memory] [--no-write] [--profile FILE]`
 *
 * Measures what it costs to be seen, and writes bench/page/RESULTS.md. Everything happens in namespaces that this
 * program makes; nothing of the host is touched. Needs root, the build (`npm run build`), and Debian's chromium,
 * iproute2 and util-linux.
 *
 * - *frames*: 2,000 live MPTCP connections over two paths (place.mjs, load.mjs), the page open in chromium: frames a
 *   second by requestAnimationFrame, at rest and while the list of connections is scrolled; CPU time of `weft up` by
 *   /proc/PID/stat with nobody watching, and with the page open. The browser, all its processes together, has one core;
 *   the service, both ends of the connections and the kernel's work for them have the other.
 * - *cut*: a path of the lab's standard topology is lost under a download; ms from the deed to the first frame in which
 *   picture, chart and list show it. Once by its carrier (a cable that is pulled), once silently (frames vanish, the
 *   carrier stays). Then the carrier again, beside the 2,000 connections.
 * - *memory*: an hour of 2,000 connections that come and go, each open for a minute, in `--minutes` of them: so
 *   many times faster. The page is open, and /metrics is read every second. The history's clock cannot be made to run
 *   faster; how much its rings take is in its own file's head (src/service/observe).
 * `--profile FILE` writes a CPU profile of the service during `frames` and prints what took most.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from '../support/machine.mjs';
import { enterNamespaces } from '../support/namespaces.mjs';

const here = dirname(fileURLToPath(import.meta.url));
enterNamespaces('/run/netns');

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '2000' },
    proxied: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '10' },
    cuts: { type: 'string', default: '5' },
    minutes: { type: 'string', default: '5' },
    parts: { type: 'string', default: 'frames,cut,memory' },
    'no-write': { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
});

const { cutInLab, cutUnderLoad } = await import('./cut.mjs');
const { startBrowser, openPage } = await import('./browser.mjs');
const { churn } = await import('./churn.mjs');
const { countFrames, cpuShares, machineShare, memory, rest } = await import('./measure.mjs');
const { buildPlace, PORT, Program, SERVER } = await import('./place.mjs');
const { report } = await import('./report.mjs');
const { startWeft, pageAddress } = await import('./weft.mjs');

const parts = options.parts.split(',');
const numbers = Object.fromEntries(
  ['connections', 'proxied', 'seconds', 'cuts', 'minutes'].map((name) => [name, Number(options[name])]),
);
/** One for the browser, the other for everything else, as where a page is looked at from another machine. */
const BROWSER_CPUS = '0';
const OTHER_CPUS = cpus().length > 1 ? '1' : '0';
/** For what only happens at the beginning: compilers, first samples, fonts. */
const WARM_UP_MS = 5000;

const results = { numbers, notes: [] };

/** Scrolls down the list of connections and up again. */
const SCROLL = `
  const list = globalThis.benchList ??= [...document.querySelectorAll('*')]
    .filter((e) => e.scrollHeight > 4 * e.clientHeight && e.clientHeight > 100 && /auto|scroll/.test(getComputedStyle(e).overflowY))
    .sort((a, b) => b.scrollHeight - a.scrollHeight)[0];
  if (list !== undefined) list.scrollTop = Math.abs(((time / 4) % (2 * 20000)) - 20000);
`;

async function measureFrames(context) {
  const { browser, load, weft } = context;
  const pids = [weft.pid, load.pid];
  await rest(WARM_UP_MS);
  const unwatched = await cpuShares(pids, () => rest(numbers.seconds * 1000));
  const opened = await openPage(browser, await pageAddress(context.lab));
  await opened.page.bringToFront();
  await rest(WARM_UP_MS);
  weft.beginProfile?.();
  const still = await cpuShares(pids, () => countFrames(opened.page, numbers.seconds));
  weft.endProfile?.();
  const list = opened.page.getByRole('heading', { name: /connections/i }).first();
  await list.scrollIntoViewIfNeeded().catch(() => {});
  const scrolled = await cpuShares(pids, () => countFrames(opened.page, numbers.seconds, SCROLL));
  const machine = await machineShare(() => rest(3000));
  results.frames = {
    unwatched: { service: unwatched.shares[0], load: unwatched.shares[1] },
    still: { ...still.result, service: still.shares[0], load: still.shares[1] },
    scrolled: { ...scrolled.result, service: scrolled.shares[0], load: scrolled.shares[1] },
    machine,
    memory: memory(weft.pid),
    overview: await opened.page.evaluate(
      `fetch('/v1/overview').then((r) => r.json()).then(({ sampleMs, sampleIntervalMs, totals }) => ({ sampleMs, sampleIntervalMs, totals }))`,
    ),
    troubles: opened.troubles,
  };
  console.error(JSON.stringify(results.frames, undefined, 1));
  await opened.context.close();
}

/** A place with a Weft, a browser, and connections. */
async function withConnections(work) {
  const lab = await buildPlace();
  try {
    const server = new Program(lab.node('server'), loadCommand('serve', PORT), { cpus: OTHER_CPUS });
    await server.line();
    const weft = await startWeft(lab, { cpus: OTHER_CPUS, profile: options.profile });
    const load = new Program(
      lab.node('client'),
      loadCommand('hold', SERVER, PORT, numbers.connections, numbers.proxied),
      { cpus: OTHER_CPUS },
    );
    await load.line();
    const browser = await startBrowser(lab.node('client').path, BROWSER_CPUS);
    try {
      await work({ browser, lab, load, server, weft });
    } finally {
      await browser.close();
      await load.stop();
      await weft.stop();
      await server.stop();
    }
  } finally {
    await lab.close();
  }
}

const loadCommand = (...args) => [process.execPath, join(here, 'load.mjs'), ...args.map(String)];

async function attempt(what, work) {
  try {
    await work();
  } catch (error) {
    results.notes.push(`${what}: ${String(error.message).split('\n')[0]}`);
    console.error(`${what} failed: ${error.stack}`);
  }
}

const loadBefore = loadavg()[0];
if (parts.includes('cut')) {
  await attempt('cut', async () => {
    results.cut = await cutInLab({ cuts: numbers.cuts, cpus: { browser: BROWSER_CPUS, other: OTHER_CPUS } });
  });
}
if (parts.some((part) => part !== 'cut')) {
  await attempt('connections', () =>
    withConnections(async (context) => {
      if (parts.includes('frames')) await attempt('frames', () => measureFrames(context));
      if (parts.includes('cut')) {
        await attempt('cut beside the connections', async () => {
          results.cutLoaded = await cutUnderLoad(context, numbers.cuts);
        });
      }
      if (parts.includes('memory')) {
        await attempt('memory', async () => {
          results.memory = await churn(context, numbers);
        });
      }
    }),
  );
}

const machine = {
  ...describeMachine(),
  chromium: spawnSync('chromium', ['--version'], { encoding: 'utf8' }).stdout.trim(),
  loadBefore,
};
const text = report({ machine, results });
console.log(text);
if (!options['no-write']) {
  const file = join(here, 'results.json');
  // Parts that were not measured this time stay as they were.
  let known = {};
  try {
    known = JSON.parse(readFileSync(file, 'utf8')).results;
  } catch {
    // The first run.
  }
  const merged = { machine, results: { ...known, ...results } };
  writeFileSync(file, `${JSON.stringify(merged, undefined, 1)}\n`);
  writeFileSync(join(here, 'RESULTS.md'), report(merged));
}
process.exit(results.notes.length > 0 ? 1 : 0);
