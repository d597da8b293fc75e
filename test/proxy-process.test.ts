/**
 * The proxy in a process of its own: names and addresses that do not answer, ends of the process with live tunnels,
 * and starts that cannot succeed.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { familyOf } from '../src/base/index.ts';
import {
  bindSocket,
  closeFd,
  IPPROTO_TCP,
  listenOn,
  localAddressOf,
  openSocket,
  SOCK_STREAM,
} from '../src/native/index.ts';
import { RouteNetlink } from '../src/netlink/index.ts';
import type { ProxyCounters } from '../src/proxy/index.ts';
import type { ChildOptions } from './proxy-child.ts';
import {
  cleanUp,
  connectTo,
  exchange,
  onCleanup,
  openTunnel,
  readAll,
  startTcpServer,
} from './proxy-support.ts';
import { bundleTypeScript } from './support/bundle.ts';

/** An address of this host that is not a loopback one: connections to it come from it, as from another host. */
const OWN_V4 = '10.66.0.1';

let program = '';

function withLoopback(change: (netlink: RouteNetlink, linkIndex: number) => void): void {
  const netlink = RouteNetlink.open();
  change(netlink, netlink.links().find(({ name }) => name === 'lo')!.index);
  netlink.close();
}

beforeAll(async () => {
  program = await bundleTypeScript(new URL('proxy-child.ts', import.meta.url));
  withLoopback((netlink, linkIndex) => netlink.addAddress({ linkIndex, address: OWN_V4, prefixLength: 32 }));
});
afterAll(() =>
  withLoopback((netlink, linkIndex) =>
    netlink.deleteAddress({ linkIndex, address: OWN_V4, prefixLength: 32 }),
  ),
);
afterEach(cleanUp);

/**
 * A port that does not answer: its queue of connections is full and nobody takes one, so the kernel drops what else
 * asks for one (tcp(7)).
 */
async function silentPort(address: string, wantedPort = 0): Promise<number> {
  const fd = openSocket(familyOf(address), SOCK_STREAM, IPPROTO_TCP);
  onCleanup(() => closeFd(fd));
  bindSocket(fd, { address, port: wantedPort });
  listenOn(fd, 0);
  const { port } = localAddressOf(fd)!;
  await connectTo(port, address);
  return port;
}

interface Started {
  readonly child: ChildProcess;
  readonly ports: readonly number[];
  readonly error: string | undefined;
  readonly ask: (command: string) => Promise<unknown>;
  readonly exited: Promise<number | null>;
}

const LOOPBACK = [{ address: '127.0.0.1', port: 0 }];

