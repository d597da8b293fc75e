/**
 * Who may use a far end, and how much of it: tokens that come and go, certificates, limits, those who guess; and
 * datagrams. Everything on loopback of the tests' namespace; certificates are made by openssl.
 */
import { execFileSync } from 'node:child_process';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makeToken, type UpstreamProxy } from '../src/proxy/index.ts';
import {
  cleanUp,
  connectRequest,
  connectTo,
  exchange,
  onCleanup,
  openTunnel,
  readAll,
  readUntil,
  startEcho,
  startTcpServer,
  until,
  whatIsOpen,
} from './proxy-support.ts';
import { farUpstream, LOOPBACK, NotedLog, startFar, startProxyThrough } from './support/far-pair.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-serve-'));
const read = (name: string) => readFileSync(join(folder, name), 'utf8');

/** An authority, and what it has signed for the far end (127.0.0.1) and for one client. */
function makeCertificates(): void {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=the authority');
  for (const [name, subject, more] of [
    ['far', '/CN=vps', ['-addext', 'subjectAltName=IP:127.0.0.1']],
    ['ann', '/CN=ann', []],
  ] as const) {
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key'];
    openssl(
      'req',
      '-x509',
      ...key,
      ...signed,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-subj',
      subject,
      ...more,
    );
  }
  openssl('req', '-x509', ...key, '-keyout', 'eve.key', '-out', 'eve.pem', '-subj', '/CN=ann');
}

beforeAll(makeCertificates);
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(cleanUp);

async function echoed(proxyPort: number, target: number): Promise<string> {
  const socket = await openTunnel(proxyPort, target);
  socket.write('hello');
  return await readUntil(socket, (text) => text.length >= 5);
}

describe('tokens', () => {
  it('each has its own; one that is taken back ends its tunnels and no others', async () => {
    const echo = await startEcho();
    const [ann, bob] = [
      { name: 'ann', token: makeToken() },
      { name: 'bob', token: makeToken() },
    ];
    const far = await startFar({ access: { tokens: [ann, bob] } });
    const ofAnn = await startProxyThrough(farUpstream(far.port, ann.token));
    const ofBob = await startProxyThrough(farUpstream(far.port, bob.token));
    const [tunnelOfAnn, tunnelOfBob] = [
      await openTunnel(ofAnn.port, echo),
      await openTunnel(ofBob.port, echo),
    ];
    // The name of one, and not his token.
    const cat = { name: 'bob', token: makeToken() };
    far.server.setAccess({ tokens: [ann, cat] });
    await readAll(tunnelOfBob);
    tunnelOfAnn.write('still');
    expect(await readUntil(tunnelOfAnn, (text) => text === 'still')).toBe('still');
    expect(await exchange(ofBob.port, connectRequest(echo))).toMatch(/does not take our token/);
    const ofCat = await startProxyThrough(farUpstream(far.port, cat.token));
    expect(await echoed(ofCat.port, echo)).toBe('hello');
  });

  it('who guesses is slowed, without an answer', async () => {
    const far = await startFar();
    const attempt = async () => {
      const socket = await connectTo(far.port);
      const answer = readAll(socket);
      socket.end('GET / HTTP/1.1\r\n\r\n');
      return await answer;
    };
    for (let i = 0; i < 40; i++) expect(await attempt()).not.toMatch(/HTTP|weft/i);
    await until(() => (far.server.counters().refusedByReason['slowed'] ?? 0) > 0, 'it to be slowed');
    // One failure each five seconds at most is let through.
    expect(far.server.counters().handshakesFailed).toBeLessThan(30);
  });

  it('a connection that stays silent is closed in time, before and after its handshake', async () => {
    const limits = { handshakeTimeoutMs: 2000, waitTimeoutMs: 500 };
    const far = await startFar({ limits });
    await readAll(await connectTo(far.port));
    const { port } = await startProxyThrough(farUpstream(far.port, far.token));
    await until(() => far.server.counters().connectionsMptcp >= 4, 'connections to wait');
    await until(
      () => far.server.counters().connectionsMptcp > 8,
      'those that waited too long to be replaced',
    );
    expect(await echoed(port, await startEcho())).toBe('hello');
  });

  it('nobody stands in for the far end: not without the token, not with a certificate of any authority', async () => {
    const received: string[] = [];
    const pretender: TlsServer = createTlsServer(
      { cert: read('far.pem'), key: read('far.key') },
      (socket) => {
        socket.on('data', (chunk: Buffer) => received.push(chunk.toString()));
        socket.on('error', () => {});
      },
    );
    pretender.listen(0, '127.0.0.1');
    await once(pretender, 'listening');
    onCleanup(() => void pretender.close());
    const { port } = await startProxyThrough(
      farUpstream((pretender.address() as AddressInfo).port, makeToken()),
    );
    expect(await exchange(port, connectRequest(1))).toMatch(/^HTTP\/1\.1 502 /);
    expect(received).toEqual([]);
  });
});

