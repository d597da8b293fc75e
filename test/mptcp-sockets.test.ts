/**
 * MPTCP sockets against the kernel: connecting, listening, falling back, and what the kernel tells of them.
 * Most run over the loopback link of the test's own namespace; those with several subflows have two hosts of
 * their own (support/two-hosts.ts).
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createConnection, createServer as createNetServer, type AddressInfo, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connectFd } from '../src/mptcp/connect.ts';
import { connect, ConnectError, MptcpSocket } from '../src/mptcp/connect-socket.ts';
import { createServer, listenMultipath, MptcpServer } from '../src/mptcp/server.ts';
import { describeSocket, PEER_FALLBACK } from '../src/mptcp/socket-info-describe.ts';
import {
  readConnectionInfo,
  readMptcpInfo,
  readSubflowAddresses,
  readSubflowTcpInfos,
  readTcpInfo,
} from '../src/mptcp/socket-info-read.ts';
import { writeSysctl } from '../src/mptcp/sysctl.ts';
import { TcpState } from '../src/mptcp/tcp-info.ts';
import { AF_INET } from '../src/base/index.ts';
import {
  bindSocket,
  closeFd,
  listenOn,
  localAddressOf,
  openSocket,
  SOCK_STREAM,
} from '../src/native/index.ts';
import { makeTwoHosts, type TwoHosts } from './support/two-hosts.ts';

const portOf = (server: { address(): AddressInfo | string | null }) => (server.address() as AddressInfo).port;

/** Open IPv4 and IPv6 sockets of this process; other descriptors (epoll, pipes of the runner) come and go. */
const openSockets = () =>
  readdirSync('/proc/self/fd').filter((fd) => localAddressOf(Number(fd)) !== undefined).length;

/** For what the kernel does in its own time: looks often, gives up only when it will never be. */
const SOON = { interval: 5, timeout: 20_000 };

const MPTCP = { protocol: 'mptcp', descriptorProtocol: 'mptcp' };
const FALLEN_BACK = { protocol: 'tcp', descriptorProtocol: 'mptcp', fallbackReason: PEER_FALLBACK };
const TCP = { protocol: 'tcp', descriptorProtocol: 'tcp' };

/** However it ends. */
const closed = (socket: Socket) =>
  new Promise<void>((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });

/** Takes things to be closed at the end of a test. */
const cleanups: (() => unknown)[] = [];
const later = <T extends { close(): unknown } | { destroy(): unknown }>(thing: T): T => {
  cleanups.push(() => ('destroy' in thing ? thing.destroy() : thing.close()));
  return thing;
};
/** Ends its connections too, so that nothing is open after a test. */
function keep<T extends MptcpServer>(server: T): T {
  const sockets: Socket[] = [];
  server.on('connection', (socket: Socket) => sockets.push(socket));
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return server;
}

let socketsBefore = 0;
beforeEach(() => {
  socketsBefore = openSockets();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await expect.poll(openSockets, SOON).toBe(socketsBefore);
});

const echo = (socket: Socket) => {
  socket.on('error', () => {});
  socket.pipe(socket);
};

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A port where the handshake never ends: the accept queue is full, so the kernel drops every SYN. */
async function blackHole(address: string, port = 0): Promise<number> {
  const fd = openSocket(AF_INET, SOCK_STREAM, 0);
  bindSocket(fd, { address, port });
  listenOn(fd, 0);
  const bound = localAddressOf(fd)!.port;
  const filler = await connectFd({ address, port: bound, multipath: false });
  cleanups.push(() => {
    closeFd(filler.fd);
    closeFd(fd);
  });
  return bound;
}

