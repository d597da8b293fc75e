/**
 * Each way that a rule can name, seen from the other end: plain TCP, MPTCP, a tunnel through an upstream proxy; and
 * what a client is told when the upstream proxy fails.
 *
 *   client ── proxy (rules) ──┬── TCP or MPTCP ───────────── server
 *                             └── CONNECT ── other proxy ──── server        all on loopback
 */
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RouteNetlink } from '../src/netlink/index.ts';
import {
  DEFAULT_POLICY,
  type ProxyPolicy,
  type ProxyRule,
  type UpstreamProxy,
  type Way,
} from '../src/proxy/index.ts';
import {
  cleanUp,
  connectRequest,
  connectTo,
  exchange,
  onCleanup,
  openTunnel,
  readAll,
  readUntil,
  startMptcpServer,
  startProxy,
  startTcpServer,
  until,
  whatIsOpen,
} from './proxy-support.ts';

const ANY = { address: '0.0.0.0', port: 0 };
const OWN_V4 = '10.67.0.1';

function withLoopback(change: (netlink: RouteNetlink, linkIndex: number) => void): void {
  const netlink = RouteNetlink.open();
  change(netlink, netlink.links().find(({ name }) => name === 'lo')!.index);
  netlink.close();
}

const own = (linkIndex: number) => ({ linkIndex, address: OWN_V4, prefixLength: 32 });
beforeAll(() => withLoopback((netlink, linkIndex) => netlink.addAddress(own(linkIndex))));
afterAll(() => withLoopback((netlink, linkIndex) => netlink.deleteAddress(own(linkIndex))));
afterEach(cleanUp);

const echo = (socket: Socket) => void socket.pipe(socket);
const toPort = (port: number, way: Way): ProxyRule => ({ ports: [{ first: port, last: port }], way });

const http = (port: number, more: Partial<UpstreamProxy> = {}): UpstreamProxy => ({
  name: 'other',
  kind: 'http',
  host: '127.0.0.1',
  port,
  ...more,
});
/** Everything goes through that proxy, loopback too. */
const through = (proxy: UpstreamProxy, ...first: ProxyRule[]): { policy: ProxyPolicy } => ({
  policy: {
    ...DEFAULT_POLICY,
    rules: [...first, { way: { kind: 'upstream', upstream: proxy.name } }],
    upstreams: new Map([[proxy.name, proxy]]),
  },
});

async function startOrigin(): Promise<{ readonly port: number; readonly requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const origin = createHttpServer((request, response) => {
    requests.push(request);
    response.end('page');
  });
  await new Promise<void>((resolve) => {
    origin.listen(0, '127.0.0.1', resolve);
  });
  onCleanup(() => {
    origin.closeAllConnections();
    origin.close();
  });
  return { port: (origin.address() as AddressInfo).port, requests };
}

