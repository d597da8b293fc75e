/**
 * A far end and clients that mean it no good: strangers before their handshake, and those who know a token and speak
 * nonsense. Whatever they do, it goes on for others, and nothing of them stays.
 */
import type { TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { afterEach, expect, it } from 'vitest';
import { connectFd } from '../src/mptcp/index.ts';
import { connectTls } from '../src/proxy/upstream/tls-connect.ts';
import {
  cleanUp,
  connectTo,
  onCleanup,
  openTunnel,
  readAll,
  readUntil,
  startTcpServer,
  until,
} from './proxy-support.ts';
import { farUpstream, startFar, startProxyThrough, type StartedFar } from './support/far-pair.ts';

afterEach(cleanUp);

/** A connection whose handshake is done. */
async function secure(far: StartedFar): Promise<TLSSocket> {
  const { fd } = await connectFd({ address: '127.0.0.1', port: far.port });
  const stream = await connectTls(fd, farUpstream(far.port, far.token), new AbortController().signal);
  onCleanup(() => void stream.destroy());
  return stream;
}

async function stillServes(far: StartedFar): Promise<void> {
  const echo = await startTcpServer((socket) => void socket.pipe(socket));
  const { port } = await startProxyThrough(farUpstream(far.port, far.token));
  const socket = await openTunnel(port, echo);
  socket.write('hello');
  expect(await readUntil(socket, (text) => text.length >= 5)).toBe('hello');
  socket.destroy();
}

const asked = (bytes: string) => async (far: StartedFar) => {
  const stream = await secure(far);
  const answer = readAll(stream);
  stream.end(bytes, 'latin1');
  return await answer;
};

it.each([
  ['nonsense', 'nonsense\r\n\r\n', /^$/],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', /^$/],
  ['a request for a page', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 501 /],
  ['a request of a forward proxy', 'GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 501 /],
  ['a body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', /^HTTP\/1\.1 501 /],
  ['two lengths', 'POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello', /^$/],
  [
    'an upgrade to something else',
    'GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    /^HTTP\/1\.1 501 /,
  ],
  ['a target that is none', 'CONNECT / HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['a target with a user', 'CONNECT a@b:1 HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['port 0', 'CONNECT 127.0.0.1:0 HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
  [
    'datagrams to nowhere',
    'GET /.well-known/masque/udp/x/ HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n\r\n',
    /^HTTP\/1\.1 400 /,
  ],
  ['a header without end', `CONNECT 127.0.0.1:1 HTTP/1.1\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, /^$/],
  [
    'a second request behind one that was refused',
    'CONNECT / HTTP/1.1\r\n\r\nCONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n',
    /^HTTP\/1\.1 400 (?!.*HTTP)/s,
  ],
])('%s', async (_what, bytes, answer) => {
  const far = await startFar();
  expect(await asked(bytes)(far)).toMatch(answer);
  expect(far.server.counters()).toMatchObject({ tunnelsOpened: 0, dialsFailed: 0 });
  await stillServes(far);
});

it('connections that break at every moment leave nothing', async () => {
  const echo = await startTcpServer((socket) => void socket.pipe(socket));
  const far = await startFar();
  for (const text of [
    '',
    'C',
    `CONNECT 127.0.0.1:${echo} HTTP/1.1\r\n`,
    `CONNECT 127.0.0.1:${echo} HTTP/1.1\r\n\r\n`,
    `CONNECT 127.0.0.1:${echo} HTTP/1.1\r\n\r\nhello`,
  ]) {
    const stream = await secure(far);
    // The reset overtakes nothing: what was written may or may not arrive.
    stream.write(text, () => stream.destroy());
    if (text === '') stream.destroy();
  }
  await until(() => far.server.counters().connectionsOpen === 0, 'all of them to be closed');
  await until(() => far.server.counters().tunnelsOpen === 0, 'all tunnels to be closed');
  await stillServes(far);
});

it('what strangers send before a handshake', async () => {
  const far = await startFar({ limits: { handshakeTimeoutMs: 500 } });
  const hello = Buffer.from('16030100', 'hex');
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, isRecord) => {
      const socket = await connectTo(far.port);
      const answer = readAll(socket);
      socket.end(isRecord ? Buffer.concat([hello, bytes]) : Buffer.from(bytes));
      await answer;
      socket.destroy();
    }),
    { numRuns: 50 },
  );
  expect(far.server.counters()).toMatchObject({ tunnelsOpened: 0 });
  await until(() => far.server.counters().connectionsOpen === 0, 'all of them to be closed');
});

it('more silent strangers than there is room for: closed at once, and in time', async () => {
  const far = await startFar({ limits: { maxHandshakes: 5, handshakeTimeoutMs: 700 } });
  await Promise.all(Array.from({ length: 20 }, async () => await readAll(await connectTo(far.port))));
  expect(far.server.counters().refusedByReason['too-many-connections']).toBeGreaterThan(0);
  await until(() => far.server.counters().connectionsOpen === 0, 'room again');
});
