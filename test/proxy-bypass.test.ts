/**
 * Ways around what the proxy forbids: the many spellings of one address, in every protocol, as a client of this host
 * under rules, and as a client of another host that may not reach what is private to this one.
 *
 *   test's client ── proxy ── a server on loopback, which nobody may reach, and which counts who did
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RouteNetlink } from '../src/netlink/index.ts';
import { DEFAULT_POLICY, LOOPBACK_PREFIXES, type ProxyPolicy } from '../src/proxy/index.ts';
import {
  cleanUp,
  connectTo,
  exchange,
  onCleanup,
  readUntil,
  startProxy,
  startTcpServer,
} from './proxy-support.ts';
import { enterTunnel } from './support/tunnel-entrance.ts';

/** An address of this host that is not a loopback one: connections to it come from it, as from another host. */
const OTHER_HOST = '10.66.7.1';

const withLoopback = (change: (netlink: RouteNetlink, linkIndex: number) => void) => {
  const netlink = RouteNetlink.open();
  change(netlink, netlink.links().find(({ name }) => name === 'lo')!.index);
  netlink.close();
};
const address = { address: OTHER_HOST, prefixLength: 32 };
beforeAll(() => withLoopback((netlink, linkIndex) => netlink.addAddress({ linkIndex, ...address })));
afterAll(() => withLoopback((netlink, linkIndex) => netlink.deleteAddress({ linkIndex, ...address })));
afterEach(cleanUp);

/** All of them are 127.0.0.1 or its neighbours to some part of a system, or lead there. */
const SPELLINGS = [
  '127.0.0.1',
  '127.255.255.254',
  'localhost',
  'LOCALHOST',
  'localhost.',
  'localhost..',
  '127.1',
  '127.0.1',
  '2130706433',
  '0x7f000001',
  '0x7f.1',
  '017700000001',
  '0177.0.0.1',
  '127.0.0.1.',
  '0.0.0.0',
  '0',
  '00000000.0',
  '[::1]',
  '[::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[0:0:0:0:0:ffff:127.0.0.1]',
  '[::ffff:0.0.0.0]',
  '[::ffff:0:127.0.0.1]',
  '[::127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[::1%lo]',
  '[::1%25lo]',
  '127.0.0.1%00',
  '127.0.0.1@example.org',
  'localhost%2e',
  '１２７.0.0.1',
  '127。0。0。1',
  'ⓛocalhost',
] as const;

const refusesLoopback: ProxyPolicy = {
  ...DEFAULT_POLICY,
  rules: [
    {
      to: { names: [], prefixes: LOOPBACK_PREFIXES },
      way: { kind: 'refuse', reason: 'not here' },
    },
  ],
};

/** A server that must never be reached, for both address families. */
async function startForbidden(): Promise<{ readonly port: number; readonly reached: () => number }> {
  let reached = 0;
  const port = await startTcpServer((socket) => {
    reached++;
    socket.end('reached');
  });
  return { port, reached: () => reached };
}

const plain = (host: string) => host.replace(/^\[|\]$/g, '');

/** Every way to name a host and a port; each gives back what the proxy said. */
const ATTEMPTS: Readonly<Record<string, (proxy: Socket, host: string, port: number) => Promise<unknown>>> = {
  connect: async (socket, host, port) => {
    socket.write(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: a\r\n\r\n`, 'utf8');
    return readUntil(socket, (text) => text.includes('\r\n\r\n'));
  },
  get: async (socket, host, port) => {
    socket.write(`GET http://${host}:${port}/ HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`, 'utf8');
    return readUntil(socket, (text) => text.includes('\r\n\r\n'));
  },
  'get with another Host': async (socket, host, port) => {
    socket.write(`GET http://${host}:${port}/ HTTP/1.1\r\nHost: example.org\r\n\r\n`, 'utf8');
    return readUntil(socket, (text) => text.includes('\r\n\r\n'));
  },
  'socks5 name': (socket, host, port) =>
    enterTunnel(socket, 'socks5-name', { address: plain(host), port }).then(() => 'open'),
  'socks5 name in brackets': (socket, host, port) =>
    enterTunnel(socket, 'socks5-name', { address: host, port }).then(() => 'open'),
  socks4a: (socket, host, port) =>
    enterTunnel(socket, 'socks4a', { address: plain(host), port }).then(() => 'open'),
  'socks5 IPv6 address': async (socket, _host, port) => {
    socket.write(Buffer.from([5, 1, 0]));
    await readUntil(socket, (text) => text.length >= 2);
    const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1];
    socket.write(Buffer.from([5, 1, 0, 4, ...mapped, port >> 8, port & 255]));
    return readUntil(socket, (text) => text.length >= 10);
  },
};

