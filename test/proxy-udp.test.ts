/**
 * SOCKS5 UDP ASSOCIATE (RFC 1928 section 7): a DNS query through the proxy, and who may send what to whom.
 *
 *   test's client ── TCP: the association ── proxy ── UDP ── test's name server     on loopback
 *                 ── UDP: header, payload ──
 *
 * Clients of another host come from a namespace behind a veth, 10.61.0.2 to 10.61.0.1.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { LabNode } from '../src/lab/index.ts';
import { connectFd } from '../src/mptcp/index.ts';
import { DatagramSocket as NativeDatagramSocket } from '../src/native/index.ts';
import { DEFAULT_POLICY, type ProxyPolicy } from '../src/proxy/index.ts';
import { emitDatagram, parseDatagram } from '../src/proxy/socks/datagram.ts';
import { emitAddress } from '../src/proxy/socks/socks5.ts';
import {
  cleanUp,
  connectTo,
  onCleanup,
  startProxy,
  until,
  whatIsOpen,
  type StartedProxy,
} from './proxy-support.ts';
import {
  associateOver,
  bound,
  dnsAnswer,
  dnsQuestion,
  SocksUdpClient,
  startUdpServer,
} from './support/socks-udp.ts';

afterEach(cleanUp);

const withRules = (rules: ProxyPolicy['rules']): ProxyPolicy => ({ ...DEFAULT_POLICY, rules });
const dropped = (proxy: StartedProxy) => proxy.server.counters().datagramsDroppedByReason;

describe('a DNS query', () => {
  it('goes through, by address and by name, and its answer comes back', async () => {
    const server = await startUdpServer(dnsAnswer);
    const proxy = await startProxy();
    const client = await SocksUdpClient.open(proxy);
    expect(client.relay.host).toBe('127.0.0.1');
    for (const [host, id] of [
      ['127.0.0.1', 1],
      ['localhost', 2],
    ] as const) {
      const question = dnsQuestion(id, 'www.example.org');
      const answer = await client.ask(host, server.port, question);
      expect(answer).toEqual({ host: '127.0.0.1', port: server.port, bytes: dnsAnswer(question) });
    }
    const counters = proxy.server.counters();
    expect(counters).toMatchObject({ udpAssociations: 1, udpAssociationsOpen: 1, datagramsDropped: 0 });
    expect(counters.datagramsUp).toBeGreaterThanOrEqual(2);
    expect(counters.datagramBytesDown).toBeGreaterThanOrEqual(
      2 * dnsAnswer(dnsQuestion(1, 'www.example.org')).length,
    );
  });

  it('goes through over IPv6', async () => {
    const server = await startUdpServer(dnsAnswer, '::1');
    const proxy = await startProxy({}, { listen: [{ address: '::1', port: 0 }] });
    const client = await SocksUdpClient.open(proxy, '::1');
    expect(client.relay.host).toBe('::1');
    expect(await client.ask('::1', server.port, dnsQuestion(3, 'a'))).toMatchObject({ host: '::1' });
  });
});

describe('datagrams', () => {
  it('of every size arrive whole', async () => {
    const server = await startUdpServer((bytes) => bytes);
    const client = await SocksUdpClient.open(await startProxy());
    for (const size of [0, 1, 1472, 1473, 9000, 65_000]) {
      const payload = randomBytes(size);
      const { bytes } = await client.ask('127.0.0.1', server.port, payload);
      expect(bytes.equals(payload), `${size} bytes`).toBe(true);
      client.answers.length = 0;
    }
  });

  it('count only from the client, whole and well-formed', async () => {
    const server = await startUdpServer((bytes) => bytes);
    const proxy = await startProxy();
    const client = await SocksUdpClient.open(proxy);
    await client.ask('127.0.0.1', server.port, Buffer.from('first'));
    const stranger = await bound('127.0.0.1');
    stranger.send(
      emitDatagram('127.0.0.1', server.port, Buffer.from('stranger')),
      client.relay.port,
      client.relay.host,
    );
    const fragment = emitDatagram('127.0.0.1', server.port, Buffer.from('fragment'));
    fragment[2] = 1;
    client.sendRaw(fragment);
    client.sendRaw(Buffer.from([0, 0, 0, 1, 127]));
    client.sendRaw(emitDatagram('127.0.0.1', 0, Buffer.from('port 0')));
    await until(() => proxy.server.counters().datagramsDropped === 4, 'all to be dropped');
    expect(dropped(proxy)).toEqual({ 'not-the-client': 1, fragment: 1, truncated: 1, address: 1 });
    expect(server.seen.map(String).every((text) => text === 'first')).toBe(true);
    expect((await client.ask('127.0.0.1', server.port, Buffer.from('last'))).bytes.length).toBeGreaterThan(0);
  });

  it('that nobody asked for do not reach the client', async () => {
    const proxy = await startProxy();
    const client = await SocksUdpClient.open(proxy);
    const stranger = await bound('127.0.0.2');
    // The server has a stranger write to where the question came from.
    const server = await bound('127.0.0.1');
    server.on('message', (bytes, from) => {
      stranger.send('unasked', from.port, '127.0.0.1', () => server.send(bytes, from.port, from.address));
    });
    await client.ask('127.0.0.1', server.address().port, Buffer.from('question'));
    await until(() => (dropped(proxy)['not-asked'] ?? 0) > 0, 'the stranger to be dropped');
    expect(client.answers.map(({ bytes }) => bytes.toString())).not.toContain('unasked');
  });

  it('are refused by rules, also for names that lead into a refused prefix', async () => {
    const server = await startUdpServer((bytes) => bytes);
    const other = await startUdpServer((bytes) => bytes, '127.0.0.2');
    const prefixes = [{ address: '127.0.0.1', length: 32 }];
    const policy = withRules([{ to: { names: [], prefixes }, way: { kind: 'refuse' } }]);
    const proxy = await startProxy({}, { policy });
    const client = await SocksUdpClient.open(proxy);
    for (const host of ['127.0.0.1', '::ffff:127.0.0.1', 'localhost', 'LocalHost']) {
      client.send(host, server.port, Buffer.from('x'));
    }
    await until(() => proxy.server.counters().datagramsDropped === 4, 'all to be dropped');
    expect(dropped(proxy)).toEqual({ policy: 4 });
    await client.ask('127.0.0.2', other.port, Buffer.from('x'));
    expect(server.seen).toEqual([]);
    // A new policy counts for the next datagram.
    proxy.server.setPolicy(withRules([]));
    await client.ask('127.0.0.1', server.port, Buffer.from('now'));
  });

  it('of noise do no harm', async () => {
    const proxy = await startProxy();
    const client = await SocksUdpClient.open(proxy);
    const server = await startUdpServer((bytes) => bytes);
    let sent = 0;
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (noise) => {
        // No names: looking them up is slow. The first byte of an address is made loopback's.
        const bytes = Buffer.concat([Buffer.from([0, 0, 0]), noise]);
        if (bytes[3] === 3) bytes[3] = 5;
        if (bytes[3] === 1 && bytes.length > 4) bytes[4] = 127;
        if (bytes[3] === 4) bytes[3] = 6;
        client.sendRaw(bytes);
        sent++;
      }),
      { numRuns: 100 },
    );
    await until(() => {
      const { datagramsUp, datagramsDropped } = proxy.server.counters();
      return datagramsUp + datagramsDropped >= sent;
    }, 'all of it to be dealt with');
    client.answers.length = 0;
    await client.ask('127.0.0.1', server.port, Buffer.from('still there'));
  });
});

describe('an association', () => {
  it('ends with its connection, and leaves nothing open', async () => {
    const server = await startUdpServer((bytes) => bytes);
    const proxy = await startProxy();
    const warm = await SocksUdpClient.open(proxy);
    await warm.ask('127.0.0.1', server.port, Buffer.from('x'));
    warm.control.destroy();
    warm.udp.close();
    await until(() => proxy.server.counters().udpAssociationsOpen === 0, 'the first to end');
    const before = whatIsOpen();
    for (const end of ['end', 'destroy', 'resetAndDestroy'] as const) {
      const client = await SocksUdpClient.open(proxy);
      await client.ask('127.0.0.1', server.port, Buffer.from('x'));
      client.control[end]();
      client.udp.close();
      await until(() => proxy.server.counters().udpAssociationsOpen === 0, `the end by ${end}`);
      client.control.destroy();
    }
    await until(() => whatIsOpen().fds <= before.fds, 'descriptors to be closed');
  });

  it('ends when it is idle', async () => {
    const proxy = await startProxy({ udpIdleTimeoutMs: 200 });
    const client = await SocksUdpClient.open(proxy);
    let ended = false;
    client.control.once('end', () => {
      ended = true;
    });
    await until(() => ended, 'the connection to be closed');
    expect(proxy.server.counters()).toMatchObject({ udpAssociations: 1, udpAssociationsOpen: 0 });
  });

  it('is refused beyond the limits', async () => {
    const proxy = await startProxy(
      { maxUdpAssociations: 2 },
      { policy: { ...DEFAULT_POLICY, limits: { tunnels: 3 } } },
    );
    const first = await SocksUdpClient.open(proxy);
    await SocksUdpClient.open(proxy);
    await expect(SocksUdpClient.open(proxy)).rejects.toThrow('refused: 1');
    proxy.server.setPolicy({ ...DEFAULT_POLICY, limits: { tunnels: 1 } });
    first.control.destroy();
    await until(() => proxy.server.counters().udpAssociationsOpen === 1, 'the first to end');
    await expect(SocksUdpClient.open(proxy)).rejects.toThrow('refused: 1');
    expect(proxy.server.counters().refusedByReason).toEqual({ 'too-many-tunnels': 1, 'client-limit': 1 });
  });

  it('takes the port that the client has announced, and no other', async () => {
    const server = await startUdpServer((bytes) => bytes);
    const proxy = await startProxy();
    const [right, wrong] = [await bound('127.0.0.1'), await bound('127.0.0.1')];
    const control = await connectTo(proxy.port);
    const associated = await associateOver(control, emitAddress('127.0.0.1', right.address().port));
    const datagram = emitDatagram('127.0.0.1', server.port, Buffer.from('x'));
    wrong.send(datagram, associated.relay.port, associated.relay.host);
    await until(() => proxy.server.counters().datagramsDropped === 1, 'the wrong one to be dropped');
    await new SocksUdpClient(associated, right).ask('127.0.0.1', server.port, Buffer.from('x'));
    control.destroy();
  });
});

describe('a client of another host', () => {
  const ip = (...words: string[]) => execFileSync('ip', words, { stdio: 'pipe' });

  it('reaches other hosts, and nothing that is private to this one', async () => {
    const guest = new LabNode('guest', 'socks-udp-guest');
    onCleanup(() => guest.close());
    ip('link', 'add', 'sug0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', guest.namespace);
    onCleanup(() => void ip('link', 'del', 'sug0'));
    ip('addr', 'add', '10.61.0.1/24', 'dev', 'sug0');
    ip('link', 'set', 'sug0', 'up');
    ip('-n', guest.namespace, 'addr', 'add', '10.61.0.2/24', 'dev', 'eth0');
    ip('-n', guest.namespace, 'link', 'set', 'eth0', 'up');
    const secret = await startUdpServer((bytes) => bytes);
    const open = await startUdpServer((bytes) => bytes, '10.61.0.1');
    const proxy = await startProxy({}, { listen: [{ address: '10.61.0.1', port: 0 }], allowRemote: true });
    const { fd } = await guest.inside(() =>
      connectFd({ address: '10.61.0.1', port: proxy.port, multipath: false }),
    );
    const control = new Socket({ fd, readable: true, writable: true });
    onCleanup(() => void control.destroy());
    const { relay } = await associateOver(control);
    expect(relay.host).toBe('10.61.0.1');
    const udp = guest.inside(() => NativeDatagramSocket.open(0));
    onCleanup(() => udp.close());
    const to = { address: relay.host, port: relay.port };
    for (const host of ['127.0.0.1', '0.0.0.0', 'localhost', '::1', '169.254.1.1', '::ffff:127.0.0.1']) {
      expect(udp.send(emitDatagram(host, secret.port, Buffer.from('x')), to)).toBe(0);
    }
    await until(() => (dropped(proxy)['forbidden'] ?? 0) === 6, 'all to be forbidden');
    udp.send(emitDatagram('10.61.0.1', open.port, Buffer.from('hello')), to);
    let answer: string | undefined;
    await until(() => {
      const got = udp.receive();
      const parsed = got === undefined ? undefined : parseDatagram(got.bytes);
      if (parsed !== undefined && 'payload' in parsed) answer = Buffer.from(parsed.payload).toString();
      return answer !== undefined;
    }, 'an answer');
    expect(answer).toBe('hello');
    expect(secret.seen).toEqual([]);
  });
});
