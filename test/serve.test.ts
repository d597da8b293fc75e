/**
 * A far end and the proxy that leads through it:
 *
 *   client ── proxy ── TLS over MPTCP ── far end ── TCP or UDP ── destination      all on loopback
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { makeToken } from '../src/proxy/index.ts';
import {
  cleanUp,
  connectTo,
  exchange,
  onCleanup,
  openTunnel,
  readAll,
  readUntil,
  startEcho,
  startTcpServer,
  until,
} from './proxy-support.ts';
import { farUpstream, NotedLog, startFar, startProxyThrough } from './support/far-pair.ts';

afterEach(cleanUp);

describe('a tunnel through a far end', () => {
  it('carries bytes both ways, over MPTCP, and tells where it leads', async () => {
    const echo = await startEcho();
    const far = await startFar();
    const { server, port } = await startProxyThrough(farUpstream(far.port, far.token));
    const socket = await openTunnel(port, echo);
    socket.write('hello');
    expect(await readUntil(socket, (text) => text.length >= 5)).toBe('hello');
    expect(server.connections()).toMatchObject([{ protocol: 'mptcp', target: `127.0.0.1:${echo}` }]);
    expect(far.server.counters()).toMatchObject({ tunnelsOpened: 1, tunnelsOpen: 1, handshakesFailed: 0 });
    expect(far.server.counters().connectionsMptcp).toBeGreaterThan(0);
    socket.destroy();
    await until(() => far.server.counters().tunnelsOpen === 0, 'the tunnel to be closed');
  });

  it('every byte of a long transfer, half-closed at its end', async () => {
    const sent = randomBytes(8 * 1024 * 1024);
    const answer = randomBytes(8 * 1024 * 1024);
    const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    let got = Buffer.alloc(0);
    const target = await startTcpServer((socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      // Speaks only when everything has come: the direction back is open after the end of the other.
      socket.on('end', () => {
        got = Buffer.concat(chunks);
        socket.end(answer);
      });
    });
    const far = await startFar();
    const { port } = await startProxyThrough(farUpstream(far.port, far.token));
    const socket = await openTunnel(port, target);
    const back = readAll(socket);
    socket.end(sent);
    expect(digest(Buffer.from(await back, 'latin1'))).toBe(digest(answer));
    expect(digest(got)).toBe(digest(sent));
    await until(() => far.server.counters().tunnelsOpen === 0, 'the tunnel to be closed');
    const { bytesUp, bytesDown } = far.server.counters();
    expect([bytesUp, bytesDown]).toEqual([sent.length, answer.length]);
  });

  it.each(['client', 'destination'] as const)('a reset by the %s arrives as a reset', async (who) => {
    const sockets: Socket[] = [];
    const errors: (string | undefined)[] = [];
    const target = await startTcpServer((socket) => {
      sockets.push(socket);
      socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code));
      socket.on('end', () => errors.push('end'));
      socket.resume();
    });
    const far = await startFar();
    const { port } = await startProxyThrough(farUpstream(far.port, far.token));
    const socket = await openTunnel(port, target);
    socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code));
    socket.on('end', () => errors.push('end'));
    socket.resume();
    socket.write('x');
    await until(() => sockets.length === 1 && sockets[0]!.bytesRead > 0, 'the byte to arrive');
    (who === 'client' ? socket : sockets[0]!).resetAndDestroy();
    await until(() => errors.length > 0, 'the other end to hear of it');
    expect(errors).toEqual(['ECONNRESET']);
  });

  it('says why there is none, in the far end’s words', async () => {
    const far = await startFar();
    const { port } = await startProxyThrough(farUpstream(far.port, far.token));
    const closed = createServer();
    await new Promise<void>((resolve) => {
      closed.listen(0, '127.0.0.1', resolve);
    });
    const closedPort = (closed.address() as { port: number }).port;
    await new Promise((resolve) => {
      closed.close(resolve);
    });
    const answer = await exchange(port, `CONNECT 127.0.0.1:${closedPort} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 502 /);
    expect(answer).toMatch(/upstream proxy "vps".*connection refused/);
  });
});

it('every address, both families, when that is asked for', async () => {
  const echo = await startEcho();
  const far = await startFar({ listen: [{ address: '::', port: 0 }] });
  for (const host of ['127.0.0.1', '::1', 'localhost']) {
    const { port } = await startProxyThrough({ ...farUpstream(far.port, far.token), host });
    const socket = await openTunnel(port, echo);
    socket.write('hello');
    expect(await readUntil(socket, (text) => text.length >= 5)).toBe('hello');
  }
  expect(far.server.counters()).toMatchObject({ tunnelsOpened: 3 });
});

describe('what may be reached', () => {
  it('not the far end itself, unless it was opened', async () => {
    const echo = await startEcho();
    const far = await startFar({ allow: [] });
    const { port } = await startProxyThrough(farUpstream(far.port, far.token));
    for (const host of [
      '127.0.0.1',
      '[::ffff:127.0.0.1]',
      '0.0.0.0',
      'localhost',
      '169.254.1.1',
      '10.0.0.1',
    ]) {
      const answer = await exchange(port, `CONNECT ${host}:${echo} HTTP/1.1\r\nHost: x\r\n\r\n`);
      expect(answer, host).toMatch(/^HTTP\/1\.1 403 /);
    }
    expect(far.server.counters()).toMatchObject({ tunnelsOpened: 0 });
  });
});

describe('who may use it', () => {
  it('nobody with a wrong token; told as such at the proxy, and in no log', async () => {
    const echo = await startEcho();
    const far = await startFar();
    const wrong = makeToken();
    const log = new NotedLog();
    const { port } = await startProxyThrough(farUpstream(far.port, wrong), log);
    const answer = await exchange(port, `CONNECT 127.0.0.1:${echo} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 502 /);
    expect(answer).toMatch(
      /upstream proxy "vps" does not take our token|upstream proxy "vps": does not take our token/,
    );
    expect(far.server.counters().handshakesFailed).toBeGreaterThan(0);
    expect(far.server.counters()).toMatchObject({ tunnelsOpened: 0 });
    for (const text of [...log.lines, ...far.log.lines, answer]) {
      expect(text).not.toContain(wrong);
      expect(text).not.toContain(far.token);
    }
  });

  it('a recorded session that is played again does nothing', async () => {
    let connections = 0;
    const target = await startTcpServer((socket) => {
      connections++;
      socket.pipe(socket);
    });
    const far = await startFar();
    // A wire that remembers what the client's side sent.
    const recorded: Buffer[][] = [];
    const wire = createServer((socket) => {
      const bytes: Buffer[] = [];
      recorded.push(bytes);
      void connectTo(far.port).then((onward) => {
        socket.on('data', (chunk: Buffer) => bytes.push(Buffer.from(chunk)));
        socket.on('error', () => onward.destroy());
        onward.on('error', () => socket.destroy());
        socket.pipe(onward);
        onward.pipe(socket);
      });
    });
    await new Promise<void>((resolve) => {
      wire.listen(0, '127.0.0.1', resolve);
    });
    onCleanup(() => void wire.close());
    const { server, port } = await startProxyThrough(
      farUpstream((wire.address() as { port: number }).port, far.token),
    );
    const socket = await openTunnel(port, target);
    socket.write('buy');
    expect(await readUntil(socket, (text) => text === 'buy')).toBe('buy');
    socket.destroy();
    await server.stop();
    await until(() => far.server.counters().connectionsOpen === 0, 'the session to be over');
    const before = far.server.counters();
    const session = recorded.reduce((a, b) => (Buffer.concat(a).length > Buffer.concat(b).length ? a : b));
    const replay = await connectTo(far.port);
    const answer = readAll(replay);
    for (const chunk of session) replay.write(chunk);
    replay.end();
    await answer;
    await until(() => far.server.counters().handshakesFailed > before.handshakesFailed, 'the replay to fail');
    expect(far.server.counters()).toMatchObject({ tunnelsOpened: before.tunnelsOpened });
    expect(connections).toBe(1);
  });
});