describe('connect and createServer', () => {
  it('speak MPTCP at both ends and carry data', async () => {
    const accepted: unknown[] = [];
    const server = keep(
      await createServer({ host: '127.0.0.1' }, (socket) => {
        accepted.push(describeSocket(socket));
        echo(socket);
      }),
    );
    expect(server.multipath).toEqual({ protocol: 'mptcp' });
    const socket = await connect({ host: '127.0.0.1', port: portOf(server) });
    expect(socket.multipath).toEqual(MPTCP);
    expect(describeSocket(socket)).toEqual(MPTCP);
    expect(socket.remoteAddress).toBe('127.0.0.1');
    const data = Buffer.alloc(3_000_000, 'weft');
    socket.end(data);
    expect(Buffer.compare(await readAll(socket), data)).toBe(0);
    expect(accepted).toEqual([MPTCP]);
    await closed(socket);
    expect(() => describeSocket(socket)).toThrow(/no descriptor/);
  });

  it('work over IPv6', async () => {
    const server = keep(await createServer({ host: '::1' }, (socket) => socket.end('six')));
    const socket = later(await connect({ host: '::1', port: portOf(server) }));
    expect(socket.multipath).toEqual(MPTCP);
    expect((await readAll(socket)).toString()).toBe('six');
  });

  it('listen on every address of both families by default', async () => {
    const server = keep(await createServer({}, (socket) => socket.end(String(socket.remoteAddress))));
    for (const host of ['127.0.0.1', '::1']) {
      const socket = later(await connect({ host, port: portOf(server) }));
      expect(socket.multipath).toEqual(MPTCP);
      expect((await readAll(socket)).toString()).toContain(host);
    }
  });

  it('say so when the other end has no MPTCP', async () => {
    const server = createNetServer((socket) => socket.end('plain')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    later(server);
    const socket = later(await connect({ host: '127.0.0.1', port: portOf(server) }));
    expect(socket.multipath).toEqual(FALLEN_BACK);
    expect(describeSocket(socket)).toEqual(FALLEN_BACK);
    expect(readConnectionInfo(socket)).toBeUndefined();
    expect(readMptcpInfo(socket)).toBeUndefined();
    expect(readSubflowAddresses(socket)).toBeUndefined();
    expect(readTcpInfo(socket).bytesReceived).toBeTypeOf('number');
    expect((await readAll(socket)).toString()).toBe('plain');
  });

  it('serve a client that has no MPTCP', async () => {
    const accepted: unknown[] = [];
    const server = keep(
      await createServer({ host: '127.0.0.1' }, (socket) => {
        accepted.push(describeSocket(socket));
        socket.end('hello');
      }),
    );
    const client = later(createConnection({ host: '127.0.0.1', port: portOf(server) }));
    expect((await readAll(client)).toString()).toBe('hello');
    expect(accepted).toEqual([TCP]);
  });

  it('use plain TCP when asked to', async () => {
    const server = keep(await createServer({ host: '127.0.0.1', multipath: false }, (s) => s.end()));
    expect(server.multipath).toEqual({ protocol: 'tcp' });
    const socket = later(await connect({ host: '127.0.0.1', port: portOf(server), multipath: false }));
    expect(socket.multipath).toEqual(TCP);
    expect(describeSocket(socket)).toEqual(TCP);
  });

  it('reject with the resolver’s code', async () => {
    const lookup = (_: string, __: unknown, callback: (error: Error) => void) =>
      callback(Object.assign(new Error('getaddrinfo ENOTFOUND nowhere'), { code: 'ENOTFOUND' }));
    await expect(connect({ host: 'nowhere', port: 1, lookup: lookup as never })).rejects.toMatchObject({
      code: 'ENOTFOUND',
      message: 'look up "nowhere": not found (ENOTFOUND)',
    });
  });

  it('abort while the name is being looked up', async () => {
    const abort = new AbortController();
    const lookup = () => abort.abort(new Error('enough'));
    await expect(connect({ host: 'slow', port: 1, signal: abort.signal, lookup })).rejects.toMatchObject({
      name: 'AbortError',
      code: 'ABORT_ERR',
      cause: new Error('enough'),
    });
  });
});

/** A resolver that knows one host with these addresses. */
const hostWith =
  (...addresses: string[]) =>
  (_: string, __: unknown, callback: (error: null, found: unknown) => void) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );

