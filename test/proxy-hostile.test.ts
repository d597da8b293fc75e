/**
 * What origins and clients may do to harm a proxy that forwards for others: heads that cannot be passed on, floods,
 * answers that nobody asked for, clients that take nothing. The proxy goes on serving after each.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import {
  cleanUp,
  connectTo,
  exchange,
  readUntil,
  startProxy,
  startTcpServer,
  until,
} from './proxy-support.ts';

afterEach(cleanUp);

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const get = (port: number, path = '') => `GET http://127.0.0.1:${port}/${path} HTTP/1.1\r\nHost: a\r\n`;

/** An origin that calls `answer` for each request's head. */
function origin(answer: (socket: Socket, head: string) => void): Promise<number> {
  return startTcpServer((socket) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        answer(socket, head);
      }
    });
    socket.on('end', () => socket.end());
  });
}

describe('an answer', () => {
  it.each([
    ['a control character in its reason', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok'],
    ['a DEL in its reason', 'HTTP/1.1 200 O\x7fK\r\nContent-Length: 2\r\n\r\nok'],
    ['a status below 100', 'HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\nok'],
    ['both', 'HTTP/1.1 099 \x01\r\nContent-Length: 2\r\n\r\nok'],
    ['status 101 and no Upgrade', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ])('with %s is replaced by a 502', async (_name, bytes) => {
    const proxy = await startProxy();
    const port = await origin((socket) => socket.write(bytes, 'latin1'));
    const answer = await exchange(proxy.port, `${get(port)}Connection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n[^]*\r\n\r\nweft: 127\.0\.0\.1:\d+ .+\n$/);
  });

  it('that has no body gets no length', async () => {
    const proxy = await startProxy();
    const port = await origin((socket) =>
      socket.write(
        'HTTP/1.1 103 Early\x01\r\nContent-Length: 5\r\nX: y\r\n\r\nHTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n',
      ),
    );
    const answer = await exchange(proxy.port, `${get(port)}Connection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nX: y\r\n\r\nHTTP\/1\.1 204 No\r\n/);
    expect(answer).not.toContain('Content-Length');
  });

  it('that nobody asked for ends a kept connection', async () => {
    const proxy = await startProxy();
    let connections = 0;
    let closed = 0;
    let kept: Socket | undefined;
    const port = await origin((socket) => {
      connections++;
      kept = socket;
      socket.once('close', () => closed++);
      socket.write(OK);
    });
    const client = await connectTo(proxy.port);
    client.write(`${get(port)}\r\n`);
    await readUntil(client, (text) => text.endsWith('ok'));
    kept?.write(OK);
    await until(() => closed === 1, 'the end of the connection that spoke unasked');
    client.write(`${get(port)}\r\n`);
    await readUntil(client, (text) => text.endsWith('ok'));
    expect(connections).toBe(2);
  });
});

it('interim responses do not pile up for a client that does not read', { timeout: 60_000 }, async () => {
  const proxy = await startProxy();
  const COUNT = 4000;
  const interim = `HTTP/1.1 103 Early Hints\r\nLink: ${'x'.repeat(16_000)}\r\n\r\n`;
  const port = await origin((socket) => {
    let left = COUNT;
    const more = () => {
      while (left > 0) {
        left--;
        if (socket.write(interim)) continue;
        socket.once('drain', more);
        return;
      }
      socket.write(OK);
    };
    more();
  });
  const client = await connectTo(proxy.port);
  client.pause();
  client.write(`${get(port)}\r\n`);
  // The response's head is behind all of them, so it tells that they were read.
  await until(() => (proxy.server.connections()[0]?.bytesDown ?? 0) >= COUNT * interim.length, 'all of them');
  const text = await readUntil(client, (all) => all.endsWith('\r\n\r\nok'));
  expect(text.match(/HTTP\/1\.1 103/g)!.length).toBeLessThan(COUNT / 2);
});

describe('pipelined requests', () => {
  it('are done one after another', async () => {
    const proxy = await startProxy();
    const steps: string[] = [];
    const port = await origin((socket, head) => {
      const method = head.split(' ')[0]!;
      steps.push(`${method} begins`);
      setTimeout(
        () => {
          steps.push(`${method} ends`);
          socket.write(OK);
        },
        method === 'POST' ? 50 : 0,
      );
    });
    const client = await connectTo(proxy.port);
    client.write(`${get(port).replace('GET', 'POST')}\r\n${get(port).replace('GET', 'DELETE')}\r\n`);
    await readUntil(client, (text) => /ok[^]*ok$/.test(text));
    expect(steps).toEqual(['POST begins', 'POST ends', 'DELETE begins', 'DELETE ends']);
  });

  it('that wait are forgotten with their client', async () => {
    const proxy = await startProxy();
    let requests = 0;
    const port = await origin(() => requests++);
    const client = await connectTo(proxy.port);
    client.write(`${get(port)}\r\n`.repeat(10));
    await until(() => requests > 0, 'the first one');
    client.destroy();
    await until(() => proxy.server.connections().length === 0, 'the end of its upstream connection');
    expect(requests).toBe(1);
  });
});

/** Connections that this end of a listening port has not closed. */
function established(port: number): number {
  const own = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/self/net/tcp', 'utf8').trim().split('\n').slice(1);
  return lines.map((line) => line.trim().split(/\s+/)).filter((at) => at[1]!.endsWith(own) && at[3] === '01')
    .length;
}

it('a client that takes nothing of its answers is given up', async () => {
  const COUNT = 400;
  const proxy = await startProxy({ connectTimeoutMs: 200, exchangeIdleTimeoutMs: 200, maxPipelined: COUNT });
  // Each is taken whole from the origin, so that no exchange with it waits.
  const port = await origin((socket) =>
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n${'x'.repeat(40_000)}`),
  );
  const client = await connectTo(proxy.port);
  client.pause();
  client.write(`${get(port)}\r\n`.repeat(COUNT));
  await until(() => established(proxy.port) === 1, 'the connection');
  await until(() => established(proxy.port) === 0, 'its end');
  expect(proxy.server.counters().requests).toBeGreaterThan(10);
});