/** Ends with what the proxy said, whatever it was. */
async function attempt(
  proxyAddress: string,
  proxyPort: number,
  how: string,
  host: string,
  port: number,
): Promise<string> {
  const socket = await connectTo(proxyPort, proxyAddress);
  onCleanup(() => void socket.destroy());
  try {
    return String(await ATTEMPTS[how]!(socket, host, port));
  } catch (error) {
    return `refused: ${(error as Error).message}`;
  } finally {
    socket.destroy();
  }
}

describe.each(Object.keys(ATTEMPTS))('by %s', (how) => {
  it('no spelling of loopback gets around a rule on its prefix', async () => {
    const { port, reached } = await startForbidden();
    const proxy = await startProxy({}, { policy: refusesLoopback });
    for (const host of SPELLINGS) {
      const said = await attempt('127.0.0.1', proxy.port, how, host, port);
      expect(`${host}: ${said}`).not.toMatch(/ 200 |: open$/);
    }
    expect(reached()).toBe(0);
  });

  it('no spelling of loopback helps a client of another host', async () => {
    const { port, reached } = await startForbidden();
    const proxy = await startProxy({}, { allowRemote: true, listen: [{ address: OTHER_HOST, port: 0 }] });
    for (const host of SPELLINGS) {
      const said = await attempt(OTHER_HOST, proxy.port, how, host, port);
      expect(`${host}: ${said}`).not.toMatch(/ 200 |: open$/);
    }
    expect(reached()).toBe(0);
  });

  it('no spelling leads the proxy to itself', async () => {
    const proxy = await startProxy();
    for (const host of SPELLINGS) await attempt('127.0.0.1', proxy.port, how, host, proxy.port);
    const { clientConnections, upstreamsMptcp, upstreamsTcp } = proxy.server.counters();
    expect({ clientConnections, upstreams: upstreamsMptcp + upstreamsTcp }).toEqual({
      clientConnections: SPELLINGS.length,
      upstreams: 0,
    });
  });
});

it('the rules do not forbid what they do not name', async () => {
  const port = await startTcpServer((socket) => socket.end('reached'));
  const proxy = await startProxy();
  const answer = await exchange(
    proxy.port,
    `GET http://localhost:${port}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
  );
  // A server that says anything was reached; this one speaks no HTTP.
  expect(answer).toMatch(/^HTTP\/1\.1 502/);
  expect(proxy.server.counters().upstreamsMptcp + proxy.server.counters().upstreamsTcp).toBe(1);
});

describe('datagrams', () => {
  it.each([
    ['under a rule', '127.0.0.1', { policy: refusesLoopback }],
    ['of another host', OTHER_HOST, { allowRemote: true, listen: [{ address: OTHER_HOST, port: 0 }] }],
  ] as const)('%s do not get to loopback', async (_what, proxyAddress, options) => {
    const server = createSocket('udp4');
    let reached = 0;
    server.on('message', () => reached++);
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    onCleanup(() => void server.close());
    const allowed = createSocket('udp4');
    allowed.bind(0, OTHER_HOST);
    await once(allowed, 'listening');
    onCleanup(() => void allowed.close());
    const proxy = await startProxy({}, options);
    const control = await connectTo(proxy.port, proxyAddress);
    onCleanup(() => void control.destroy());
    control.write(Buffer.from([5, 1, 0]));
    await readUntil(control, (text) => text.length >= 2);
    control.write(Buffer.from([5, 3, 0, 1, 0, 0, 0, 0, 0, 0]));
    const reply = Buffer.from(await readUntil(control, (text) => text.length >= 10), 'latin1');
    expect([...reply.subarray(0, 4)]).toEqual([5, 0, 0, 1]);
    const client = createSocket('udp4');
    onCleanup(() => void client.close());
    const send = (target: number[], port: number, text: string) =>
      client.send(
        Buffer.concat([Buffer.from([0, 0, 0, ...target, port >> 8, port & 255]), Buffer.from(text)]),
        reply.readUInt16BE(8),
        proxyAddress,
      );
    client.bind(0, proxyAddress);
    await once(client, 'listening');
    const { port } = server.address();
    for (const spelling of SPELLINGS) {
      const name = Buffer.from(plain(spelling));
      send([3, name.length, ...name], port, 'forbidden');
    }
    send([1, 127, 0, 0, 1], port, 'forbidden');
    send([1, 0, 0, 0, 0], port, 'forbidden');
    send([4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1], port, 'forbidden');
    // Datagrams of one association do not overtake: when this one arrives, the literal ones have been judged.
    const arrived = once(allowed, 'message') as Promise<[Buffer]>;
    send([1, ...OTHER_HOST.split('.').map(Number)], allowed.address().port, 'allowed');
    expect(String((await arrived)[0])).toBe('allowed');
    expect(reached).toBe(0);
  });
});