describe('a host with several addresses', () => {
  it('is reached by the next address when one does not answer, and nothing of the loser stays', async () => {
    const port = await blackHole('127.0.0.2');
    const server = keep(await createServer({ host: '127.0.0.3', port }, echo));
    const before = openSockets();
    const socket = later(
      await connect({
        host: 'two',
        port: portOf(server),
        attemptDelayMs: 10,
        lookup: hostWith('127.0.0.2', '127.0.0.3') as never,
      }),
    );
    expect(socket.remoteAddress).toBe('127.0.0.3');
    // Both ends of the winner.
    await expect.poll(openSockets, SOON).toBe(before + 2);
  });

  it('is reached by the next address at once when one refuses', async () => {
    const server = keep(await createServer({ host: '127.0.0.3' }, echo));
    const socket = later(
      await connect({
        host: 'two',
        port: portOf(server),
        attemptDelayMs: 3_600_000,
        lookup: hostWith('127.0.0.2', '127.0.0.3') as never,
      }),
    );
    expect(socket.remoteAddress).toBe('127.0.0.3');
  });

  it('fails with every reason when all refuse', async () => {
    const failure: unknown = await connect({
      host: 'two',
      port: 1,
      lookup: hostWith('127.0.0.2', '::1') as never,
    }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConnectError);
    expect(failure).toMatchObject({ code: 'ECONNREFUSED' });
    expect((failure as ConnectError).errors.map((error) => error.message)).toEqual([
      'connect to 127.0.0.2 port 1: Connection refused (ECONNREFUSED)',
      'connect to ::1 port 1: Connection refused (ECONNREFUSED)',
    ]);
  });

  it('times out as a whole', async () => {
    const port = await blackHole('127.0.0.2');
    await blackHole('127.0.0.3', port);
    await expect(
      connect({
        host: 'two',
        port,
        timeoutMs: 50,
        attemptDelayMs: 10,
        lookup: hostWith('127.0.0.2', '127.0.0.3') as never,
      }),
    ).rejects.toMatchObject({ code: 'ETIMEDOUT', message: expect.stringContaining('connect to two port') });
  });
});

describe('connectFd', () => {
  it('closes its descriptor when refused, out of time, or aborted', async () => {
    const port = await blackHole('127.0.0.1');
    const before = openSockets();
    const abort = new AbortController();
    const attempts = [
      connectFd({ address: '127.0.0.1', port: 1 }),
      connectFd({ address: '::1', port: 1 }),
      connectFd({ address: '127.0.0.1', port, timeoutMs: 20 }),
      connectFd({ address: '127.0.0.1', port, signal: abort.signal }),
      connectFd({ address: '127.0.0.1', port: 1, signal: AbortSignal.abort() }),
      connectFd({ address: '127.0.0.1', port, localAddress: '10.255.255.1' }),
      connectFd({ address: '127.0.0.1', port, localLink: 'nolink' }),
    ];
    abort.abort();
    const codes = [];
    for (const result of await Promise.allSettled(attempts)) {
      codes.push(result.status === 'rejected' ? (result.reason as { code: string }).code : result.value);
    }
    expect(codes).toEqual([
      'ECONNREFUSED',
      'ECONNREFUSED',
      'ETIMEDOUT',
      'ABORT_ERR',
      'ABORT_ERR',
      'EADDRNOTAVAIL',
      'ENODEV',
    ]);
    expect(openSockets()).toBe(before);
  });

  it('rejects what is no address or port', async () => {
    await expect(connectFd({ address: 'localhost', port: 1 })).rejects.toMatchObject({ code: 'BAD_ADDRESS' });
    await expect(connectFd({ address: 'fe80::1%nolink', port: 1 })).rejects.toMatchObject({
      code: 'BAD_ADDRESS',
    });
    await expect(connectFd({ address: '127.0.0.1', port: 65_536 })).rejects.toMatchObject({
      code: 'BAD_PORT',
    });
  });

  it('binds to a local address, port and link', async () => {
    const server = keep(await createServer({ host: '127.0.0.1' }, echo));
    const { fd } = await connectFd({
      address: '127.0.0.1',
      port: portOf(server),
      localAddress: '127.0.0.9',
      localPort: 45_678,
      localLink: 'lo',
    });
    expect(localAddressOf(fd)).toEqual({ address: '127.0.0.9', port: 45_678 });
    closeFd(fd);
  });
});

