/**
 * The tunnel's data plane against the kernel: TUN device, both threads and the sockets of two paths, without an engine.
 * Each end is a process of its own (support/data-plane-end.ts).
 *
 *    tun0  10.77.0.1  fd77::1 ─ end A ═╦═ v1 ═ link 1 ═ v1 ═╦═ end B ─ tun0  10.77.0.2  fd77::2
 *                                      ╚═ v2 ═ link 2 ═ v2 ═╝
 */
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AF_INET, AF_INET6 } from '../src/base/index.ts';
import {
  bindSocket,
  closeFd,
  getIntOption,
  lastErrno,
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
  EMSGSIZE,
} from '../src/native/index.ts';
import type { ConnectionCounters, TotalCounters } from '../src/tunnel/data/data-counters.ts';
import { bundleTypeScript } from './support/bundle.ts';
import type { EndOptions, EndRequest } from './support/data-plane-end.ts';
import { makeTwoHosts, type TwoHosts } from './support/two-hosts.ts';

type Counters = ConnectionCounters & { readonly totals: TotalCounters };
type Version = 4 | 6;

const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_DO = 2;
const TCP_MAXSEG = 2;
const LIMIT_MS = 30_000;
const MTU = 1440;

const NEAR = { 4: '10.77.0.1', 6: 'fd77::1' };
const FAR = { 4: '10.77.0.2', 6: 'fd77::2' };

let hosts: TwoHosts;
let program: string;
beforeAll(async () => {
  program = await bundleTypeScript(new URL('support/data-plane-end.ts', import.meta.url));
  hosts = makeTwoHosts('dp');
});
afterAll(() => hosts.remove());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

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