async function start(options: ChildOptions): Promise<Started> {
  const args = [program, JSON.stringify(options)];
  const stdio = ['pipe', 'pipe', options.quiet === true ? 'ignore' : 'inherit'] as const;
  // All threads of the process must see the covered files, so the mount namespace is made before it starts.
  const child =
    options.files === undefined
      ? spawn(process.execPath, args, { stdio: [...stdio] })
      : spawn('unshare', ['-m', '--propagation', 'private', process.execPath, ...args], {
          stdio: [...stdio],
        });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  onCleanup(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const waiting: ((line: string) => void)[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(line));
  const next = () => new Promise<string>((resolve) => waiting.push(resolve));
  const ask = async (command: string) => {
    const answer = next();
    child.stdin.write(`${command}\n`);
    return JSON.parse(await answer) as unknown;
  };
  const first = JSON.parse(await next()) as { addresses?: { port: number }[]; error?: string };
  return { child, ports: (first.addresses ?? []).map(({ port }) => port), error: first.error, ask, exited };
}

const counters = async (proxy: Started) => (await proxy.ask('counters')) as ProxyCounters;
const get = (host: string, port: number) =>
  `GET http://${host}:${port}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
const bodyOf = (answer: string) => answer.slice(answer.indexOf('\r\n\r\n') + 4);
const echo = (socket: Socket) => void socket.pipe(socket);

describe('names', () => {
  const hosts = (lines: Record<string, readonly string[]>) => ({
    '/etc/hosts': Object.entries(lines)
      .flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}\n`))
      .join(''),
  });

  it('whose first address is silent are reached by the next one, and nothing of the first stays', async () => {
    const server = await startTcpServer(echo);
    await silentPort('::1', server);
    const proxy = await start({
      proxy: { listen: LOOPBACK, limits: { attemptDelayMs: 50 } },
      files: hosts({ 'both.test': ['::1', '127.0.0.1'] }),
    });
    const fds = await proxy.ask('fds');
    const socket = await openTunnel(proxy.ports[0]!, server, 'both.test');
    socket.end('x');
    expect(await readAll(socket)).toBe('x');
    let counted = await counters(proxy);
    while (counted.tunnelsOpen > 0) counted = await counters(proxy);
    expect(counted).toMatchObject({ tunnelsOpened: 1, dialsFailed: 0 });
    // The reactor's two descriptors stay.
    expect(await proxy.ask('fds')).toBe((fds as number) + 2);
  });

  it.each(['127.0.0.1', '127.0.0.2'])(
    'of which a rule refuses %s are reached by the rest',
    async (address) => {
      const server = createServer((socket) => socket.end(socket.localAddress ?? ''));
      await new Promise<void>((resolve) => {
        server.listen(0, '0.0.0.0', resolve);
      });
      onCleanup(() => void server.close());
      const { port } = server.address() as AddressInfo;
      const proxy = await start({
        proxy: { listen: LOOPBACK },
        rules: [{ to: { names: [], prefixes: [{ address, length: 32 }] }, way: { kind: 'refuse' } }],
        files: hosts({ 'some.test': ['127.0.0.1', '127.0.0.2'], 'none.test': [address] }),
      });
      const other = address === '127.0.0.1' ? '127.0.0.2' : '127.0.0.1';
      for (let i = 0; i < 3; i++) {
        expect(await readAll(await openTunnel(proxy.ports[0]!, port, 'some.test'))).toBe(other);
      }
      expect(await exchange(proxy.ports[0]!, get('none.test', port))).toMatch(/^HTTP\/1\.1 403 /);
      expect((await counters(proxy)).dialsFailedByReason).toEqual({ policy: 1 });
    },
  );

  it('whose addresses all refuse: the answer says so', async () => {
    const proxy = await start({
      proxy: { listen: LOOPBACK },
      files: hosts({ 'closed.test': ['::1', '127.0.0.1'] }),
    });
    expect(bodyOf(await exchange(proxy.ports[0]!, get('closed.test', 1)))).toBe(
      'weft: could not reach closed.test port 1: connection refused on all 2 addresses (ECONNREFUSED)\n',
    );
  });

  it('that do not exist: the answer says so', async () => {
    const proxy = await start({
      proxy: { listen: LOOPBACK },
      files: { ...hosts({}), '/etc/nsswitch.conf': 'hosts: files\n' },
    });
    const answer = await exchange(proxy.ports[0]!, get('missing.test', 80));
    expect(answer).toMatch(/^HTTP\/1\.1 502 /);
    expect(bodyOf(answer)).toBe(
      'weft: could not reach missing.test port 80: there is no such name (ENOTFOUND)\n',
    );
  });

  it('that nobody resolves in time: 504, and the process still ends', async () => {
    const nameServer = createSocket('udp4');
    onCleanup(() => void nameServer.close());
    await new Promise<void>((resolve) => nameServer.bind(53, OWN_V4, resolve));
    const proxy = await start({
      proxy: { listen: LOOPBACK, limits: { connectTimeoutMs: 200 } },
      files: {
        '/etc/nsswitch.conf': 'hosts: dns\n',
        '/etc/resolv.conf': `nameserver ${OWN_V4}\noptions timeout:1\n`,
      },
    });
    const answer = await exchange(proxy.ports[0]!, get('slow.test', 80));
    expect(answer).toMatch(/^HTTP\/1\.1 504 /);
    expect(bodyOf(answer)).toBe(
      'weft: could not reach slow.test port 80: the name servers did not answer within 0.2 s (ETIMEDOUT)\n',
    );
    proxy.child.stdin!.write('exit\n');
    expect(await proxy.exited).toBe(7);
  });
});

describe('a silent address', () => {
  it('is given up after the time for connecting: 504', async () => {
    const silent = await silentPort('127.0.0.1');
    const proxy = await start({ proxy: { listen: LOOPBACK, limits: { connectTimeoutMs: 200 } } });
    expect(bodyOf(await exchange(proxy.ports[0]!, get('127.0.0.1', silent)))).toBe(
      `weft: could not reach 127.0.0.1 port ${silent}: no answer within 0.2 s (ETIMEDOUT)\n`,
    );
    const fds = await proxy.ask('fds');
    await exchange(proxy.ports[0]!, get('127.0.0.1', silent));
    expect(await proxy.ask('fds')).toBe(fds);
  });

  it.each([
    ['CONNECT', (port: number) => `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: a\r\n\r\n`],
    ['GET', (port: number) => get('127.0.0.1', port)],
  ])('is given up when the client of a %s goes away', async (_method, request) => {
    const silent = await silentPort('127.0.0.1');
    const proxy = await start({ proxy: { listen: LOOPBACK } });
    const sockets = await proxy.ask('sockets');
    const socket = await connectTo(proxy.ports[0]!);
    socket.write(request(silent));
    // The dial has begun when its descriptor is there: one for the client, one for the attempt.
    while ((await proxy.ask('sockets')) !== (sockets as number) + 2);
    socket.resetAndDestroy();
    while ((await proxy.ask('sockets')) !== sockets);
  });
});