describe('listeners', () => {
  it('reject when the port is taken, unless it is shared', async () => {
    const first = keep(await createServer({ host: '127.0.0.1', reusePort: true }, echo));
    const port = portOf(first);
    await expect(createServer({ host: '127.0.0.1', port }, echo)).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    const second = keep(await createServer({ host: '127.0.0.1', port, reusePort: true }, echo));
    expect(portOf(second)).toBe(port);
  });

  it('leave IPv4 out when told so', async () => {
    const server = keep(await createServer({ host: '::', ipv6Only: true }, echo));
    await expect(connectFd({ address: '127.0.0.1', port: portOf(server) })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  it('do not take a server that listens already', async () => {
    const server = keep(await createServer({ host: '127.0.0.1' }, echo));
    await expect(listenMultipath(server, { host: '127.0.0.1' })).rejects.toMatchObject({
      code: 'ERR_SERVER_ALREADY_LISTEN',
    });
  });

  it('reject a host that is none of this machine', async () => {
    await expect(createServer({ host: '10.255.255.1' }, echo)).rejects.toMatchObject({
      code: 'EADDRNOTAVAIL',
    });
  });
});

describe('two hosts with two links', () => {
  let hosts: TwoHosts;
  let server: MptcpServer;
  const accepted: Socket[] = [];

  beforeAll(async () => {
    hosts = makeTwoHosts('weft-sock');
    // Literal addresses are bound before the first await, so this is in the other namespace.
    server = await hosts.onB(() =>
      createServer({}, (socket) => {
        accepted.push(socket);
        echo(socket);
      }),
    );
  });
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    hosts.remove();
  });

  beforeEach(() => {
    accepted.length = 0;
    hosts.ipB('mptcp', 'endpoint', 'flush');
  });

  const connectFromA = async (address: string) =>
    later(new MptcpSocket(await hosts.onA(() => connectFd({ address, port: portOf(server) }))));

  /** The other end of the only connection of a test; the kernel may have it before Node has accepted it. */
  async function acceptedPeer(): Promise<Socket> {
    await expect.poll(() => accepted.length, SOON).toBe(1);
    return accepted[0]!;
  }

  /** Established ones: the kernel also shows those that it still connects. */
  const subflowCount = (socket: Socket) =>
    readConnectionInfo(socket)?.subflows.filter(({ tcp }) => tcp!.state === TcpState.established).length;

  it.each([
    ['10.9.1.2', '10.9.1.1', '10.9.2.2', '10.9.2.1'],
    ['fd09:1::2', 'fd09:1::1', 'fd09:2::2', 'fd09:2::1'],
  ])('a connection to %s shows both subflows with their ends and numbers', async (to, from, to2, from2) => {
    hosts.ipB('mptcp', 'endpoint', 'add', to2, 'signal');
    const socket = await connectFromA(to);
    const data = Buffer.alloc(200_000, 'two links');
    const received = readAll(socket);
    socket.write(data);
    await expect.poll(() => subflowCount(socket), SOON).toBe(2);
    await expect.poll(() => socket.bytesRead, SOON).toBe(data.length);

    const info = readConnectionInfo(socket)!;
    const port = portOf(server);
    expect(info.subflows.map(({ local, remote }) => [local?.address, remote?.address, remote?.port])).toEqual(
      [
        [from, to, port],
        [from2, to2, port],
      ],
    );
    expect(info.subflows[0]!.local).toEqual({ address: from, port: socket.localPort });
    expect(new Set(info.subflows.map(({ id }) => id)).size).toBe(2);
    expect(info.mptcp).toMatchObject({
      subflows: 1,
      subflowsTotal: 2,
      addAddrAccepted: 1,
      subflowsMax: 8,
      addAddrAcceptedMax: 8,
      fallback: false,
      remoteKeyReceived: true,
      bytesSent: data.length,
      bytesReceived: data.length,
    });
    for (const { tcp } of info.subflows) {
      expect(tcp!.state).toBe(TcpState.established);
      expect(tcp!.rttUs).toBeGreaterThan(0);
      expect(tcp!.sendCwndSegments).toBeGreaterThan(0);
      expect(tcp!.sendMssBytes).toBeGreaterThan(1000);
      expect(tcp!.pathMtuBytes).toBe(1500);
    }
    // What the subflows received adds up to what the connection received, duplicates aside.
    const sum = info.subflows.reduce((total, { tcp }) => total + tcp!.bytesReceived!, 0);
    expect(sum).toBeGreaterThanOrEqual(data.length);

    const ends = info.subflows.map(({ local, remote }) => ({ local, remote }));
    expect(readSubflowAddresses(socket)).toEqual(ends);
    expect(readSubflowTcpInfos(socket)!.map((tcp) => tcp.state)).toEqual([1, 1]);
    expect(readMptcpInfo(socket)!.token).toBe(info.mptcp.token);

    // The accepting end sees the same two, mirrored and v4-mapped where the listener is dual-stack.
    const peer = await acceptedPeer();
    expect(describeSocket(peer)).toEqual(MPTCP);
    await expect.poll(() => subflowCount(peer), SOON).toBe(2);
    socket.end();
    expect(Buffer.compare(await received, data)).toBe(0);
    await closed(peer);
  });

  it('reads more subflows than there was room for at first', async () => {
    for (let i = 3; i <= 9; i++) {
      hosts.ipB('addr', 'add', `10.9.2.${i}/24`, 'dev', 'v2');
    }
    for (let i = 2; i <= 9; i++) hosts.ipB('mptcp', 'endpoint', 'add', `10.9.2.${i}`, 'signal');
    const socket = await connectFromA('10.9.1.2');
    socket.write('x');
    await expect.poll(() => subflowCount(socket), SOON).toBe(9);
    expect(readConnectionInfo(socket)!.subflows).toHaveLength(9);
    expect(readSubflowAddresses(socket)).toHaveLength(9);
    expect(new Set(readConnectionInfo(socket)!.subflows.map(({ remote }) => remote!.address)).size).toBe(9);
    const peer = await acceptedPeer();
    socket.destroy();
    await closed(peer);
  });

  it('agrees with ss(8)', async () => {
    const socket = await connectFromA('10.9.1.2');
    socket.write('some bytes');
    await expect.poll(() => socket.bytesRead, SOON).toBe(10);
    const ss = (...args: string[]) =>
      execFileSync('ss', ['-N', 'weft-sock-a', '-niOH', ...args, 'sport', `= :${socket.localPort}`], {
        encoding: 'utf8',
      });
    // Nothing may have happened (a delayed acknowledgement) between our reading and that of ss.
    let info = readConnectionInfo(socket)!;
    let shown = '';
    for (let before = -1; before !== info.subflows[0]!.tcp!.segmentsOut;) {
      before = info.subflows[0]!.tcp!.segmentsOut!;
      shown = ss('-t');
      info = readConnectionInfo(socket)!;
    }
    const { mptcp } = info;
    const tcp = info.subflows[0]!.tcp!;
    const field = (name: string) => new RegExp(`\\b${name}:([0-9./]+)`).exec(shown)?.[1];
    expect({
      rtt: field('rtt'),
      minrtt: field('minrtt'),
      rto: field('rto'),
      mss: field('mss'),
      pmtu: field('pmtu'),
      cwnd: field('cwnd'),
      bytes_sent: field('bytes_sent'),
      bytes_acked: field('bytes_acked'),
      bytes_received: field('bytes_received'),
      segs_out: field('segs_out'),
      segs_in: field('segs_in'),
      data_segs_out: field('data_segs_out'),
      rcv_space: field('rcv_space'),
      snd_wnd: field('snd_wnd'),
    }).toEqual({
      rtt: `${tcp.rttUs! / 1000}/${tcp.rttVarianceUs! / 1000}`,
      minrtt: `${tcp.minRttUs! / 1000}`,
      rto: `${tcp.rtoUs! / 1000}`,
      mss: `${tcp.sendMssBytes}`,
      pmtu: `${tcp.pathMtuBytes}`,
      cwnd: `${tcp.sendCwndSegments}`,
      bytes_sent: `${tcp.bytesSent}`,
      bytes_acked: `${tcp.bytesAcked}`,
      bytes_received: `${tcp.bytesReceived}`,
      segs_out: `${tcp.segmentsOut}`,
      segs_in: `${tcp.segmentsIn}`,
      data_segs_out: `${tcp.dataSegmentsOut}`,
      rcv_space: `${tcp.receiveSpaceBytes}`,
      // An ss that does not know the field leaves it out.
      snd_wnd: field('snd_wnd') === undefined ? undefined : `${tcp.sendWindowBytes}`,
    });
    const connection = ss('-M');
    expect(connection).toContain(`token:${mptcp.token!.toString(16)} `);
    expect(connection).toContain(`write_seq:${BigInt(mptcp.writeSequence!).toString(16)} `);
    expect(connection).toContain(`subflows_max:${mptcp.subflowsMax} `);
    const peer = await acceptedPeer();
    socket.end().resume();
    await closed(peer);
  });

  it('takes no name of a link for that of another one, as the kernel does with one that is too long or empty', async () => {
    const longest = 'fifteen.letters';
    hosts.ipA('link', 'add', longest, 'type', 'veth', 'peer', 'name', 'p9');
    for (const localLink of [`${longest}x`, '']) {
      const attempt = () =>
        connectFd({ address: '10.9.1.2', port: portOf(server), localLink, timeoutMs: 100 });
      await expect(hosts.onA(attempt)).rejects.toMatchObject({
        code: 'ENODEV',
        message: `bind to link "${localLink}": No such device (ENODEV)`,
      });
    }
    hosts.ipA('link', 'delete', longest);
  });

  it('lets TCP have the last word when the kernel refuses, and closes both descriptors', async () => {
    hosts.ipA('route', 'add', 'prohibit', '10.99.0.0/16');
    await expect(hosts.onA(() => connectFd({ address: '10.99.0.1', port: 1 }))).rejects.toMatchObject({
      code: 'EACCES',
      message: 'connect to 10.99.0.1 port 1: Permission denied (EACCES)',
    });
  });

  it('falls back and says why where MPTCP is switched off', async () => {
    const off = 'MPTCP is switched off (sysctl net.mptcp.enabled=1 switches it on) (ENOPROTOOPT)';
    writeSysctl('enabled', false, { netns: hosts.netnsA });
    try {
      const socket = await connectFromA('10.9.1.2');
      expect(socket.multipath).toEqual({ ...TCP, fallbackReason: off });
      const listener = keep(await hosts.onA(() => createServer({ host: '10.9.1.1' }, echo)));
      expect(listener.multipath).toEqual({ protocol: 'tcp', fallbackReason: off });
      const peer = await acceptedPeer();
      expect(describeSocket(peer)).toEqual(TCP);
      peer.destroy();
    } finally {
      writeSysctl('enabled', true, { netns: hosts.netnsA });
    }
  });
});
