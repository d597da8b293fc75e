/**
 * `ip-mptcp mptcp monitor` while real connections come and go: beside the `ip` of this machine, in its JSON, at its
 * end, and when events are lost. The hosts are those of support/two-hosts.ts.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { familyOf } from '../src/base/index.ts';
import {
  acceptFrom,
  bindSocket,
  closeFd,
  inNamespace,
  IPPROTO_MPTCP,
  listenOn,
  openSocket,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  startConnect,
} from '../src/native/index.ts';
import { writeSysctl } from '../src/mptcp/sysctl.ts';
import { OURS, PEER, peerIsSeven, WEFT } from './support/ip-mptcp-program.ts';
import { makeTwoHosts, type TwoHosts } from './support/two-hosts.ts';

const SOON = { interval: 10, timeout: 20_000 };

/** Opens an MPTCP socket that listens; each opening and closing is an event. */
function listenIn(netns: string, address: string, port: number): number {
  const fd = inNamespace(netns, () =>
    openSocket(familyOf(address), SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP),
  );
  bindSocket(fd, { address, port });
  listenOn(fd, 16);
  return fd;
}

/** A program that prints events until it gets a signal. */
class Monitor {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<number | string>;
  out = '';
  err = '';

  constructor(netns: string, program: readonly string[], words: readonly string[]) {
    this.child = spawn('nsenter', [`--net=${netns}`, '--', ...program, ...words], {
      env: { ...process.env, TZ: 'UTC', COLORFGBG: '' },
    });
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.out += text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.err += text));
    this.#ended = new Promise((resolve) => {
      this.child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
    });
  }

  lines(): string[] {
    return this.out.split('\n').filter((line) => line !== '');
  }

  end(signal: NodeJS.Signals = 'SIGINT'): Promise<number | string> {
    this.child.kill(signal);
    return this.#ended;
  }

  get ended(): Promise<number | string> {
    return this.#ended;
  }
}

let hosts: TwoHosts;
let monitors: Monitor[] = [];
const open = (netns: string, program: readonly string[], ...words: string[]) => {
  const monitor = new Monitor(netns, program, words);
  monitors.push(monitor);
  return monitor;
};

/** Makes events in a namespace until each of its monitors has printed one. */
async function untilReady(netns: string, ready: readonly Monitor[]): Promise<void> {
  await expect
    .poll(() => {
      closeFd(listenIn(netns, '127.0.0.1', 4000));
      return ready.every((monitor) => monitor.out !== '');
    }, SOON)
    .toBe(true);
}

/** The lines between the last that names one port and the first that names another. */
function between(lines: readonly string[], first: number, last: number): string[] {
  const from = lines.findLastIndex((line) => line.includes(`sport=${first}`)) + 1;
  const to = lines.findIndex((line) => line.includes(`sport=${last}`));
  return lines.slice(from, to);
}

const START = 4001;
const END = 4002;
const mark = (netns: string, port: number) => closeFd(listenIn(netns, '127.0.0.1', port));

beforeAll(() => {
  hosts = makeTwoHosts('ipmon');
});
afterAll(() => hosts.remove());
afterEach(async () => {
  await Promise.all(monitors.map((monitor) => monitor.end('SIGKILL')));
  monitors = [];
});

/** A connection from host a to host b that has said something in both directions. */
async function converse(listener: number, address: string): Promise<() => void> {
  const fd = inNamespace(hosts.netnsA, () =>
    openSocket(familyOf(address), SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP),
  );
  startConnect(fd, { address, port: 5000 });
  const client = new Socket({ fd });
  client.write('hello');
  let accepted: number | undefined;
  await expect
    .poll(() => {
      accepted ??= acceptFrom(listener);
      return accepted !== undefined;
    }, SOON)
    .toBe(true);
  const server = new Socket({ fd: accepted! });
  server.on('error', () => {});
  client.on('error', () => {});
  server.write('hello');
  await Promise.all([once(client, 'data'), once(server, 'data')]);
  return () => {
    client.end();
    server.end();
    client.destroy();
    server.destroy();
  };
}