describe('who may use it', () => {
  const everywhere = [{ address: '0.0.0.0', port: 0 }];

  it('only this host, unless told otherwise', async () => {
    const proxy = await start({ proxy: { listen: everywhere } });
    const remote = await connectTo(proxy.ports[0]!, OWN_V4);
    const answer = readAll(remote);
    remote.write(get('127.0.0.1', 1));
    expect(await answer).toMatch(
      /^HTTP\/1\.1 403 [^]*weft: only programs on this host may use this proxy\n$/,
    );
    expect(await exchange(proxy.ports[0]!, get('127.0.0.1', 1))).toMatch(/^HTTP\/1\.1 502 /);
    expect(await counters(proxy)).toMatchObject({ refusedByReason: { 'not-allowed': 1 }, requests: 1 });
  });

  it('others, when told so, but not for what only this host can reach', async () => {
    const server = await startTcpServer((socket) =>
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
    );
    const proxy = await start({ proxy: { listen: everywhere, allowRemote: true } });
    const from = async (host: string, request: string) => {
      const socket = await connectTo(proxy.ports[0]!, host);
      socket.write(request);
      return readAll(socket);
    };
    expect(await from('127.0.0.1', get('127.0.0.1', server))).toMatch(/ok$/);
    // The pool now has a connection to it, which is not for others.
    for (const host of ['127.0.0.1', 'localhost', '0.0.0.0', '169.254.1.1']) {
      expect(await from(OWN_V4, get(host, server))).toMatch(
        /^HTTP\/1\.1 403 [^]*clients of other hosts may not reach addresses private to this one\n$/,
      );
    }
    expect(await from(OWN_V4, get(OWN_V4, 1))).toMatch(/^HTTP\/1\.1 502 [^]*connection refused/);
  });

  it('is not itself a target, under none of its addresses', async () => {
    const proxy = await start({ proxy: { listen: everywhere } });
    // A whole prefix that is local (AnyIP), which no interface's list of addresses has.
    const prefix = ['local', '10.67.0.0/16', 'dev', 'lo'];
    expect(spawnSync('ip', ['route', 'add', ...prefix]).status).toBe(0);
    onCleanup(() => void spawnSync('ip', ['route', 'del', ...prefix]));
    const names = [
      '127.0.0.1',
      '127.9.9.9',
      'localhost',
      '0.0.0.0',
      '127.1',
      '[::ffff:7f00:1]',
      '[::ffff:0:0]',
    ];
    for (const host of [...names, OWN_V4, '10.67.8.9']) {
      expect(await exchange(proxy.ports[0]!, get(host, proxy.ports[0]!))).toMatch(/^HTTP\/1\.1 508 /);
    }
  });
});

describe('the start', () => {
  it('fails with the address when it is taken, and leaves nothing open', async () => {
    const port = await startTcpServer(echo);
    const proxy = await start({ proxy: { listen: [{ address: '127.0.0.1', port }] } });
    expect(proxy.error).toBe(
      `listen on 127.0.0.1:${port}: another program listens there (EADDRINUSE) — stop it, or choose another port`,
    );
    expect(await proxy.exited).toBe(0);
  });

  it('leaves out an address that the host does not have, unless no other is left', async () => {
    const absent = { address: '2001:db8:dead::1', port: 0 };
    const proxy = await start({ proxy: { listen: [absent, ...LOOPBACK] } });
    expect(proxy.ports).toHaveLength(1);
    expect(await exchange(proxy.ports[0]!, get('127.0.0.1', 1))).toMatch(/^HTTP\/1\.1 502 /);
    const none = await start({ proxy: { listen: [absent] } });
    expect(none.error).toBe('listen on [2001:db8:dead::1]:0: this host has no such address (EADDRNOTAVAIL)');
    expect(await none.exited).toBe(0);
  });

  it('works on IPv6', async () => {
    const server = await startTcpServer(echo);
    const proxy = await start({ proxy: { listen: [{ address: '::1', port: 0 }] } });
    const socket = await connectTo(proxy.ports[0]!, '::1');
    socket.write(`CONNECT 127.0.0.1:${server} HTTP/1.1\r\nHost: a\r\n\r\n`);
    socket.end('x');
    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\nx$/);
  });
});

describe('the end of the process', () => {
  const ENDS: readonly (readonly [string, number])[] = [
    ['exit', 7],
    ['throw', 1],
    ['stop', 0],
  ];
  it.each(ENDS)('by "%s" with live tunnels does not hang', async (command, code) => {
    const server = await startTcpServer((socket) => void socket.resume());
    const proxy = await start({ proxy: { listen: LOOPBACK }, quiet: true });
    const sockets = await Promise.all(Array.from({ length: 20 }, () => openTunnel(proxy.ports[0]!, server)));
    const closed = sockets.map((socket) => readAll(socket));
    // One that stalls, since nobody reads from it fast enough.
    sockets[0]!.write(new Uint8Array(1 << 20));
    proxy.child.stdin!.write(`${command}\n`);
    expect(await proxy.exited).toBe(code);
    await Promise.all(closed);
  });
});
