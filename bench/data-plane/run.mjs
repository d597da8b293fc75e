/**
 * `node bench/data-plane/run.mjs [--runs N] [--seconds N] [--streams N] [--paths 1|2] [--plain] [--window N]
 *                                [--scheduler NAME] [--udp BYTES --rate RATE] [--reverse]`
 *
 * The tunnel's data plane alone: two namespaces, one or two veth pairs, a process at each end that is a data plane with a
 * fixed description (test/support/data-plane-end.ts), iperf3 through it. For work on the threads' code: what it measures
 * is the source tree, not the build. The whole tunnel beside other programs: bench/tunnel.
 *
 * Needs root, iperf3 and iproute2; touches nothing of the host. Prints per run: Gbit/s, CPU time of the whole machine,
 * and CPU milliseconds per gigabyte of each end's process.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { build, stop } from 'esbuild';
import { enterNamespaces } from '../support/namespaces.mjs';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    streams: { type: 'string', default: '1' },
    paths: { type: 'string', default: '2' },
    plain: { type: 'boolean', default: false },
    window: { type: 'string', default: '1000' },
    scheduler: { type: 'string', default: 'weights' },
    udp: { type: 'string' },
    rate: { type: 'string', default: '200M' },
    reverse: { type: 'boolean', default: false },
    raw: { type: 'boolean', default: false },
  },
});

enterNamespaces('/run/netns');

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const folder = join(root, 'node_modules', '.weft-test', 'data-plane');

/** The end's program with its two threads beside it, where it looks for them. */
async function bundle() {
  mkdirSync(join(folder, 'workers'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
  const common = { bundle: true, platform: 'node', format: 'esm', target: 'node20.19', packages: 'external' };
  await build({
    ...common,
    entryPoints: { end: join(root, 'test', 'support', 'data-plane-end.ts') },
    outdir: folder,
  });
  await build({
    ...common,
    entryPoints: {
      outbound: join(root, 'src', 'tunnel', 'outbound-worker.ts'),
      inbound: join(root, 'src', 'tunnel', 'inbound-worker.ts'),
    },
    outdir: join(folder, 'workers'),
  });
  await stop();
  return join(folder, 'end.js');
}

const ip = (...args) => execFileSync('ip', args, { encoding: 'utf8' });
const inNode = (node, ...command) => ['netns', 'exec', node, ...command];
const paths = Number(options.paths);

function makeHosts() {
  for (const node of ['a', 'b']) {
    ip('netns', 'add', node);
    ip('-n', node, 'link', 'set', 'lo', 'up');
  }
  for (let path = 1; path <= paths; path++) {
    const link = `path${path}`;
    ip('link', 'add', link, 'netns', 'a', 'type', 'veth', 'peer', 'name', link, 'netns', 'b');
    for (const [host, node] of ['a', 'b'].entries()) {
      ip('-n', node, 'address', 'add', `10.1.${path}.${host + 1}/24`, 'dev', link);
      ip('-n', node, 'link', 'set', link, 'up');
    }
  }
}

async function startEnd(program, node, self, peer) {
  const description = {
    tunnel: { name: 'tun0', mtuBytes: 1440, ipv4: { address: `10.9.0.${self}`, length: 24 } },
    paths: Array.from({ length: paths }, (_, i) => ({
      local: `10.1.${i + 1}.${self}`,
      remote: `10.1.${i + 1}.${peer}`,
      port: 4754,
    })),
    local: `10.9.0.${self}`,
    remote: `10.9.0.${peer}`,
    connection: {
      isSequenced: !options.plain,
      reorderWindow: options.plain ? 0 : Number(options.window),
      scheduler: options.scheduler,
      innerBytesMax: 1440,
    },
  };
  const child = spawn('ip', inNode(node, process.execPath, program, JSON.stringify(description)), {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  await new Promise((resolve) => {
    lines.on('line', (line) => {
      if (line === 'ready') resolve();
      else if (line.includes('"event"')) console.log(node, line);
    });
  });
  return child;
}

/** CPU time in ms of a process's threads together. */
function cpuMs(pid) {
  let ticks = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * 10;
}

function machineTicks() {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
  return { total: fields.reduce((sum, value) => sum + value), idle: fields[3] + fields[4] };
}

function listening(node) {
  return execFileSync('ip', inNode(node, 'ss', '-Htln'), { encoding: 'utf8' }).includes(':5201');
}

async function measure(ends, target) {
  const server = spawn('ip', inNode('b', 'iperf3', '-s', '-1'), { stdio: 'ignore' });
  while (!listening('b')) await new Promise((resolve) => setTimeout(resolve, 20));
  const args = ['-c', target, '-t', options.seconds, '-P', options.streams, '-J'];
  if (options.udp !== undefined) args.push('-u', '-b', options.rate, '-l', options.udp);
  if (options.reverse) args.push('-R');
  const before = { machine: machineTicks(), ends: ends.map(({ pid }) => cpuMs(pid)) };
  const { end } = JSON.parse(
    execFileSync('ip', inNode('a', 'iperf3', ...args), { encoding: 'utf8', maxBuffer: 1 << 26 }),
  );
  const after = { machine: machineTicks(), ends: ends.map(({ pid }) => cpuMs(pid)) };
  await new Promise((resolve) => {
    if (server.exitCode !== null) resolve();
    else server.once('exit', resolve);
  });
  const received = end.sum_received ?? end.sum;
  const gigabytes = received.bytes / 1e9;
  const total = after.machine.total - before.machine.total;
  const busy = total - (after.machine.idle - before.machine.idle);
  const perGigabyte = ends.map((_, i) => ((after.ends[i] - before.ends[i]) / gigabytes).toFixed(0));
  const special =
    options.udp === undefined
      ? `${end.sum_sent.retransmits} retransmits`
      : `${(end.sum.packets / Number(options.seconds) / 1000).toFixed(0)} kpps, ${end.sum.lost_percent.toFixed(2)} % lost`;
  console.log(
    `${(received.bits_per_second / 1e9).toFixed(2)} Gbit/s, ${special}, machine ${((200 * busy) / total).toFixed(0)} %, ms/GB ${perGigabyte.join(' + ')}`,
  );
  return received.bits_per_second;
}

makeHosts();
const program = await bundle();
const rates = [];
for (let run = 0; run < Number(options.runs); run++) {
  const ends = options.raw
    ? []
    : await Promise.all([startEnd(program, 'a', 1, 2), startEnd(program, 'b', 2, 1)]);
  rates.push(await measure(ends, options.raw ? '10.1.1.2' : '10.9.0.2'));
  await Promise.all(
    ends.map((child) => {
      child.stdin.end();
      return new Promise((resolve) => child.once('exit', resolve));
    }),
  );
}
const median = rates.toSorted((a, b) => a - b)[rates.length >> 1];
console.log(`median ${(median / 1e9).toFixed(2)} Gbit/s`);
