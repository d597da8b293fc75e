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
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { LabNode } from '../src/lab/index.ts';
import { connectFd } from '../src/mptcp/index.ts';
import { DatagramSocket as NativeDatagramSocket } from '../src/native/index.ts';
import { DEFAULT_POLICY, type ProxyPolicy } from '../src/proxy/index.ts';
import { emitDatagram, parseDatagram } from '../src/proxy/socks/datagram.ts';
import { emitAddress, parseAddress } from '../src/proxy/socks/socks5.ts';
import {
  cleanUp,
  connectTo,
  onCleanup,
  readUntil,
  startProxy,
  until,
  whatIsOpen,
  type StartedProxy,
} from './proxy-support.ts';

afterEach(cleanUp);

/** A question for the address of a name (RFC 1035 section 4). */
function dnsQuestion(id: number, name: string): Buffer {
  const labels = name
    .split('.')
    .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const head = Buffer.from([id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}

/** The same with one answer: 192.0.2.77. */
function dnsAnswer(question: Buffer): Buffer {
  const head = Buffer.from(question.subarray(0, 12));
  head[2] = 0x81;
  head[3] = 0x80;
  head[7] = 1;
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77]);
  return Buffer.concat([head, question.subarray(12), record]);
}

async function bound(address: string): Promise<DatagramSocket> {
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' });
  onCleanup(() => {
    try {
      socket.close();
    } catch {
      // The test has closed it.
    }
  });
  await new Promise<void>((resolve) => {
    socket.bind(0, address, resolve);
  });
  return socket;
}

/** Answers every datagram by `answer`. */
async function startUdpServer(
  answer: (bytes: Buffer) => Buffer,
  address = '127.0.0.1',
): Promise<{ readonly port: number; readonly socket: DatagramSocket; readonly seen: Buffer[] }> {
  const socket = await bound(address);
  const seen: Buffer[] = [];
  socket.on('message', (bytes, from) => {
    seen.push(bytes);
    socket.send(answer(bytes), from.port, from.address);
  });
  return { port: socket.address().port, socket, seen };
}

interface Associated {
  readonly control: Socket;
  readonly relay: { readonly host: string; readonly port: number };
}

/** Asks for an association over a connection that is there. */
async function associateOver(control: Socket, announced = emitAddress('0.0.0.0', 0)): Promise<Associated> {
  control.on('error', () => {});
  control.write(Buffer.concat([Buffer.from([5, 1, 0, 5, 3, 0]), announced]));
  const answer = Buffer.from(await readUntil(control, (text) => text.length >= 12), 'latin1').subarray(2);
  if (answer[1] !== 0) throw new Error(`refused: ${answer[1]}`);
  const parsed = parseAddress(answer, 3);
  if (parsed.kind !== 'message') throw new Error(`bad reply ${answer.toString('hex')}`);
  control.resume();
  return { control, relay: parsed.value };
}

class Client {
  readonly udp: DatagramSocket;
  readonly control: Socket;
  readonly relay: Associated['relay'];
  readonly answers: { readonly host: string; readonly port: number; readonly bytes: Buffer }[] = [];

  constructor({ control, relay }: Associated, udp: DatagramSocket) {
    this.control = control;
    this.relay = relay;
    this.udp = udp;
    udp.on('message', (bytes) => {
      const parsed = parseDatagram(bytes);
      if ('problem' in parsed) throw new Error(parsed.problem);
      this.answers.push({ ...parsed.destination, bytes: Buffer.from(parsed.payload) });
    });
  }

  static async open(proxy: StartedProxy, host = '127.0.0.1'): Promise<Client> {
    const control = await connectTo(proxy.port, host);
    onCleanup(() => void control.destroy());
    return new Client(await associateOver(control), await bound(host));
  }

  send(host: string, port: number, payload: Buffer): void {
    this.sendRaw(emitDatagram(host, port, payload));
  }

  sendRaw(bytes: Uint8Array): void {
    this.udp.send(bytes, this.relay.port, this.relay.host);
  }

  /** Asks until it is answered: a datagram may be lost. */
  async ask(host: string, port: number, payload: Buffer): Promise<Client['answers'][number]> {
    const from = this.answers.length;
    for (let tries = 0; tries < 100; tries++) {
      this.send(host, port, payload);
      for (let waits = 0; waits < 50; waits++) {
        const found = this.answers.slice(from).at(0);
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }
    throw new Error(`no answer of ${host} port ${port}`);
  }
}

const withRules = (rules: ProxyPolicy['rules']): ProxyPolicy => ({ ...DEFAULT_POLICY, rules });
const dropped = (proxy: StartedProxy) => proxy.server.counters().datagramsDroppedByReason;

describe('a DNS query', () => {
  it('goes through, by address and by name, and its answer comes back', async () => {
    const server = await startUdpServer(dnsAnswer);
    const proxy = await startProxy();
    const client = await Client.open(proxy);
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
    const client = await Client.open(proxy, '::1');
    expect(client.relay.host).toBe('::1');
    expect(await client.ask('::1', server.port, dnsQuestion(3, 'a'))).toMatchObject({ host: '::1' });
  });
});

describe('datagrams', () => {
  it('of every size arrive whole', async () => {
    const server = await startUdpServer((bytes) => bytes);
    const client = await Client.open(await startProxy());
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
    const client = await Client.open(proxy);
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
    const client = await Client.open(proxy);
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
    const client = await Client.open(proxy);
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
    const client = await Client.open(proxy);
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
    const warm = await Client.open(proxy);
    await warm.ask('127.0.0.1', server.port, Buffer.from('x'));
    warm.control.destroy();
    warm.udp.close();
    await until(() => proxy.server.counters().udpAssociationsOpen === 0, 'the first to end');
    const before = whatIsOpen();
    for (const end of ['end', 'destroy', 'resetAndDestroy'] as const) {
      const client = await Client.open(proxy);
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
    const client = await Client.open(proxy);
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
    const first = await Client.open(proxy);
    await Client.open(proxy);
    await expect(Client.open(proxy)).rejects.toThrow('refused: 1');
    proxy.server.setPolicy({ ...DEFAULT_POLICY, limits: { tunnels: 1 } });
    first.control.destroy();
    await until(() => proxy.server.counters().udpAssociationsOpen === 1, 'the first to end');
    await expect(Client.open(proxy)).rejects.toThrow('refused: 1');
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
    await new Client(associated, right).ask('127.0.0.1', server.port, Buffer.from('x'));
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