async function start(options: PairOptions = {}): Promise<Pair> {
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
async function transfer(
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

const content = (length: number) =>
  Uint8Array.from({ length }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 13) & 0xff);
const MEGABYTES = content(8 << 20);

/** A UDP socket on a host; connected if a peer is given. */
function openUdp(host: 'a' | 'b', version: Version, peer?: { address: string; port: number }) {
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
async function receiveAll(fd: number, count: number): Promise<Uint8Array[]> {
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

const send = (fd: number, bytes: Uint8Array) => libc.send(fd, bytes, bytes.length, 0);

const ping = (address: string, ...args: string[]) =>
  execFileSync('ip', ['netns', 'exec', 'dp-a', 'ping', '-n', '-q', '-i', '0.01', ...args, address], {
    encoding: 'utf8',
  });

describe('TCP through the tunnel', () => {
  const kinds = [
    { outer: 4, inner: 4, sequenced: true },
    { outer: 4, inner: 6, sequenced: false },
    { outer: 6, inner: 4, sequenced: false },
    { outer: 6, inner: 6, sequenced: true },
  ] as const;

  it.each(kinds)(
    'arrives whole in both directions: IPv$outer paths, IPv$inner inside, numbers $sequenced',
    async ({ outer, inner, sequenced }) => {
      const { a, b } = await start({
        outer,
        inner,
        connection: { isSequenced: sequenced, reorderWindow: sequenced ? 1000 : 0 },
      });
      for (const from of ['a', 'b'] as const) {
        const { received, isEqual } = await transfer(inner, from, MEGABYTES);
        expect(received).toBe(MEGABYTES.length);
        expect(isEqual).toBe(true);
      }
      const [near, far] = await Promise.all([a.counters(), b.counters()]);
      for (const { sent, paths } of [near, far]) {
        expect(sent.packets).toBeGreaterThan(MEGABYTES.length / MTU);
        // Equal weights: packet by packet in turn, whatever super-packets they came in.
        expect(Math.abs(paths[0]!.sent.packets - paths[1]!.sent.packets)).toBeLessThanOrEqual(1);
        expect(paths[0]!.sent.packets + paths[1]!.sent.packets).toBe(sent.packets);
        expect(paths[0]!.sent.dropped + paths[1]!.sent.dropped).toBe(0);
        // Offloads work: many packets a system call.
        expect(paths[0]!.sent.sends).toBeLessThan(paths[0]!.sent.packets);
      }
      expect(far.received.packets).toBe(near.sent.packets);
      expect(far.received).toMatchObject({ late: 0, duplicate: 0, missing: 0, restarts: 0 });
      expect(far.totals.received.writeErrors).toBe(0);
      expect(near.totals.sent).toMatchObject({ malformed: 0, noConnection: 0 });
      expect(a.events).toEqual([]);
      expect(b.events).toEqual([]);
    },
    LIMIT_MS,
  );

  it('goes on at 2^32', async () => {
    const { a, b } = await start({
      connection: { isSequenced: true, reorderWindow: 1000, firstSequence: 2 ** 32 - 2000 },
    });
    expect((await transfer(4, 'a', MEGABYTES)).isEqual).toBe(true);
    const far = await b.counters();
    expect((await a.counters()).sent.packets).toBeGreaterThan(2000);
    expect(far.received).toMatchObject({ late: 0, duplicate: 0, missing: 0, restarts: 0 });
  });

  it('goes on, with its numbers, when the connection is set anew under it', async () => {
    const { a, b } = await start({ connection: { isSequenced: true, reorderWindow: 1000 } });
    const { isEqual } = await transfer(4, 'a', MEGABYTES, async () => {
      for (let i = 0; i < 20; i++) {
        await a.ask({ do: 'set', connection: {} });
        await b.ask({ do: 'set', connection: {} });
      }
    });
    expect(isEqual).toBe(true);
    const [near, far] = await Promise.all([a.counters(), b.counters()]);
    expect(far.received.packets).toBe(near.sent.packets);
    expect(far.received).toMatchObject({ late: 0, duplicate: 0, missing: 0, restarts: 0 });
  });

  it('works where the kernel does not segment', async () => {
    const { a } = await start({ isSegmentationOff: true, connection: { reorderWindow: 1000 } });
    expect((await transfer(4, 'a', MEGABYTES)).isEqual).toBe(true);
    const { paths } = await a.counters();
    expect(paths[0]!.sent.dropped).toBe(0);
  });

  it.each([4, 6] as const)('has its MSS lowered in SYN packets, IPv%i', async (version) => {
    await start({ inner: version, connection: { innerBytesMax: 1280 } });
    const { isEqual, mss } = await transfer(version, 'a', MEGABYTES.subarray(0, 100_000));
    expect(isEqual).toBe(true);
    // 12 bytes are for time stamps.
    expect(mss).toBe(1280 - (version === 4 ? 40 : 60) - 12);
  });
});

describe('packets and paths', () => {
  it('go by weight, and only over paths that may be used, from the next packet on', async () => {
    const view = (isUsable: boolean, weight: number) => ({ isUsable, weight });
    const { a } = await start({ views: [view(true, 1), view(true, 3)] });
    const sentBy = async () => (await a.counters()).paths.map(({ sent }) => sent.packets);
    // The kernel may send a packet of its own (of a connection that has ended) among the pings.
    ping(FAR[4], '-c', '40');
    const before = await sentBy();
    const total = before[0]! + before[1]!;
    expect(total).toBeGreaterThanOrEqual(40);
    expect([Math.floor(total / 4), Math.ceil(total / 4)]).toContain(before[0]);
    await a.ask({ do: 'views', views: [view(true, 1), view(false, 3)] });
    ping(FAR[4], '-c', '20');
    const after = await sentBy();
    expect(after[0]).toBeGreaterThanOrEqual(before[0]! + 20);
    expect(after[1]).toBe(before[1]);
    await a.ask({ do: 'views', views: [view(false, 1), view(false, 3)] });
    expect(() => ping(FAR[4], '-c', '5', '-W', '0.1')).toThrow();
    expect((await a.counters()).sent.noPath).toBeGreaterThanOrEqual(5);
    expect(await sentBy()).toEqual(after);
    await a.ask({ do: 'views', views: [view(true, 1), view(true, 3)] });
    ping(FAR[4], '-c', '4');
  });

  it('are copied to all paths, numbered alike, and come out once', async () => {
    const { a, b } = await start({
      connection: { scheduler: 'redundant', isSequenced: true, reorderWindow: 500, dropsCopies: true },
    });
    expect((await transfer(4, 'a', MEGABYTES)).isEqual).toBe(true);
    const [near, far] = await Promise.all([a.counters(), b.counters()]);
    for (const { sent } of near.paths) expect(sent.packets).toBe(near.sent.packets);
    expect(far.received.packets).toBe(2 * near.sent.packets);
    expect(far.received.missing).toBe(0);
  });

  it('that belong to no connection are counted', async () => {
    const { a } = await start();
    const udp = openUdp('a', 6, { address: FAR[6], port: 9 });
    expect(send(udp.fd, content(100))).toBe(100);
    await expect.poll(async () => (await a.counters()).totals.sent.noConnection).toBeGreaterThan(0);
    expect((await a.counters()).paths[0]!.sent.packets).toBe(0);
  });

  it('of networks behind both ends are carried too', async () => {
    hosts.ipA('address', 'add', '172.16.1.1/32', 'dev', 'lo');
    hosts.ipB('address', 'add', '172.16.2.1/32', 'dev', 'lo');
    cleanups.push(() => {
      hosts.ipA('address', 'delete', '172.16.1.1/32', 'dev', 'lo');
      hosts.ipB('address', 'delete', '172.16.2.1/32', 'dev', 'lo');
    });
    const near = { address: '172.16.1.0', length: 24 };
    const far = { address: '172.16.2.0', length: 24 };
    const { a, b } = await start({ connection: { sources: [near], destinations: [far] } });
    await b.ask({ do: 'set', connection: { sources: [far], destinations: [near] } });
    hosts.ipA('route', 'add', '172.16.2.0/24', 'dev', 'tun0');
    hosts.ipB('route', 'add', '172.16.1.0/24', 'dev', 'tun0');
    ping('172.16.2.1', '-I', '172.16.1.1', '-c', '3');
    expect((await a.counters()).sent.packets).toBe(3);
  });
});

describe('UDP through the tunnel', () => {
  it.each([4, 6] as const)('arrives as it was sent, every size, IPv%i', async (version) => {
    const { a } = await start({ inner: version, connection: { reorderWindow: 1000 } });
    const to = openUdp('b', version);
    const from = openUdp('a', version, { address: FAR[version], port: to.port });
    const sizes = [0, 1, 2, 3, 63, 64, 500, 1391, 1392, 1393, 1400, 1411, 1412, 1413, 3000, 9001, 60_000];
    for (const size of sizes) expect(send(from.fd, content(size))).toBe(size);
    const arrived = await receiveAll(to.fd, sizes.length);
    expect(arrived.map(({ length }) => length)).toEqual(sizes);
    for (const datagram of arrived) {
      expect(Buffer.compare(datagram, content(datagram.length))).toBe(0);
    }
    expect((await a.counters()).totals.sent.malformed).toBe(0);
  });

  it('arrives when the kernel is to segment it (USO)', async () => {
    await start({ connection: { reorderWindow: 1000 } });
    const to = openUdp('b', 4);
    const from = openUdp('a', 4, { address: FAR[4], port: to.port });
    const SOL_UDP = 17;
    const UDP_SEGMENT = 103;
    setIntOption(from.fd, SOL_UDP, UDP_SEGMENT, 1000);
    const bytes = content(20_500);
    expect(send(from.fd, bytes)).toBe(bytes.length);
    const arrived = await receiveAll(to.fd, 21);
    expect(arrived.length).toBe(21);
    expect(Buffer.compare(Buffer.concat(arrived), bytes)).toBe(0);
  });
});

describe('packets that fit into no datagram', () => {
  /** 1200 bytes of packet. */
  const NARROW = { datagramBytesMax: 1208 };

  it('are cut if they allow it', async () => {
    const { a } = await start({ ...NARROW, connection: { reorderWindow: 1000 } });
    const to = openUdp('b', 4);
    const from = openUdp('a', 4, { address: FAR[4], port: to.port });
    const IP_PMTUDISC_DONT = 0;
    setIntOption(from.fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    for (const size of [1172, 1173, 1400, 5000]) {
      expect(send(from.fd, content(size))).toBe(size);
      const [datagram] = await receiveAll(to.fd, 1);
      expect(datagram!.length).toBe(size);
      expect(Buffer.compare(datagram!, content(size))).toBe(0);
    }
    expect((await a.counters()).sent.tooBig).toBe(0);
  });

  it('are answered by ICMP if they do not, and the sender learns', async () => {
    const { a } = await start(NARROW);
    const to = openUdp('b', 4);
    const from = openUdp('a', 4, { address: FAR[4], port: to.port });
    setIntOption(from.fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    expect(send(from.fd, content(1400))).toBe(1400);
    await expect
      .poll(() => (send(from.fd, content(1400)) < 0 ? lastErrno() : 0), { interval: 5 })
      .toBe(EMSGSIZE);
    const IP_MTU = 14;
    expect(getIntOption(from.fd, IPPROTO_IP, IP_MTU)).toBe(1200);
    expect((await a.counters()).sent.tooBig).toBeGreaterThan(0);
  });

  it.each([4, 6] as const)('do not stop TCP over IPv%i, whose segments become smaller', async (version) => {
    // IPv6 packets of 1280 bytes must go through.
    const { a } = await start({
      inner: version,
      datagramBytesMax: version === 4 ? 1208 : 1308,
      connection: { reorderWindow: 1000 },
    });
    expect((await transfer(version, 'a', MEGABYTES)).isEqual).toBe(true);
    const { sent } = await a.counters();
    expect(sent.tooBig).toBeGreaterThan(0);
    expect(sent.packets).toBeGreaterThan(MEGABYTES.length / 1300);
  });
});

describe('when something is in the way', () => {
  it(
    'a socket stays full: what would go over it is dropped and counted, the other path goes on',
    async () => {
      const { a, b } = await start();
      // 1 Mbit/s, and a queue that is never full: what the socket may have under way is.
      const shape = [
        'qdisc',
        'add',
        'dev',
        'v1',
        'root',
        'tbf',
        'rate',
        '1mbit',
        'burst',
        '64k',
        'limit',
        '1g',
      ];
      execFileSync('ip', ['netns', 'exec', 'dp-a', 'tc', ...shape]);
      cleanups.push(() =>
        execFileSync('ip', ['netns', 'exec', 'dp-a', 'tc', 'qdisc', 'delete', 'dev', 'v1', 'root']),
      );
      const from = openUdp('a', 4, { address: FAR[4], port: 9 });
      const datagram = content(1400);
      await expect
        .poll(
          async () => {
            for (let i = 0; i < 5000; i++) send(from.fd, datagram);
            return (await a.counters()).paths[0]!.sent.dropped;
          },
          { interval: 5, timeout: LIMIT_MS },
        )
        .toBeGreaterThan(100);
      const [near, far] = await Promise.all([a.counters(), b.counters()]);
      expect(near.paths[1]!.sent.dropped).toBe(0);
      expect(far.paths[1]!.received.packets).toBeGreaterThan(1000);
      await a.ask({
        do: 'views',
        views: [
          { isUsable: false, weight: 1 },
          { isUsable: true, weight: 1 },
        ],
      });
      ping(FAR[4], '-c', '5');
    },
    LIMIT_MS,
  );

  it('a path takes no datagrams of that length: told, and the rest goes on', async () => {
    const { a } = await start({ datagramBytesMax: 9000, mtuBytes: 4000, paths: [1] });
    expect(() => ping(FAR[4], '-c', '3', '-M', 'do', '-s', '3000', '-W', '0.1')).toThrow();
    ping(FAR[4], '-c', '3');
    await expect.poll(() => a.events.filter(({ event }) => event === 'too-long').length).toBe(1);
    expect((await a.counters()).paths[0]!.sent.dropped).toBe(3);
  });

  it('a link is down: dropped and counted, and it goes on when the link comes back', async () => {
    const { a } = await start({ paths: [1] });
    hosts.ipA('link', 'set', 'v1', 'down');
    expect(() => ping(FAR[4], '-c', '3', '-W', '0.1')).toThrow();
    expect((await a.counters()).paths[0]!.sent.dropped).toBe(3);
    hosts.ipA('link', 'set', 'v1', 'up');
    hosts.ipA('address', 'replace', 'fd09:1::1/64', 'dev', 'v1', 'nodad');
    await expect
      .poll(
        () => {
          try {
            return ping(FAR[4], '-c', '1', '-W', '0.2').includes(' 0% packet loss');
          } catch {
            return false;
          }
        },
        { timeout: LIMIT_MS },
      )
      .toBe(true);
    expect(a.events).toEqual([]);
  });

  it('the device is down for a while: it goes on when it is up', async () => {
    const { a } = await start();
    ping(FAR[4], '-c', '2');
    hosts.ipA('link', 'set', 'tun0', 'down');
    // The other end still sends to it.
    expect(() =>
      execFileSync('ip', ['netns', 'exec', 'dp-b', 'ping', '-c', '3', '-i', '0.01', '-W', '0.1', NEAR[4]]),
    ).toThrow();
    hosts.ipA('link', 'set', 'tun0', 'up');
    ping(FAR[4], '-c', '2');
    expect(a.events).toEqual([]);
    expect((await a.counters()).totals.received.writeErrors).toBe(3);
  });

  it('the device is deleted: told, and the end stops in order', async () => {
    const { a } = await start();
    hosts.ipA('link', 'delete', 'tun0');
    await expect.poll(() => a.events.map(({ text }) => text).join()).toContain('was it deleted?');
    await a.counters();
  });
});
