/**
 * Two hosts and a tunnel's data plane between them, without an engine; each end is a process of its own
 * (data-plane-end.ts).
 *
 *    tun0  10.77.0.1  fd77::1 ─ end A ═╦═ v1 ═ link 1 ═ v1 ═╦═ end B ─ tun0  10.77.0.2  fd77::2
 *                                      ╚═ v2 ═ link 2 ═ v2 ═╝
 */
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { AF_INET, AF_INET6 } from '../../src/base/index.ts';
import {
  bindSocket,
  closeFd,
  getIntOption,
  libc,
  listenOn,
  localAddressOf,
  openSocket,
  setIntOption,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  SO_RCVBUFFORCE,
  startConnect,
} from '../../src/native/index.ts';
import type { ConnectionCounters, TotalCounters } from '../../src/tunnel/data/data-counters.ts';
import { bundleTypeScript } from './bundle.ts';
import type { EndOptions, EndRequest } from './data-plane-end.ts';
import { makeTwoHosts, type TwoHosts } from './two-hosts.ts';

type Counters = ConnectionCounters & { readonly totals: TotalCounters };
type Version = 4 | 6;

const IPPROTO_TCP = 6;
const TCP_MAXSEG = 2;
export const LIMIT_MS = 30_000;
export const MTU = 1440;

export const NEAR = { 4: '10.77.0.1', 6: 'fd77::1' };
export const FAR = { 4: '10.77.0.2', 6: 'fd77::2' };

let hosts: TwoHosts;
let program: string;
const cleanups: (() => unknown)[] = [];

/** Two hosts for all tests of a file; what a test opened is closed at its end. */
export function useDataPlanes(): void {
  beforeAll(async () => {
    program = await bundleTypeScript(new URL('data-plane-end.ts', import.meta.url));
    hosts = makeTwoHosts('dp');
  });
  afterAll(() => hosts.remove());
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
}

export const onCleanup = (cleanup: () => unknown): void => void cleanups.push(cleanup);
export const testHosts = (): TwoHosts => hosts;

/** A process that is one end. */
class End {
  readonly child: ChildProcessWithoutNullStreams;
  readonly events: { readonly event: string; readonly text?: string; readonly path?: number }[] = [];
  readonly #answers: ((answer: unknown) => void)[] = [];
  readonly ready: Promise<void>;
  #errors = '';

  constructor(node: string, options: EndOptions) {
    this.child = spawn('ip', ['netns', 'exec', node, process.execPath, program, JSON.stringify(options)]);
    this.child.stderr.on('data', (data: Buffer) => {
      this.#errors += data.toString();
    });
    const lines = createInterface({ input: this.child.stdout });
    this.ready = new Promise((resolve, reject) => {
      this.child.once('exit', () => reject(new Error(`an end is gone: ${this.#errors}`)));
      lines.on('line', (line) => {
        if (line === 'ready') return resolve();
        const value = JSON.parse(line) as { readonly event?: string };
        if (value.event === undefined) this.#answers.shift()?.(value);
        else this.events.push(value as (typeof this.events)[number]);
      });
    });
  }

  ask<T>(request: EndRequest): Promise<T> {
    return new Promise((resolve) => {
      this.#answers.push((answer) => resolve(answer as T));
      this.child.stdin.write(`${JSON.stringify(request)}\n`);
    });
  }

