/**
 * `weft events` and the stream behind it: every kind of event as it happens, readers that are slow or leave, and how it
 * ends. The daemon is the built program, in a namespace with two links whose other ends are there too:
 *
 *   d1 ─── veth ─── p1        d2 ─── veth ─── p2
 */
import { execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AF_INET } from '../src/base/index.ts';
import { LabNode } from '../src/lab/index.ts';
import { connectFd } from '../src/mptcp/connect.ts';
import { createServer, MptcpSocket } from '../src/mptcp/index.ts';
import {
  bindSocket,
  closeFd,
  IPPROTO_MPTCP,
  listenOn,
  openSocket,
  SOCK_STREAM,
} from '../src/native/index.ts';
import type { StreamEvent } from '../src/service/index.ts';
import { daemonReport, socketOf, StreamReader } from './support/daemon-control.ts';
import { Configuration, FOLLOW_ADDRESSES, startMptcpd } from './support/mptcpd-program.ts';
import { runWeft, weftCommand, type RunningWeft } from './support/weft-program.ts';

const SOON = { interval: 5, timeout: 20_000 };

let node: LabNode;
let configuration: Configuration;
const closers: (() => unknown)[] = [];

const ip = (command: string) =>
  execFileSync('ip', ['-n', node.namespace, ...command.split(' ')], { encoding: 'utf8', stdio: 'pipe' });

beforeEach(() => {
  node = new LabNode('events', 'events-node');
  configuration = new Configuration();
  for (const which of ['all', 'default']) node.setSysctl(`ipv6/conf/${which}/disable_ipv6`, 1);
  for (const n of ['1', '2']) {
    ip(`link add d${n} type veth peer name p${n}`);
    ip(`link set p${n} up`);
    ip(`link set d${n} up`);
  }
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await node.close();
  configuration.remove();
});

function startDaemon(...args: string[]): Promise<RunningWeft> {
  return startMptcpd(node, {
    args: [...FOLLOW_ADDRESSES, ...args],
    environment: configuration.environment(),
  });
}

/** `weft events` that runs. */
class Events {
  readonly process: ChildProcess;
  readonly lines: StreamEvent[] = [];
  stderr = '';
  readonly ended: Promise<number | null>;

  constructor(...args: string[]) {
    this.process = node.spawn(weftCommand('events', ...args), { stdio: ['ignore', 'pipe', 'pipe'] });
    let rest = '';
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.lines.push(JSON.parse(line) as StreamEvent);
    });
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = once(this.process, 'close').then(([code]) => code as number | null);
  }

  /** Events by kind and name: `mptcp newConnection`. */
  get names(): string[] {
    return this.lines.map(({ kind, ...event }) =>
      'event' in event ? `${kind} ${event.event}` : 'action' in event ? `${kind} ${event.action}` : kind,
    );
  }

  async seen(...names: readonly string[]): Promise<void> {
    await expect.poll(() => this.names, SOON).toEqual(expect.arrayContaining([...names]));
  }

  find(name: string): StreamEvent | undefined {
    return this.lines[this.names.indexOf(name)];
  }
}

/** A connection over loopback, opened and closed. */
async function connectOnce(): Promise<void> {
  const accepted: Socket[] = [];
  const listener = await node.inside(() =>
    createServer({ host: '127.0.0.1' }, (socket) => accepted.push(socket)),
  );
  const { port } = listener.address() as AddressInfo;
  const socket = new MptcpSocket(await node.inside(() => connectFd({ address: '127.0.0.1', port })));
  socket.write('x');
  await expect.poll(() => accepted.length, SOON).toBe(1);
  accepted[0]!.write('y');
  await once(socket, 'data');
  await Promise.all([...accepted, socket].map((end) => once(end.destroy(), 'close')));
  await new Promise((resolve) => listener.close(resolve));
}

/** Two events each, and nothing else: a listener that opens and closes. */
function openListeners(count: number): void {
  node.inside(() => {
    for (let n = 0; n < count; n++) {
      const fd = openSocket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
      bindSocket(fd, { address: '127.0.0.1', port: 0 });
      listenOn(fd, 1);
      closeFd(fd);
    }
  });
}