describe('certificates', () => {
  const certificate = () => ({ cert: read('far.pem'), key: read('far.key') });
  const through = (port: number, more: Partial<UpstreamProxy>): UpstreamProxy => ({
    name: 'vps',
    kind: 'weft',
    host: '127.0.0.1',
    port,
    ...more,
  });

  it('of both ends; nobody with a strange one, or none', async () => {
    const echo = await startEcho();
    const far = await startFar({
      access: { tokens: [], certificate: { ...certificate(), clientCa: read('ca.pem') } },
    });
    const ca = read('ca.pem');
    const ann = { ca, cert: read('ann.pem'), key: read('ann.key') };
    const { port } = await startProxyThrough(through(far.port, { certificates: ann }));
    expect(await echoed(port, echo)).toBe('hello');
    for (const certificates of [{ ca, cert: read('eve.pem'), key: read('eve.key') }, { ca }]) {
      const other = await startProxyThrough(through(far.port, { certificates }));
      expect(await exchange(other.port, connectRequest(echo))).toMatch(/^HTTP\/1\.1 502 /);
    }
    expect(far.server.counters()).toMatchObject({ tunnelsOpened: 1 });
  });

  it('of the far end alone, with a token inside: Weft, and any program that knows https:// proxies', async () => {
    const token = makeToken();
    const echo = await startEcho();
    const far = await startFar({ access: { tokens: [{ name: 'ann', token }], certificate: certificate() } });
    const certificates = { ca: read('ca.pem') };
    const { port } = await startProxyThrough(through(far.port, { certificates, token }));
    expect(await echoed(port, echo)).toBe('hello');
    const wrong = await startProxyThrough(through(far.port, { certificates, token: makeToken() }));
    expect(await exchange(wrong.port, connectRequest(echo))).toMatch(
      /does not take our user, password or token/,
    );
    const asAnyProxy = { kind: 'https', user: 'ann', password: token, certificates } as const;
    const other = await startProxyThrough(through(far.port, asAnyProxy));
    expect(await echoed(other.port, echo)).toBe('hello');
    const { stdout } = await curlThrough(`https://ann:${token}@127.0.0.1:${far.port}`);
    expect(stdout).toBe('page');
    expect((await curlThrough(`https://127.0.0.1:${far.port}`)).code).not.toBe(0);
  });

  it('of a far end that no known authority has signed is not taken', async () => {
    const token = makeToken();
    const far = await startFar({ access: { tokens: [{ name: 'ann', token }], certificate: certificate() } });
    const log = new NotedLog();
    const certificates = { ca: read('eve.pem') };
    const { port } = await startProxyThrough(through(far.port, { certificates, token }), log);
    expect(await exchange(port, connectRequest(1))).toMatch(/no TLS connection/);
    expect(log.lines.join()).not.toContain(token);
  });

  async function curlThrough(proxy: string): Promise<{ stdout: string; code: number }> {
    const page = await startTcpServer((socket) => {
      socket.once('data', () =>
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npage'),
      );
    });
    const { spawn } = await import('node:child_process');
    const args = [
      '-sS',
      '--max-time',
      '20',
      '--proxy-cacert',
      join(folder, 'ca.pem'),
      '-x',
      proxy,
      '--proxytunnel',
    ];
    const curl = spawn('curl', [...args, `http://127.0.0.1:${page}/`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let stdout = '';
    curl.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    const [code] = (await once(curl, 'close')) as [number];
    return { stdout, code };
  }
});

describe('limits', () => {
  it('of tunnels, of all and of one client; room again when one has ended', async () => {
    const echo = await startEcho();
    const far = await startFar({ limits: { maxTunnels: 2, maxTunnelsPerClient: 1 } });
    const { port } = await startProxyThrough(farUpstream(far.port, far.token));
    const first = await openTunnel(port, echo);
    const answer = await exchange(port, connectRequest(echo));
    expect(answer).toMatch(/^HTTP\/1\.1 503 .*all tunnels of this client are in use/s);
    first.destroy();
    await until(() => far.server.counters().tunnelsOpen === 0, 'the first to end');
    expect(await echoed(port, echo)).toBe('hello');
  });

  it('nothing is left of hundreds of tunnels, half of them to nowhere', async () => {
    const echo = await startEcho();
    const before = whatIsOpen();
    const far = await startFar();
    const { server, port } = await startProxyThrough(farUpstream(far.port, far.token));
    const one = async (i: number) => {
      if (i % 2 === 0) return await exchange(port, connectRequest(1));
      const socket = await openTunnel(port, echo);
      socket.write('x');
      await readUntil(socket, (text) => text === 'x');
      if (i % 4 === 1) socket.destroy();
      else socket.resetAndDestroy();
      return '';
    };
    for (let i = 0; i < 400; i += 50) await Promise.all(Array.from({ length: 50 }, (_none, j) => one(i + j)));
    await server.stop();
    await far.server.stop();
    expect(far.server.counters()).toMatchObject({ tunnelsOpened: 200, tunnelsOpen: 0 });
    await until(() => whatIsOpen().fds <= before.fds + 4, 'descriptors to be closed');
  });
});

describe('datagrams', () => {
  async function startUdpEcho(): Promise<{ socket: UdpSocket; port: number }> {
    const socket = createSocket('udp4');
    socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    onCleanup(() => void socket.close());
    return { socket, port: socket.address().port };
  }

  it('go out and come back, to several destinations, large and empty ones too', async () => {
    const [one, two] = [await startUdpEcho(), await startUdpEcho()];
    const far = await startFar();
    const { udp, close } = await openUdp(farUpstream(far.port, far.token));
    onCleanup(close);
    const got: string[] = [];
    udp.onMessage = (address, port, bytes) => got.push(`${address} ${port} ${bytes.length}`);
    for (const size of [0, 1, 1400, 9000, 60_000]) {
      udp.send('127.0.0.1', one.port, Buffer.alloc(size));
      udp.send('localhost', two.port, Buffer.alloc(size));
      await until(() => got.length === 2, `two answers of ${size} bytes`);
      expect(got.splice(0).sort()).toEqual(
        [`127.0.0.1 ${one.port} ${size}`, `localhost ${two.port} ${size}`].sort(),
      );
    }
    expect(far.server.counters()).toMatchObject({ udpFlowsOpen: 2, datagramsUp: 10, datagramsDown: 10 });
    expect(udp.dropped).toBe(0);
    close();
    await until(() => far.server.counters().udpFlowsOpen === 0, 'the flows to end');
  });

  it('of SOCKS5 clients take the same way', async () => {
    const echo = await startUdpEcho();
    const far = await startFar();
    const { port } = await startProxyThrough(farUpstream(far.port, far.token));
    const control = await connectTo(port);
    control.write(Buffer.from('050100', 'hex'));
    expect(await readUntil(control, (text) => text.length >= 2)).toBe('\x05\x00');
    control.write(Buffer.from('05030001000000000000', 'hex'));
    const reply = Buffer.from(await readUntil(control, (text) => text.length >= 10), 'latin1');
    expect(reply[1]).toBe(0);
    const relayPort = reply.readUInt16BE(8);
    const client = createSocket('udp4');
    onCleanup(() => void client.close());
    const header = Buffer.from('000000017f0000010000', 'hex');
    header.writeUInt16BE(echo.port, 8);
    const answered = once(client, 'message');
    client.send(Buffer.concat([header, Buffer.from('question')]), relayPort, '127.0.0.1');
    const [answer] = (await answered) as [Buffer];
    expect(answer.subarray(0, 10)).toEqual(header);
    expect(answer.subarray(10).toString()).toBe('question');
    expect(far.server.counters()).toMatchObject({ udpFlowsOpened: 1, datagramsUp: 1, datagramsDown: 1 });
  });

  it('not to where clients may not go; idle flows end', async () => {
    const echo = await startUdpEcho();
    const shut = await startFar({ allow: [] });
    const refused = await openUdp(farUpstream(shut.port, shut.token));
    onCleanup(refused.close);
    refused.udp.send('127.0.0.1', echo.port, Buffer.from('x'));
    await until(() => refused.udp.dropped === 1, 'it to be dropped');
    expect(shut.server.counters()).toMatchObject({
      udpFlowsOpened: 0,
      dialsFailedByReason: { forbidden: 1 },
    });
    const far = await startFar({ allow: LOOPBACK, limits: { udpIdleTimeoutMs: 200 } });
    const idle = await openUdp(farUpstream(far.port, far.token));
    onCleanup(idle.close);
    idle.udp.send('127.0.0.1', echo.port, Buffer.from('x'));
    await until(() => far.server.counters().udpFlowsOpened === 1, 'the flow');
    await until(() => far.server.counters().udpFlowsOpen === 0, 'it to end by itself');
  });
});

/** Datagrams through an upstream proxy, without a proxy around it. */
async function openUdp(upstream: UpstreamProxy) {
  const { Reacher } = await import('../src/proxy/dialer/reacher.ts');
  const { UpstreamSet } = await import('../src/proxy/upstream/upstream-set.ts');
  const reacher = new Reacher({ attemptDelayMs: 250, isOwnPort: () => [] });
  const set = new UpstreamSet({
    reach: ({ host, port }, signal) => reacher.connect(host, port, [host], true, signal),
    logger: new NotedLog().logger,
    timeoutMs: 10_000,
  });
  set.apply([upstream]);
  const udp = set.openUdp(upstream.name);
  return {
    udp,
    close: () => {
      udp.close();
      set.close();
    },
  };
}