/** Connections, an additional subflow, its priority and end, over IPv4 and IPv6. `seen` is a monitor of host a. */
async function liveThrough(seen: Monitor): Promise<void> {
  const listener = listenIn(hosts.netnsB, '::', 5000);
  try {
    hosts.ipB('mptcp', 'endpoint', 'add', '10.9.2.2', 'dev', 'v2', 'signal', 'id', '7');
    const endFirst = await converse(listener, '10.9.1.2');
    await expect.poll(() => seen.out, SOON).toContain('SF_ESTABLISHED]');
    hosts.ipB('mptcp', 'endpoint', 'change', 'id', '7', 'backup');
    await expect.poll(() => seen.out, SOON).toContain('SF_PRIO]');
    hosts.ipB('mptcp', 'endpoint', 'delete', 'id', '7');
    await expect.poll(() => seen.out, SOON).toContain('REMOVED]');
    await expect.poll(() => seen.out, SOON).toContain('SF_CLOSED]');
    endFirst();
    await expect.poll(() => seen.out, SOON).toContain(' CLOSED]');
    inNamespace(hosts.netnsB, () => writeSysctl('allow_join_initial_addr_port', false));
    const endSecond = await converse(listener, 'fd09:1::2');
    endSecond();
    await expect.poll(() => seen.out.match(/ CLOSED\]/g)?.length, SOON).toBe(2);
  } finally {
    inNamespace(hosts.netnsB, () => writeSysctl('allow_join_initial_addr_port', true));
    hosts.ipB('mptcp', 'endpoint', 'flush');
    closeFd(listener);
  }
}

/** A line of 7.1 as 6.1 prints it: narrower names, no listeners, no names of flags and links. */
function asSixOne(line: string): string {
  if (line.includes('LISTENER_CREATED]')) return '[UNKNOWN 15]';
  if (line.includes('LISTENER_CLOSED]')) return '[UNKNOWN 16]';
  const flags = (line.includes(' deny_join_id0') ? 1 : 0) + (line.includes(' server_side') ? 2 : 0);
  const plain = line
    .replace('[  ', '[')
    .replace(/ dev=\S+/, '')
    .replace(' server_side', '')
    .replace(' deny_join_id0', '');
  return flags === 0 ? plain : `${plain} flags=${flags}`;
}

it('prints what the ip of this machine prints', async () => {
  const ours = open(hosts.netnsA, OURS, 'mptcp', 'monitor');
  const peer = open(hosts.netnsA, PEER, 'mptcp', 'monitor');
  const oursB = open(hosts.netnsB, OURS, 'mptcp', 'monitor');
  const peerB = open(hosts.netnsB, PEER, 'mptcp', 'monitor');
  const json = open(hosts.netnsA, OURS, '-j', 'mptcp', 'monitor');
  const jsonLines = open(hosts.netnsA, WEFT, 'mptcp', 'monitor', '--json');
  const short = open(hosts.netnsA, OURS, '-ts', 'mptcp', 'monitor');
  await untilReady(hosts.netnsA, [ours, peer, json, jsonLines, short]);
  await untilReady(hosts.netnsB, [oursB, peerB]);
  for (const netns of [hosts.netnsA, hosts.netnsB]) mark(netns, START);
  await liveThrough(ours);
  for (const netns of [hosts.netnsA, hosts.netnsB]) mark(netns, END);

  const pairs = [
    [ours, peer],
    [oursB, peerB],
  ] as const;
  for (const [mine, theirs] of pairs) {
    await expect.poll(() => mine.out, SOON).toContain(`LISTENER_CLOSED] saddr4=127.0.0.1 sport=${END}`);
    const lines = mine.lines();
    const wanted = lines.slice(lines.findLastIndex((line) => line.includes(`sport=${START}`)));
    const form = peerIsSeven() ? wanted : wanted.map(asSixOne);
    await expect.poll(() => theirs.lines().slice(-form.length), SOON).toEqual(form);
  }

  const events = between(ours.lines(), START, END);
  const names = events.map((line) => line.slice(1, 17).trim());
  expect(names.slice(0, 5)).toEqual(['CREATED', 'ESTABLISHED', 'ANNOUNCED', 'SF_ESTABLISHED', 'SF_PRIO']);
  // The withdrawal and the end of the subflow that it causes come in either order.
  expect(names.slice(5, 7).sort()).toEqual(['REMOVED', 'SF_CLOSED']);
  expect(names.slice(7)).toEqual(['CLOSED', 'CREATED', 'ESTABLISHED', 'CLOSED']);
  expect(events.at(-3)).toMatch(/ deny_join_id0$/);
  expect(between(oursB.lines(), START, END)[1]).toMatch(/^\[ {9}CREATED\] .* server_side$/);

  expect(await ours.end('SIGINT')).toBe(0);
  expect(await oursB.end('SIGTERM')).toBe(0);

  const shortLines = between(short.lines(), START, END);
  expect(shortLines.map((line) => line.replace(/^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\] /, ''))).toEqual(
    events,
  );

  await expect.poll(() => json.out, SOON).toContain(`"sport":${END}},{"event":"LISTENER_CLOSED"`);
  expect(json.out).not.toContain(']');
  expect(await json.end('SIGTERM')).toBe(0);
  expect(json.out.endsWith('}]\n')).toBe(true);
  const objects = JSON.parse(json.out) as Record<string, unknown>[];
  const from = objects.findLastIndex(({ sport }) => sport === START) + 1;
  const to = objects.findIndex(({ sport }) => sport === END);
  expect(objects.slice(from, to).map(({ event }) => event)).toEqual(names);
  expect(objects.slice(from, to).map(textOf)).toEqual(events);

  await expect.poll(() => jsonLines.out, SOON).toContain(`"port":${END}}}\n{`);
  const own = jsonLines.lines().map((line) => JSON.parse(line) as Record<string, unknown>);
  const created = own.find(({ event }) => event === 'created');
  expect(created).toMatchObject({
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as unknown,
    token: expect.stringMatching(/^0x[0-9a-f]{8}$/) as unknown,
    local: { address: '10.9.1.1' },
    remote: { address: '10.9.1.2', port: 5000 },
  });
  expect(own.find(({ event }) => event === 'subflow-priority')).toMatchObject({ backup: true });
  expect(await jsonLines.end()).toBe(0);
  expect([ours.err, oursB.err, json.err, jsonLines.err, short.err]).toEqual(['', '', '', '', '']);
});

