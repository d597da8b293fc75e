/**
 * `node bench/proxy/run.mjs [--rounds N] [--seconds N] [--only NAME] [--kinds KIND,KIND] [--no-write]`
 *
 * Measures Weft's proxy and its peers in one run and writes bench/RESULTS.md: one CONNECT stream each way, small GETs,
 * new tunnels, memory of an idle tunnel, and the time that a small message and a new tunnel take. Everything happens in namespaces that this program makes; nothing of the
 * host is touched. Needs root (or user namespaces), the build (`npm run build`), `npm ci --ignore-scripts` in bench/,
 * and Debian's squid, tinyproxy, haproxy, python3, wrk, iproute2.
 *
 * Each round starts every peer anew, so that a disturbance of the machine does not hit one peer only. The best of
 * the rounds is reported, with the median beside it: disturbances only ever take away.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { describeMachine } from '../support/machine.mjs';
import { enterNamespaces } from '../support/namespaces.mjs';
import { GREET_PORTS, PEERS, PORT, Ports, webServerCommand } from './peers.mjs';
import { DIRECT, report } from './report.mjs';
import {
  buildTopology,
  CLIENT,
  limitPaths,
  PROXY,
  PROXY_ADDRESS,
  SERVER,
  SERVER_ADDRESS,
} from './topology.mjs';
/** How much longer than the other tests that of single new tunnels takes. */
const CONNECTS_FACTOR = 3;

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    only: { type: 'string' },
    kinds: { type: 'string' },
    'no-write': { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
const IDLE_TUNNELS = 5000;
const WARM_UP_TUNNELS = 200;
const MPTCP_PATH_RATE = '2gbit';

enterNamespaces('/run/bench');

/** UNBOUNDED: a handful of programs; all are ended by their process id, whatever happens. */
const running = new Set();

function start(node, command, { waitFor = 'ready', stdin = 'ignore' } = {}) {
  const child = spawn('ip', ['netns', 'exec', node, ...command], { stdio: [stdin, 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  const told = [];
  child.stdout.on('data', (chunk) => {
    output += chunk;
    for (const { text, resolve } of told) if (output.includes(text)) resolve(output);
  });
  child.stderr.on('data', (chunk) => (output += chunk));
  const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  void ended.then(() => running.delete(child));
  const saying = (text) =>
    new Promise((resolve, reject) => {
      told.push({ text, resolve });
      void ended.then(() => reject(new Error(`${command[0]} ended: ${output}`)));
      if (output.includes(text)) resolve(output);
    });
  return {
    child,
    ended,
    saying,
    ready: waitFor === null ? Promise.resolve() : saying(waitFor),
    output: () => output,
  };
}

async function stop(program) {
  program.child.kill('SIGTERM');
  const timer = setTimeout(() => program.child.kill('SIGKILL'), 3000);
  await program.ended;
  clearTimeout(timer);
}

/** Runs a program to its end and gives back what it printed. */
async function finish(node, command) {
  const program = start(node, command, { waitFor: null });
  const code = await program.ended;
  if (code !== 0) throw new Error(`${command.join(' ')}: exit ${code}: ${program.output()}`);
  return program.output();
}

/** `false`: nothing listens after 10 s. */
async function untilListening(port) {
  for (let i = 0; i < 200; i++) {
    const { stdout } = spawnSync('ip', ['netns', 'exec', PROXY, 'ss', '-Hltn', `sport = :${port}`], {
      encoding: 'utf8',
    });
    if (stdout !== '') return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

/** Proportional memory of a process and its descendants, in KiB. */
function memoryKib(pid) {
  const children = new Map();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const parent = Number(
        readFileSync(`/proc/${entry}/stat`, 'utf8')
          .replace(/^.*\) . /, '')
          .split(' ')[0],
      );
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
    } catch {
      // It ended meanwhile.
    }
  }
  let sum = 0;
  for (const queue = [pid]; queue.length > 0;) {
    const next = queue.pop();
    sum += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${next}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    queue.push(...(children.get(next) ?? []));
  }
  return sum;
}

const loadCommand = (...args) => [process.execPath, join(here, 'load.mjs'), ...args.map(String)];
const parse = (output) => JSON.parse(output.trim().split('\n').at(-1));

function wayTo(peer, kind) {
  if (peer === undefined) return ['-', 0];
  return [peer.way ?? PROXY_ADDRESS, peer.port?.(kind) ?? PORT];
}

async function oneTunnel(kind, peer, port) {
  const command = loadCommand(kind, seconds, ...wayTo(peer, kind), SERVER_ADDRESS, port);
  return parse(await finish(CLIENT, command)).gbps;
}

const measure = {
  async stream(peer) {
    return oneTunnel('stream', peer, peer?.mptcp ? Ports.mptcpStream : Ports.stream);
  },
  async upload(peer) {
    return oneTunnel('upload', peer, peer?.mptcp ? Ports.mptcpSink : Ports.sink);
  },
  async requests(peer) {
    const target = `http://${SERVER_ADDRESS}:${Ports.web}/`;
    const [, port] = wayTo(peer, 'requests');
    const wrk = ['wrk', '-t1', '-c32', `-d${seconds}s`];
    const command =
      peer === undefined || peer.way !== undefined
        ? [...wrk, peer === undefined ? target : `http://${PROXY_ADDRESS}:${port}/`]
        : [...wrk, '-s', join(here, 'absolute.lua'), `http://${PROXY_ADDRESS}:${port}/`, '--', target];
    const output = await finish(CLIENT, command);
    const bad = /Non-2xx or 3xx responses: \d+|Socket errors: .*/.exec(output)?.[0];
    if (bad !== undefined && peer?.closes !== true) throw new Error(bad);
    return Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
  },
  async echo(peer) {
    const port = peer?.mptcp ? Ports.mptcpEcho : Ports.echo;
    return parse(
      await finish(CLIENT, loadCommand('echo', seconds, ...wayTo(peer, 'echo'), SERVER_ADDRESS, port)),
    );
  },
  async connects(peer) {
    const port = peer?.mptcp ? Ports.mptcpGreet : Ports.greet;
    const way = wayTo(peer, 'connects');
    // A p99 needs thousands of tunnels, and programs whose code has been compiled: those of the first fifth do not count.
    const connectSeconds = seconds * CONNECTS_FACTOR;
    return parse(
      await finish(
        CLIENT,
        loadCommand('connects', connectSeconds, ...way, SERVER_ADDRESS, port, GREET_PORTS),
      ),
    );
  },
  async tunnels(peer) {
    const port = peer?.mptcp ? Ports.mptcpGreet : Ports.greet;
    const command = loadCommand(
      'tunnels',
      seconds,
      ...wayTo(peer, 'tunnels'),
      SERVER_ADDRESS,
      port,
      GREET_PORTS,
    );
    const { perSecond, failed } = parse(await finish(CLIENT, command));
    if (failed > 0) throw new Error(`${failed} tunnels failed`);
    return perSecond;
  },
  async idle(peer, pid, count = IDLE_TUNNELS) {
    const port = peer.mptcp ? Ports.mptcpGreet : Ports.greet;
    const command = loadCommand('idle', count, ...wayTo(peer, 'idle'), SERVER_ADDRESS, port, GREET_PORTS);
    const before = memoryKib(pid);
    const program = start(CLIENT, command, { waitFor: '}\n', stdin: 'pipe' });
    const { opened, failed } = parse(await program.ready);
    if (failed > 0) throw new Error(`${failed} tunnels failed`);
    const after = memoryKib(pid);
    program.child.stdin.end();
    await program.ended;
    return (after - before) / opened;
  },
};

/** results[name][kind]: one number a round. */
const results = {};
const notes = [];

function note(name, kind, value) {
  ((results[name] ??= {})[kind] ??= []).push(value);
  console.error(`${name}: ${kind} ${value.toFixed(2)}`);
}

async function attempt(name, kind, work) {
  try {
    const value = await work();
    if (typeof value === 'number') return note(name, kind, value);
    note(name, `${kind}50`, value.p50Us);
    note(name, `${kind}99`, value.p99Us);
  } catch (error) {
    noteFailure(name, kind, error);
  }
}

function noteFailure(name, kind, error) {
  notes.push(`${name}, ${kind}: ${String(error.message).split('\n')[0]}`);
  console.error(`${name}: ${kind} failed: ${error.message}`);
}

/** What `--kinds` asks for and the peer can do. */
function wants(peer, kind) {
  if (options.kinds !== undefined && !options.kinds.split(',').includes(kind)) return false;
  return peer.kinds === undefined || peer.kinds.includes(kind);
}

async function measurePeer(peer) {
  const folder = mkdtempSync('/run/bench/peer-');
  const companion = peer.companion === undefined ? undefined : start(SERVER, peer.companion(folder));
  await companion?.ready;
  const program = start(PROXY, peer.command(folder), { waitFor: null });
  try {
    const port = peer.port?.('requests') ?? PORT;
    if (!(await untilListening(port)))
      throw new Error(`it does not listen on port ${port}: ${program.output()}`);
    const { pid } = program.child;
    // Before anything else, because memory once used is not always given back; after a few tunnels to warm up.
    if (wants(peer, 'idle')) {
      await attempt(peer.name, 'idle', async () => {
        await measure.idle(peer, pid, WARM_UP_TUNNELS);
        return measure.idle(peer, pid);
      });
    }
    if (peer.remembers && wants(peer, 'stream')) {
      await attempt(peer.name, 'firstStream', () => measure.stream(peer));
      await attempt(peer.name, 'firstUpload', () => measure.upload(peer));
    }
    for (const kind of ['tunnels', 'requests', 'echo', 'connects', 'stream', 'upload']) {
      if (wants(peer, kind)) await attempt(peer.name, kind, () => measure[kind](peer));
    }
    if (peer.mptcp && options.kinds === undefined) {
      limitPaths(MPTCP_PATH_RATE);
      await attempt(peer.name, 'twoPaths', () => measure.stream(peer));
      limitPaths(undefined);
    }
  } finally {
    await stop(program);
    if (companion !== undefined) await stop(companion);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main() {
  buildTopology();
  const source = (...args) =>
    start(SERVER, [process.execPath, join(here, 'source.mjs'), SERVER_ADDRESS, ...args.map(String)]);
  const servers = [
    source(Ports.stream, Ports.sink, Ports.echo, Ports.greet, GREET_PORTS),
    source(Ports.mptcpStream, Ports.mptcpSink, Ports.mptcpEcho, Ports.mptcpGreet, GREET_PORTS, 'mptcp'),
  ];
  await Promise.all(servers.map(({ ready }) => ready));
  servers.push(start(SERVER, webServerCommand('/run/bench'), { waitFor: null }));
  const loadBefore = loadavg()[0];
  for (let round = 0; round < rounds; round++) {
    console.error(`round ${round + 1} of ${rounds}`);
    for (const kind of ['tunnels', 'requests', 'echo', 'connects', 'stream', 'upload'])
      if (wants({}, kind)) await attempt(DIRECT, kind, () => measure[kind](undefined));
    for (const peer of PEERS) {
      if (!(options.only ?? peer.name).split('|').some((part) => peer.name.includes(part))) continue;
      try {
        await measurePeer(peer);
      } catch (error) {
        noteFailure(peer.name, 'start', error);
      }
    }
  }
  for (const server of servers) await stop(server);
  const text = report({
    results,
    notes,
    peers: PEERS,
    rounds,
    seconds,
    idleTunnels: IDLE_TUNNELS,
    pathRate: MPTCP_PATH_RATE,
    machine: {
      ...describeMachine(),
      loadBefore,
    },
  });
  console.log(text);
  if (!options['no-write']) writeFileSync(join(here, '..', 'RESULTS.md'), text);
}

try {
  await main();
} finally {
  for (const child of running) child.kill('SIGKILL');
}