describe('from this host', () => {
  it('the ways direct and multipath are TCP and MPTCP, rule by rule', async () => {
    const [first, second] = [await startMptcpServer(echo), await startMptcpServer(echo)];
    const policy = { ...DEFAULT_POLICY, rules: [toPort(first, { kind: 'direct' })] };
    const proxy = await startProxy({}, { policy });
    for (const [port, protocol] of [
      [first, 'tcp'],
      [second, 'mptcp'],
    ] as const) {
      const socket = await openTunnel(proxy.port, port);
      expect(proxy.server.connections().find(({ target }) => target.endsWith(`:${port}`))).toMatchObject({
        protocol,
      });
      socket.end('x');
      expect(await readAll(socket)).toBe('x');
    }
  });

  it('plain requests go the same ways', async () => {
    const { port } = await startOrigin();
    const proxy = await startProxy(
      {},
      { policy: { ...DEFAULT_POLICY, rules: [toPort(port, { kind: 'refuse' })] } },
    );
    const answer = await exchange(
      proxy.port,
      `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 403 [\s\S]*a rule of this proxy refuses it/);
  });
});

describe('through an upstream proxy', () => {
  it('tunnels go, both ways and to their ends, and are told in status', async () => {
    const server = await startTcpServer(echo);
    const other = await startProxy();
    const proxy = await startProxy({}, through(http(other.port)));
    const before = whatIsOpen();
    const socket = await openTunnel(proxy.port, server);
    const text = 'across two proxies'.repeat(10_000);
    const answer = readAll(socket);
    expect(proxy.server.connections()).toMatchObject([
      { kind: 'connect', via: 'other', remote: `127.0.0.1:${other.port}`, target: `127.0.0.1:${server}` },
    ]);
    socket.end(text);
    expect(await answer).toBe(text);
    expect(other.server.counters()).toMatchObject({ tunnelsOpened: 1 });
    expect(proxy.server.upstreamHealth()).toMatchObject([
      { name: 'other', state: 'up', opened: 1, failed: 0 },
    ]);
    await until(
      () => proxy.server.counters().tunnelsOpen + other.server.counters().tunnelsOpen === 0,
      'ends',
    );
    await until(() => whatIsOpen().fds <= before.fds + 2, 'no descriptor left');
  });

  it('what the server says first is not lost, however it comes', async () => {
    const greeting = 'welcome '.repeat(20_000);
    const server = await startTcpServer((socket) => socket.end(greeting));
    const other = await startProxy();
    const proxy = await startProxy({}, through(http(other.port)));
    for (let i = 0; i < 20; i++) expect(await readAll(await openTunnel(proxy.port, server))).toBe(greeting);
    // An answer and the first bytes of the tunnel in one piece.
    const oneBlow = await startTcpServer((socket) => {
      socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\nA: b\r\n\r\n${greeting}`));
    });
    const second = await startProxy({}, through(http(oneBlow)));
    for (let i = 0; i < 20; i++) expect(await readAll(await openTunnel(second.port, 1))).toBe(greeting);
  });

  it('plain requests go as tunnels, and keep their connection', async () => {
    const origin = await startOrigin();
    const other = await startProxy();
    const proxy = await startProxy({}, through(http(other.port)));
    const request = `GET http://127.0.0.1:${origin.port}/path?q HTTP/1.1\r\nHost: a\r\n`;
    const client = await connectTo(proxy.port);
    client.write(`${request}\r\n`);
    expect(await readUntil(client, (text) => text.endsWith('page'))).toMatch(/^HTTP\/1\.1 200 /);
    client.write(`${request}Connection: close\r\n\r\n`);
    const last = readAll(client);
    client.resume();
    expect(await last).toMatch(/^HTTP\/1\.1 200 [\s\S]*page$/);
    expect(origin.requests.map(({ url }) => url)).toEqual(['/path?q', '/path?q']);
    expect(origin.requests[0]?.headers['proxy-authorization']).toBeUndefined();
    expect(other.server.counters()).toMatchObject({ tunnelsOpened: 1, requests: 0 });
    expect(proxy.server.connections()).toMatchObject([{ kind: 'http', via: 'other' }]);
  });

  it('a user and a password are shown to it, and to nobody else', async () => {
    const asked: string[] = [];
    const server = await startTcpServer((socket) => {
      socket.on('data', (chunk) => {
        asked.push(chunk.toString('latin1'));
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
      });
    });
    const proxy = await startProxy({}, through(http(server, { user: 'ann', password: 'hunter2' })));
    await openTunnel(proxy.port, 443, 'name.test');
    const basic = Buffer.from('ann:hunter2').toString('base64');
    expect(asked).toEqual([
      `CONNECT name.test:443 HTTP/1.1\r\nHost: name.test:443\r\nProxy-Authorization: Basic ${basic}\r\n\r\n`,
    ]);
    expect(JSON.stringify([proxy.server.upstreamHealth(), proxy.server.connections()])).not.toContain(
      'hunter2',
    );
  });

  it('it is told the name, or an address that was checked where a rule could refuse one', async () => {
    const asked: string[] = [];
    const server = await startTcpServer((socket) => {
      socket.on('data', (chunk) => {
        asked.push(chunk.toString('latin1').split(' ')[1]!);
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
      });
    });
    const refused = (address: string): ProxyRule => ({
      to: { names: [], prefixes: [{ address, length: 8 }] },
      way: { kind: 'refuse' },
    });
    const named = await startProxy({}, through(http(server)));
    await openTunnel(named.port, 443, 'localhost');
    const checked = await startProxy({}, through(http(server), refused('10.0.0.0')));
    await openTunnel(checked.port, 443, 'localhost');
    const closed = await startProxy({}, through(http(server), refused('127.0.0.0'), refused('0.0.0.0')));
    const answer = await exchange(closed.port, connectRequest('127.0.0.1:443'));
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(asked[0]).toBe('localhost:443');
    expect(asked[1]).toMatch(/^(127\.0\.0\.1|\[::1\]):443$/);
    expect(asked.length).toBe(2);
    // A name that does not resolve here cannot be checked.
    const unknown = await exchange(checked.port, connectRequest('no.such.invalid:443'));
    expect(unknown).toMatch(/^HTTP\/1\.1 502 /);
    expect(asked.length).toBe(2);
  });
});

describe('clients of other hosts, through an upstream proxy that may be of this one', () => {
  it.each(['127.0.0.1', 'localhost', 'a.LOCALHOST.', '[::1]', '127.1', '0x7f000001', '169.254.1.1'])(
    'do not reach %s',
    async (host) => {
      let asked = 0;
      const server = await startTcpServer(() => asked++);
      // An address of this host that is not a loopback one: who comes from it counts as another host's.
      const proxy = await startProxy({}, { ...through(http(server)), allowRemote: true, listen: [ANY] });
      const socket = connect({ port: proxy.port, host: OWN_V4, localAddress: OWN_V4 });
      onCleanup(() => void socket.destroy());
      const answer = readAll(socket);
      socket.write(connectRequest(`${host}:22`));
      expect(await answer).toMatch(/^HTTP\/1\.1 (403|502) /);
      expect(asked).toBe(0);
    },
  );
});