  counters(): Promise<Counters> {
    return this.ask({ do: 'counters' });
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.stdin.end();
    await once(this.child, 'exit');
    expect(this.#errors).toBe('');
    expect(this.child.exitCode).toBe(0);
  }
}

interface PairOptions {
  /** IP version of the paths. */
  readonly outer?: Version;
  /** IP version of the connection. */
  readonly inner?: Version;
  readonly paths?: readonly (1 | 2)[];
  readonly mtuBytes?: number;
  readonly datagramBytesMax?: number;
  readonly isSegmentationOff?: boolean;
  readonly connection?: EndOptions['connection'];
  readonly views?: EndOptions['views'];
}

interface Pair {
  readonly a: End;
  readonly b: End;
}

export async function start(options: PairOptions = {}): Promise<Pair> {
  const { outer = 4, inner = 4, paths = [1, 2], mtuBytes = MTU } = options;
  const address = (link: number, host: 1 | 2) =>
    outer === 4 ? `10.9.${link}.${host}` : `fd09:${link}::${host}`;
  const end = (node: string, self: 1 | 2, peer: 1 | 2) =>
    new End(node, {
      tunnel: {
        name: 'tun0',
        mtuBytes,
        ipv4: { address: self === 1 ? NEAR[4] : FAR[4], length: 24 },
        ipv6: { address: self === 1 ? NEAR[6] : FAR[6], length: 64 },
      },
      paths: paths.map((link) => ({ local: address(link, self), remote: address(link, peer), port: 4754 })),
      ...(options.datagramBytesMax === undefined ? {} : { datagramBytesMax: options.datagramBytesMax }),
      local: self === 1 ? NEAR[inner] : FAR[inner],
      remote: self === 1 ? FAR[inner] : NEAR[inner],
      connection: options.connection ?? {},
      ...(options.isSegmentationOff === undefined ? {} : { isSegmentationOff: options.isSegmentationOff }),
      ...(options.views === undefined ? {} : { views: options.views }),
    });
  const pair = { a: end('dp-a', 1, 2), b: end('dp-b', 2, 1) };
  cleanups.push(
    () => pair.a.stop(),
    () => pair.b.stop(),
  );
  await Promise.all([pair.a.ready, pair.b.ready]);
  return pair;
}

const onHost = <T>(host: 'a' | 'b', work: () => T): T => (host === 'a' ? hosts.onA(work) : hosts.onB(work));
const STREAM = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

/** A connection whose end was not acknowledged would go on sending in the tunnel of the test that comes after. */
async function connectionsEnded(): Promise<void> {
  const args = ['-H', '-t', '-n', 'state', 'connected', 'exclude', 'time-wait'];
  const open = () => ['dp-a', 'dp-b'].map((node) => execFileSync('ss', ['-N', node, ...args]).toString());
  await expect.poll(open, { timeout: LIMIT_MS }).toEqual(['', '']);
}

/** Sends bytes from one host to the other by TCP and gives what arrived; `during` runs when half of it was given away. */
export async function transfer(
  version: Version,
  from: 'a' | 'b',
  bytes: Uint8Array,
  during?: () => unknown,
): Promise<{ readonly received: number; readonly isEqual: boolean; readonly mss: number }> {
  const to = from === 'a' ? 'b' : 'a';
  const address = to === 'b' ? FAR[version] : NEAR[version];
  const family = version === 4 ? AF_INET : AF_INET6;
  const listener = onHost(to, () => {
    const fd = openSocket(family, STREAM, 0);
    bindSocket(fd, { address, port: 0 });
    listenOn(fd, 8);
    return fd;
  });
  const { port } = localAddressOf(listener)!;
  const server = new Server();
  server.listen({ fd: listener });
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = onHost(from, () => {
    const fd = openSocket(family, STREAM, 0);
    startConnect(fd, { address, port });
    return fd;
  });
  const sender = new Socket({ fd: client, readable: true, writable: true });
  const [receiver] = await accepted;
  const mss = getIntOption(client, IPPROTO_TCP, TCP_MAXSEG);
  const half = bytes.length >> 1;
  sender.write(bytes.subarray(0, half));
  await during?.();
  sender.end(bytes.subarray(half));
  const hash = createHash('sha256');
  let received = 0;
  for await (const chunk of receiver) {
    hash.update(chunk as Buffer);
    received += (chunk as Buffer).length;
  }
  receiver.destroy();
  sender.destroy();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  await connectionsEnded();
  const isEqual = hash.digest('hex') === createHash('sha256').update(bytes).digest('hex');
  return { received, isEqual, mss };
}

export const content = (length: number) =>
  Uint8Array.from({ length }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 13) & 0xff);
export const MEGABYTES = content(8 << 20);

/** A UDP socket on a host; connected if a peer is given. */
export function openUdp(host: 'a' | 'b', version: Version, peer?: { address: string; port: number }) {
  const fd = onHost(host, () => {
    const opened = openSocket(
      version === 4 ? AF_INET : AF_INET6,
      SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
      0,
    );
    bindSocket(opened, { address: host === 'a' ? NEAR[version] : FAR[version], port: 0 });
    // What was segmented counts many times its size.
    setIntOption(opened, SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
    if (peer !== undefined) startConnect(opened, peer);
    return opened;
  });
  cleanups.push(() => closeFd(fd));
  return { fd, port: localAddressOf(fd)!.port };
}

const buffer = new Uint8Array(70_000);
const receive = (fd: number): Uint8Array | undefined => {
  const length = libc.recv(fd, buffer, buffer.length, 0);
  return length < 0 ? undefined : buffer.slice(0, length);
};

/** What arrives at the socket, until there are so many. */
export async function receiveAll(fd: number, count: number): Promise<Uint8Array[]> {
  const arrived: Uint8Array[] = [];
  await expect
    .poll(
      () => {
        for (let one = receive(fd); one !== undefined; one = receive(fd)) arrived.push(one);
        return arrived.length;
      },
      { interval: 5, timeout: LIMIT_MS },
    )
    .toBeGreaterThanOrEqual(count);
  return arrived;
}

export const send = (fd: number, bytes: Uint8Array) => libc.send(fd, bytes, bytes.length, 0);

export const ping = (address: string, ...args: string[]) =>
  execFileSync('ip', ['netns', 'exec', 'dp-a', 'ping', '-n', '-q', '-i', '0.01', ...args, address], {
    encoding: 'utf8',
  });