/** An object of ip's JSON as the line that ip prints for the same event. */
function textOf(object: Readonly<Record<string, unknown>>): string {
  const { event, ...fields } = object;
  const words = Object.entries(fields).map(([key, value]) => {
    if (value === true) return ` ${key}`;
    const text = key === 'token' ? Number(value).toString(16).padStart(8, '0') : String(value);
    return ` ${key}=${text}`;
  });
  return `[${String(event).padStart(16)}]${words.join('')}`;
}

it.each([
  [['-j'], '[]\n'],
  [['-j', '-p'], '[ ]\n'],
  [[], ''],
])('without any event %j prints %j', async (options, text) => {
  const quiet = hosts.netnsB;
  const monitor = open(quiet, OURS, ...options, 'mptcp', 'monitor');
  await expect.poll(() => listens(monitor), SOON).toBe(true);
  expect(await monitor.end('SIGINT')).toBe(0);
  expect(monitor.out).toBe(text);
});

/** Whether the process has joined a group of generic netlink (protocol 16). */
function listens({ child }: Monitor): boolean {
  const sockets = readFileSync(`/proc/${child.pid}/net/netlink`, 'utf8');
  return new RegExp(`^\\S+ +16 +${child.pid} +(?!00000000)`, 'm').test(sockets);
}

it('says that events were lost, and goes on', async () => {
  const ours = open(hosts.netnsA, OURS, '-rcvbuf', '4096', 'mptcp', 'monitor');
  const peer = open(hosts.netnsA, PEER, '-rcvbuf', '4096', 'mptcp', 'monitor');
  await untilReady(hosts.netnsA, [ours, peer]);
  for (const { child } of [ours, peer]) child.kill('SIGSTOP');
  for (let i = 0; i < 300; i++) mark(hosts.netnsA, 4003);
  for (const { child } of [ours, peer]) child.kill('SIGCONT');
  const text = 'netlink receive error No buffer space available (105)\n';
  await expect.poll(() => ours.err, SOON).toBe(text);
  await expect.poll(() => peer.err, SOON).toBe(text);
  await expect
    .poll(() => {
      mark(hosts.netnsA, END);
      return ours.out;
    }, SOON)
    .toContain(`LISTENER_CLOSED] saddr4=127.0.0.1 sport=${END}`);
  expect(await ours.end()).toBe(0);
});

it('ends quietly when its reader has left', async () => {
  const monitor = open(hosts.netnsA, OURS, 'mptcp', 'monitor');
  await untilReady(hosts.netnsA, [monitor]);
  monitor.child.stdout.destroy();
  const ended = { code: undefined as number | string | undefined };
  void monitor.ended.then((code) => (ended.code = code));
  await expect
    .poll(() => {
      mark(hosts.netnsA, 4004);
      return ended.code;
    }, SOON)
    .toBe(141);
  expect(monitor.err).toBe('');
});