describe('an upstream proxy that fails is named, and counted', () => {
  it.each([
    ['is not there', undefined, 502, /upstream proxy "other": .*refused/],
    ['wants a user', 'HTTP/1.1 407 Who are you\r\n\r\n', 502, /"other": wants a user and a password \(407\)/],
    ['forbids it', 'HTTP/1.1 403 Forbidden\r\n\r\n', 403, /"other": answered 403 \(Forbidden\)/],
    ['found nobody there', 'HTTP/1.1 504 Timeout\r\n\r\n', 504, /"other": answered 504/],
    [
      'speaks something else',
      'SSH-2.0-OpenSSH_9.2\r\n',
      502,
      /"other": did not answer as an HTTP proxy does/,
    ],
    ['closes at once', '', 502, /"other": /],
  ])('%s', async (_what, said, status, text) => {
    const port =
      said === undefined ? 1 : await startTcpServer((socket) => socket.once('data', () => socket.end(said)));
    const proxy = await startProxy({}, through(http(port)));
    const answer = await exchange(proxy.port, connectRequest('name.test:443'));
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/could not reach name\.test port 443: /);
    expect(answer).toMatch(text);
    const plain = await exchange(
      proxy.port,
      'GET http://name.test/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    expect(plain).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(proxy.server.upstreamHealth()).toMatchObject([{ name: 'other', failed: 2 }]);
    expect(proxy.server.counters().dialsFailed).toBe(2);
  });

  it('stays silent', async () => {
    const port = await startTcpServer(() => {});
    const proxy = await startProxy({ connectTimeoutMs: 200 }, through(http(port)));
    const answer = await exchange(proxy.port, connectRequest('name.test:443'));
    expect(answer).toMatch(/^HTTP\/1\.1 504 [\s\S]*"other"/);
  });

  it('is this proxy itself', async () => {
    const proxy = await startProxy();
    proxy.server.setPolicy(through(http(proxy.port)).policy);
    const answer = await exchange(proxy.port, connectRequest('name.test:443'));
    expect(answer).toMatch(/^HTTP\/1\.1 50[28] [\s\S]*this proxy itself/);
  });
});

describe('the way multipath through an appliance', () => {
  it('is a tunnel by address, except to this host itself', async () => {
    const asked: string[] = [];
    const guest = await startTcpServer((socket) => {
      socket.on('data', (chunk) => {
        asked.push(chunk.toString('latin1').split(' ')[1]!);
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
      });
    });
    const server = await startTcpServer(echo);
    const proxy = await startProxy(
      {},
      { policy: { ...DEFAULT_POLICY, rules: [toPort(9, { kind: 'refuse' })] } },
    );
    proxy.server.setMultipathVia({ ...http(guest), name: 'appliance', multipath: false });
    await openTunnel(proxy.port, 443, '192.0.2.1');
    expect(asked).toEqual(['192.0.2.1:443']);
    const local = await openTunnel(proxy.port, server, 'localhost');
    local.end('x');
    expect(await readAll(local)).toBe('x');
    expect(await exchange(proxy.port, connectRequest('192.0.2.1:9'))).toMatch(/^HTTP\/1\.1 403 /);
    expect(proxy.server.connections()).toMatchObject([{ via: 'appliance', target: '192.0.2.1:443' }]);
    proxy.server.setMultipathVia(undefined);
    expect(proxy.server.upstreamHealth()).toEqual([]);
    expect(asked.length).toBe(1);
  });

  it('is the way to other upstream proxies too, unless they are to be plain', async () => {
    const asked: string[] = [];
    const guest = await startTcpServer((socket) => {
      socket.on('data', (chunk) => {
        asked.push(chunk.toString('latin1').split(' ')[1]!);
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
      });
    });
    const far = { ...http(3128), host: '192.0.2.1' };
    const proxy = await startProxy({ connectTimeoutMs: 500 }, through(far));
    proxy.server.setMultipathVia({ ...http(guest), name: '(appliance)', multipath: false });
    await openTunnel(proxy.port, 443, 'name.test');
    expect(asked).toEqual(['192.0.2.1:3128', 'name.test:443']);
    expect(proxy.server.connections()).toMatchObject([{ via: 'other', target: 'name.test:443' }]);
    proxy.server.setPolicy(through({ ...far, multipath: false }).policy);
    expect(await exchange(proxy.port, connectRequest('name.test:443'))).toMatch(
      /^HTTP\/1\.1 50[24] [\s\S]*other/,
    );
    expect(asked.length).toBe(2);
    // An appliance that fails is not to be taken for the proxy behind it.
    proxy.server.setPolicy(through(far).policy);
    proxy.server.setMultipathVia({ ...http(1), name: '(appliance)', multipath: false });
    const answer = await exchange(proxy.port, connectRequest('name.test:443'));
    expect(answer).toMatch(/^HTTP\/1\.1 502 [\s\S]*upstream proxy "other": .*"\(appliance\)"/);
  });
});