/** The same, and waits until the daemon has read all of it. @returns how many events that were */
async function flood(events: number): Promise<void> {
  const AT_ONCE = 4000;
  let wanted = (await daemonReport(node)).counters.mptcpEvents;
  for (let left = events; left > 0; left -= AT_ONCE) {
    const now = Math.min(left, AT_ONCE);
    openListeners(now / 2);
    wanted += now;
    await expect.poll(async () => (await daemonReport(node)).counters.mptcpEvents, SOON).toBe(wanted);
  }
}

const FAULTY = `export default {
  name: 'faulty',
  init(context) {
    context.register({ newLocalAddress() { throw new Error('no good'); } });
  },
};`;

describe('weft events', () => {
  it('prints every kind of event as it happens', async () => {
    const plugins = join(configuration.folder, 'plugins');
    mkdirSync(plugins, { mode: 0o755 });
    writeFileSync(join(plugins, 'faulty.mjs'), FAULTY, { mode: 0o644 });
    const daemon = await startDaemon(`--plugin-dir=${plugins}`);
    const events = new Events();
    await events.seen('listening');
    expect(events.lines).toHaveLength(1);

    const before = Date.now();
    ip('addr add 10.1.0.2/24 dev d1');
    await events.seen('network newLocalAddress', 'endpoint added', 'plugin');
    expect(events.find('network newLocalAddress')).toMatchObject({
      address: '10.1.0.2',
      interface: { name: 'd1', kind: 'veth' },
    });
    const added = events.find('endpoint added');
    expect(added).toMatchObject({ address: '10.1.0.2', id: 1, flags: 2 });
    expect(added!.time).toBeGreaterThanOrEqual(before);
    expect(added!.time).toBeLessThanOrEqual(Date.now());
    expect(events.find('plugin')).toMatchObject({
      plugin: 'faulty',
      trouble: 'threw',
      callback: 'newLocalAddress',
      message: expect.stringContaining('no good') as string,
    });

    expect((await runWeft(node, 'daemon', 'set', 'd1', 'backup')).code).toBe(0);
    await events.seen('endpoint changed');
    expect(events.find('endpoint changed')).toMatchObject({ address: '10.1.0.2', flags: 6 });

    await connectOnce();
    await events.seen(
      'mptcp listenerCreated',
      'mptcp newConnection',
      'mptcp connectionEstablished',
      'mptcp connectionClosed',
      'mptcp listenerClosed',
    );
    expect(events.find('mptcp newConnection')).toMatchObject({
      data: { local: { address: '127.0.0.1' }, remote: { address: '127.0.0.1' }, adopted: false },
    });

    ip('link set d2 down');
    await events.seen('network deleteInterface');
    ip('link set d2 up');
    await events.seen('network newInterface');
    ip('addr del 10.1.0.2/24 dev d1');
    await events.seen('network deleteLocalAddress', 'endpoint removed');

    // More than its socket takes while it stands still.
    daemon.process.kill('SIGSTOP');
    openListeners(20_000);
    daemon.process.kill('SIGCONT');
    await events.seen('overrun', 'resynchronised');
    expect(events.find('overrun')).toMatchObject({ socket: 'mptcp' });
    expect(events.find('resynchronised')).toMatchObject({ cause: 'overrun' });
    // And hears again.
    const heard = events.names.filter((name) => name === 'mptcp newConnection').length;
    await connectOnce();
    await expect
      .poll(() => events.names.filter((name) => name === 'mptcp newConnection').length, SOON)
      .toBe(heard + 2);
    expect(await daemon.stop()).toBe(0);
    expect(await events.ended).toBe(1);
    expect(events.stderr).toMatch(/^weft: the daemon has ended/);
  });

  it('shows what a stop takes back, to the last line', async () => {
    ip('addr add 10.1.0.2/24 dev d1');
    ip('addr add 10.2.0.2/24 dev d2');
    const daemon = await startDaemon();
    await expect.poll(async () => (await daemonReport(node)).ownEndpointIds, SOON).toHaveLength(2);
    const reader = await StreamReader.open(socketOf(node), '?kind=endpoint');
    expect(await daemon.stop()).toBe(0);
    await expect.poll(() => reader.ended, SOON).toBe(true);
    expect(reader.of('endpoint').map(({ action, address }) => `${action} ${address}`)).toEqual([
      'removed 10.1.0.2',
      'removed 10.2.0.2',
    ]);
  });

  it('prints only the kinds that are asked for, and ends after as many as are wanted', async () => {
    await startDaemon();
    const events = new Events('--kind', 'listening,endpoint', '--kind=network', '--count', '3');
    await events.seen('listening');
    await connectOnce();
    ip('addr add 10.1.0.2/24 dev d1');
    ip('addr add 10.1.0.3/24 dev d1');
    expect(await events.ended).toBe(0);
    expect(events.stderr).toBe('');
    expect(events.lines).toHaveLength(4);
    expect(new Set(events.lines.map(({ kind }) => kind))).toEqual(
      new Set(['listening', 'network', 'endpoint']),
    );
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s ends it with exit code 0', async (signal) => {
    await startDaemon();
    const events = new Events('--json');
    await events.seen('listening');
    events.process.kill(signal);
    expect(await events.ended).toBe(0);
    expect(events.stderr).toBe('');
  });

  it('ends when its reader leaves, also while nothing happens', async () => {
    await startDaemon();
    const events = new Events();
    await events.seen('listening');
    events.process.stdout?.destroy();
    expect(await events.ended).toBe(0);
    expect(events.stderr).toBe('');

    const head = await node.run(['bash', '-c', '"$@" | head -n 1', 'bash', ...weftCommand('events')]);
    expect(head).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(head.stdout)).toMatchObject({ kind: 'listening' });
  });

  it.each([
    [['--kind', 'mtpcp'], /There is no kind "mtpcp" \(did you mean "mptcp"\?\): listening, mptcp, /],
    [['--count', '0'], /whole number above 0/],
    [['--count', 'x'], /whole number above 0/],
    [['--kinds', 'mptcp'], /Did you mean --kind\?/],
  ])('%j is a mistake that is told', async (args, message) => {
    const { code, stderr, stdout } = await runWeft(node, 'events', ...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

describe('the stream of events', () => {
  it('a reader that falls behind is told how many it has missed, and goes on', async () => {
    const { process: child } = await startDaemon();
    const quick = await StreamReader.open(socketOf(node), '?kind=mptcp');
    const slow = await StreamReader.open(socketOf(node), '?kind=mptcp');
    slow.pause();
    const total = 80_000;
    await flood(total);
    await expect.poll(() => quick.events.length, SOON).toBe(total);
    expect(quick.of('lost')).toEqual([]);

    slow.resume();
    await expect.poll(() => slow.of('lost').length, SOON).toBe(1);
    const [lost] = slow.of('lost');
    // Nothing is missing but what the line counts, and the line stands where they were.
    expect(slow.events.length - 1 + lost!.count).toBe(total);
    expect(slow.events.at(-1)).toEqual(lost);
    expect(slow.events.slice(0, -1)).toEqual(quick.events.slice(0, slow.events.length - 1));
    // What was kept for it: a queue, one write of as much, and what its socket takes.
    expect(slow.length).toBeLessThan((2 * 4 + 1) << 20);
    expect(readFileSync(`/proc/${child.pid}/status`, 'utf8')).toMatch(/^State:\s+S/m);

    await flood(10);
    await expect.poll(() => slow.events.length, SOON).toBe(quick.events.length - lost!.count + 1);
    expect(slow.events.slice(-10)).toEqual(quick.events.slice(-10));
  });

  it('a reader gets the kinds that it asks for, and no others', async () => {
    await startDaemon();
    const reader = await StreamReader.open(socketOf(node), '?kind=network');
    await flood(2000);
    ip('addr add 10.1.0.2/24 dev d1');
    await expect.poll(() => reader.events.length, SOON).toBe(1);
    expect(reader.events[0]).toMatchObject({ kind: 'network', event: 'newLocalAddress' });
  });

  it('ends with the daemon', async () => {
    const daemon = await startDaemon();
    const reader = await StreamReader.open(socketOf(node));
    const stuck = await StreamReader.open(socketOf(node));
    stuck.pause();
    // A reader that does not read does not hold it up.
    expect(await daemon.stop()).toBe(0);
    await expect.poll(() => reader.ended, SOON).toBe(true);
    stuck.close();
  });
});
