/**
 * Plain HTTP/1.1 through the proxy: what the origin gets and what the client gets, byte for byte where it matters,
 * and real curl where that says more.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  cleanUp,
  connectTo,
  exchange,
  onCleanup,
  readAll,
  readUntil,
  startHttpServer,
  startProxy,
  startTcpServer,
  until,
  whatIsOpen,
  type StartedProxy,
} from './proxy-support.ts';

let proxy: StartedProxy;

beforeEach(async () => {
  proxy = await startProxy({ exchangeIdleTimeoutMs: 2000 });
});
afterEach(cleanUp);

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function curl(args: readonly string[], input?: Uint8Array): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn('curl', ['-sS', '-x', `http://127.0.0.1:${proxy.port}`, ...args], { shell: false });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString('latin1')));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString('latin1')));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

interface Origin {
  readonly port: number;
  /** What came on all connections, one after another. */
  readonly got: () => string;
  readonly connections: () => number;
  /** Connections that are not closed. */
  readonly open: () => number;
}

/** An origin that answers with fixed bytes as soon as a request's end has come. */
async function scripted(
  answers: readonly string[],
  isWhole: (text: string) => boolean = (text) => text.endsWith('\r\n\r\n'),
  after: (socket: Socket) => void = () => {},
): Promise<Origin> {
  let got = '';
  let connections = 0;
  let open = 0;
  let next = 0;
  const port = await startTcpServer((socket) => {
    connections++;
    open++;
    socket.once('close', () => open--);
    let request = '';
    socket.on('data', (chunk: Buffer) => {
      request += chunk.toString('latin1');
      got += chunk.toString('latin1');
      if (!isWhole(request)) return;
      request = '';
      socket.write(answers[Math.min(next++, answers.length - 1)]!, 'latin1');
      after(socket);
    });
    socket.on('end', () => socket.end());
  });
  return { port, got: () => got, connections: () => connections, open: () => open };
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const closing = (fields = '') => `Host: a\r\nConnection: close\r\n${fields}\r\n`;
/** An answer's head without what Node adds of its own. */
const withoutDate = (text: string) => text.replace(/Date: [^\r]*\r\n/, '');

describe('requests', () => {
  it('go on with their own fields, a new Host, and Via', async () => {
    const origin = await scripted([OK]);
    const answer = await exchange(
      proxy.port,
      `GET http://127.0.0.1:${origin.port}/a/../b?c=%20 HTTP/1.1\r\nHost: elsewhere\r\nX-Mixed-Case: 1\r\nx-mixed-case: 2\r\n` +
        'Proxy-Connection: keep-alive\r\nConnection: close, X-Hop\r\nX-Hop: secret\r\nKeep-Alive: 5\r\n' +
        'Proxy-Authorization: Basic x\r\nUpgrade: h2c\r\nVia: 1.0 other\r\n\r\n',
    );
    expect(origin.got()).toBe(
      `GET /a/../b?c=%20 HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\nX-Mixed-Case: 1\r\nx-mixed-case: 2\r\n` +
        'Via: 1.0 other\r\nVia: 1.1 weft\r\nConnection: keep-alive\r\n\r\n',
    );
    expect(withoutDate(answer)).toBe(
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 weft\r\nConnection: close\r\n\r\nok',
    );
  });

  it.each([
    ['GET', '', ''],
    ['DELETE', '', ''],
    ['POST', '', 'Content-Length: 0\r\n'],
    ['POST', 'Content-Length: 0\r\n', 'Content-Length: 0\r\n'],
  ])('%s with %j has the framing it came with', async (method, fields, framing) => {
    const origin = await scripted([OK]);
    await exchange(proxy.port, `${method} http://127.0.0.1:${origin.port}/ HTTP/1.1\r\n${closing(fields)}`);
    expect(origin.got()).toBe(
      `${method} / HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n${framing}Via: 1.1 weft\r\nConnection: keep-alive\r\n\r\n`,
    );
  });

  it('carry chunks and trailers', async () => {
    const origin = await scripted([OK], (text) => /\r\n0\r\n[^]*\r\n\r\n$/.test(text));
    const answer = await exchange(
      proxy.port,
      `POST http://127.0.0.1:${origin.port}/ HTTP/1.1\r\n${closing('Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\nTE: trailers\r\n')}` +
        '5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n',
    );
    expect(answer).toMatch(/ok$/);
    const [head = '', ...body] = origin.got().split('\r\n\r\n');
    expect(head).toMatch(/\r\nTrailer: X-Sum\r\n/);
    expect(head).toMatch(/\r\nTransfer-Encoding: chunked\r\n/);
    expect(head).toMatch(/\r\nTE: trailers\r\nConnection: keep-alive, TE\r\n/);
    expect(body.join('\r\n\r\n')).toMatch(/hello[^]* world\r\n0\r\nX-Sum: 42\r\n\r\n$/);
  });

  it('TRACE and OPTIONS count Max-Forwards down, and end here at 0', async () => {
    const origin = await scripted([OK]);
    const url = `http://127.0.0.1:${origin.port}`;
    await exchange(proxy.port, `OPTIONS ${url} HTTP/1.1\r\n${closing('Max-Forwards: 3\r\n')}`);
    expect(origin.got()).toMatch(/^OPTIONS \* HTTP\/1\.1\r\n[^]*\r\nMax-Forwards: 2\r\n/);
    const options = await exchange(
      proxy.port,
      `OPTIONS ${url} HTTP/1.1\r\n${closing('Max-Forwards: 0\r\n')}`,
    );
    expect(options).toMatch(/^HTTP\/1\.1 200 OK\r\nAllow: GET, /);
    const trace = await exchange(
      proxy.port,
      `TRACE ${url}/ HTTP/1.1\r\n${closing('Max-Forwards: 0\r\nCookie: secret\r\nX: y\r\n')}`,
    );
    expect(trace).toMatch(/\r\n\r\nTRACE http:\/\/127\.0\.0\.1:\d+\/ HTTP\/1\.1\r\nHost: a\r\n[^]*X: y\r\n/);
    expect(trace).not.toMatch(/secret/);
    expect(origin.connections()).toBe(1);
  });

  it('of HTTP/1.0 are answered so that an HTTP/1.0 client understands', async () => {
    const origin = await scripted([
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ]);
    const answer = await exchange(proxy.port, `GET http://127.0.0.1:${origin.port}/ HTTP/1.0\r\n\r\n`);
    expect(withoutDate(answer)).toBe('HTTP/1.1 200 OK\r\nVia: 1.1 weft\r\nConnection: close\r\n\r\nok');
  });
});

describe('responses', () => {
  const ask = (port: number, method = 'GET') =>
    exchange(proxy.port, `${method} http://127.0.0.1:${port}/ HTTP/1.1\r\n${closing()}`).then(withoutDate);

  it('keep repeated fields, lose those of the hop', async () => {
    const origin = await scripted([
      'HTTP/1.1 299 Fine Indeed\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: X-Hop\r\nX-Hop: 1\r\n' +
        'Proxy-Authenticate: Basic\r\nKeep-Alive: timeout=9\r\nContent-Length: 0\r\n\r\n',
    ]);
    expect(await ask(origin.port)).toBe(
      'HTTP/1.1 299 Fine Indeed\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\nVia: 1.1 weft\r\nConnection: close\r\n\r\n',
    );
  });

  it('carry chunks and trailers', async () => {
    const origin = await scripted([
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n',
    ]);
    expect(await ask(origin.port)).toBe(
      'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nVia: 1.1 weft\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n' +
        '2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n',
    );
  });

  it.each([
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n'],
    ['HEAD', 'HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.1 200 OK\r\n'],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 204 No Content\r\n'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\nETag: x\r\n'],
  ])('to %s without a body: %j', async (method, given, head) => {
    const origin = await scripted([given]);
    expect(await ask(origin.port, method)).toBe(`${head}Via: 1.1 weft\r\nConnection: close\r\n\r\n`);
  });

  it('that end with their connection become chunks', async () => {
    const origin = await scripted(['HTTP/1.0 200 OK\r\n\r\nall of it'], undefined, (socket) => socket.end());
    expect(await ask(origin.port)).toMatch(
      /\r\nVia: 1\.0 weft\r\n[^]*Transfer-Encoding: chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n$/,
    );
  });

  it.each([
    ['Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('cut short with %s do not look whole', async (_name, half) => {
    const origin = await scripted([half], undefined, (socket) => socket.end());
    const socket = await connectTo(proxy.port);
    const failed = new Promise((resolve) => socket.once('error', resolve));
    socket.resume();
    socket.write(`GET http://127.0.0.1:${origin.port}/ HTTP/1.0\r\n\r\n`);
    expect(await failed).toMatchObject({ code: 'ECONNRESET' });
  });

  it.each([
    ['that is not HTTP', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
    ['with two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk'],
    [
      'with length and chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['with an unknown coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['with a bare CR', 'HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok'],
    ['that is giant', `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(200_000)}\r\n\r\n`],
    [
      'that switches protocols',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
    ],
  ])('%s are answered with 502', async (_name, bytes) => {
    const origin = await scripted([bytes]);
    expect(await ask(origin.port)).toMatch(/^HTTP\/1\.1 502 [^]*\r\n\r\nweft: 127\.0\.0\.1:\d+ .+\n$/);
  });

  it('that never come are answered with 504', async () => {
    const origin = await startTcpServer((socket) => void socket.resume());
    expect(await ask(origin)).toMatch(
      /^HTTP\/1\.1 504 [^]*weft: 127\.0\.0\.1:\d+ did not answer within 2 s\n$/,
    );
  });
});

describe('interim responses', () => {
  it('100 comes from the origin, and only then the body goes', async () => {
    const origin = await scripted(
      ['HTTP/1.1 100 Continue\r\n\r\n', OK],
      (text) => text.endsWith('\r\n\r\n') || text.endsWith('hello'),
    );
    const socket = await connectTo(proxy.port);
    const head = `POST http://127.0.0.1:${origin.port}/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
    socket.write(head);
    expect(await readUntil(socket, (text) => text.endsWith('\r\n\r\n'))).toBe(
      'HTTP/1.1 100 Continue\r\n\r\n',
    );
    expect(origin.got()).toMatch(/\r\nExpect: 100-continue\r\n[^]*\r\n\r\n$/);
    socket.write('hello');
    expect(await readUntil(socket, (text) => text.endsWith('ok'))).toMatch(
      /^HTTP\/1\.1 200 [^]*Connection: keep-alive/,
    );
  });

  it('a refusal instead of 100 ends the connection, since the body may or may not come', async () => {
    const origin = await scripted(['HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n']);
    const answer = await exchange(
      proxy.port,
      `POST http://127.0.0.1:${origin.port}/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413 Too Large\r\n[^]*\r\nConnection: close\r\n/);
  });

  it('103 is passed on, but not to HTTP/1.0', async () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n';
    const origin = await scripted([`${hints}${OK}`]);
    const url = `http://127.0.0.1:${origin.port}/`;
    expect(await exchange(proxy.port, `GET ${url} HTTP/1.1\r\n${closing()}`)).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
    );
    expect(await exchange(proxy.port, `GET ${url} HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });
});

describe('kept connections', () => {
  const get = (port: number, path: string) =>
    `GET http://127.0.0.1:${port}/${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

  it('serve many requests on both sides', async () => {
    const origin = await scripted([OK]);
    const socket = await connectTo(proxy.port);
    for (let i = 0; i < 20; i++) {
      socket.write(get(origin.port, String(i)));
      await readUntil(socket, (text) => text.endsWith('ok'));
    }
    expect(origin.connections()).toBe(1);
    expect(proxy.server.counters()).toMatchObject({ clientConnections: 1, requests: 20, upstreamsTcp: 1 });
    expect(proxy.server.connections()).toMatchObject([
      { kind: 'http', target: `127.0.0.1:${origin.port}`, protocol: 'tcp' },
    ]);
  });

  it('answer pipelined requests in order', async () => {
    const origin = await startHttpServer((request, response) => {
      // The first takes longest.
      setTimeout(() => response.end(request.url), request.url === '/0' ? 50 : 0);
    });
    const socket = await connectTo(proxy.port);
    socket.write([0, 1, 2].map((i) => get(origin, String(i))).join(''));
    const text = await readUntil(socket, (all) => /\/0[^]*\/1[^]*\/2$/.test(all));
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(3);
  });

  it('answer too many pipelined requests with 503, and end', async () => {
    let requests = 0;
    const origin = await startHttpServer((_request, response) => {
      requests++;
      setTimeout(() => response.end('ok'), 20);
    });
    const own = await startProxy({ maxPipelined: 3 });
    const answer = await exchange(
      own.port,
      Array.from({ length: 6 }, (_, i) => get(origin, String(i))).join(''),
    );
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual([
      'HTTP/1.1 200',
      'HTTP/1.1 200',
      'HTTP/1.1 200',
      'HTTP/1.1 503',
    ]);
    expect(requests).toBe(3);
    // One after another there may be any number.
    const socket = await connectTo(own.port);
    for (let i = 0; i < 10; i++) {
      socket.write(get(origin, String(i)));
      await readUntil(socket, (text) => text.endsWith('ok'));
    }
  });

  it('are closed at once beyond the limit of connections', async () => {
    const origin = await scripted([OK]);
    const own = await startProxy({ maxClientConnections: 2 });
    const first = await connectTo(own.port);
    const second = await connectTo(own.port);
    for (const socket of [first, second]) {
      socket.write(get(origin.port, ''));
      await readUntil(socket, (text) => text.endsWith('ok'));
    }
    expect(await readAll(await connectTo(own.port))).toBe('');
    expect(own.server.counters().refusedByReason).toEqual({ 'too-many-connections': 1 });
    first.destroy();
    await until(() => own.server.connections().length > 0, 'a turn');
    second.write(get(origin.port, ''));
    await readUntil(second, (text) => text.endsWith('ok'));
  });

  it('that turn out dead are replaced, for a request that may be sent twice', async () => {
    // Answers once, then reads the second request and resets: the client side cannot know in time.
    let connections = 0;
    const origin = await startTcpServer((socket) => {
      const nth = ++connections;
      let requests = 0;
      socket.on('data', () => {
        if (nth === 1 && ++requests === 2) socket.resetAndDestroy();
        else socket.write(OK);
      });
    });
    const socket = await connectTo(proxy.port);
    for (const path of ['first', 'second']) {
      socket.write(get(origin, path));
      expect(await readUntil(socket, (text) => text.endsWith('\r\nok') || text.endsWith(')\n'))).toMatch(
        /^HTTP\/1\.1 200 /,
      );
    }
    expect(connections).toBe(2);
    expect(proxy.server.counters().requestsRetried).toBe(1);
  });

  it.each([
    ['with a body', 'Content-Length: 2\r\n\r\nhi'],
    ['without', '\r\n'],
  ])('that turn out dead fail a POST %s, which may have been done', async (_name, rest) => {
    let requests = 0;
    const origin = await startTcpServer((socket) => {
      socket.on('data', () => {
        if (++requests === 2) socket.resetAndDestroy();
        else socket.write(OK);
      });
    });
    const socket = await connectTo(proxy.port);
    socket.write(get(origin, 'first'));
    await readUntil(socket, (text) => text.endsWith('ok'));
    socket.write(`POST http://127.0.0.1:${origin}/ HTTP/1.1\r\nHost: a\r\n${rest}`);
    expect(await readUntil(socket, (text) => text.endsWith(')\n'))).toMatch(
      /^HTTP\/1\.1 502 [^]*broke the connection/,
    );
    expect(requests).toBe(2);
  });

  it('are tried only once when they are new', async () => {
    let connections = 0;
    const origin = await startTcpServer((socket) => {
      connections++;
      socket.once('data', () => socket.resetAndDestroy());
    });
    const answer = await exchange(proxy.port, `GET http://127.0.0.1:${origin}/ HTTP/1.1\r\n${closing()}`);
    expect(answer).toMatch(/^HTTP\/1\.1 502 [^]*broke the connection/);
    expect(connections).toBe(1);
    expect(proxy.server.counters()).toMatchObject({ requestsRetried: 0, exchangesFailed: 1 });
  });
});

describe('when one side goes away', () => {
  it('the origin learns that the client has', async () => {
    let closed = false;
    const origin = await startTcpServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin');
      socket.resume();
      socket.once('close', () => {
        closed = true;
      });
      socket.once('end', () => socket.end());
    });
    const socket = await connectTo(proxy.port);
    socket.write(`GET http://127.0.0.1:${origin}/ HTTP/1.1\r\nHost: a\r\n\r\n`);
    await readUntil(socket, (text) => text.endsWith('begin'));
    socket.destroy();
    await until(() => closed, 'the origin to see the end');
    await until(() => proxy.server.connections().length === 0, 'no upstream connection to be left');
  });
});

describe('curl', () => {
  const body = randomBytes(3_000_000);
  const sum = createHash('sha256').update(body).digest('hex');
  let origin = 0;

  beforeEach(async () => {
    origin = await startHttpServer((request, response) => {
      const hash = createHash('sha256');
      request.on('data', (chunk: Buffer) => hash.update(chunk));
      request.on('end', () => {
        if (request.url === '/download') response.end(body);
        else response.end(`${request.method} ${hash.digest('hex')}`);
      });
    });
  });

  it.each([
    ['with a length', ['--data-binary', '@-']],
    ['in chunks', ['--data-binary', '@-', '-H', 'Transfer-Encoding: chunked']],
    ['after 100-continue', ['--data-binary', '@-', '-H', 'Expect: 100-continue']],
  ])('uploads %s', async (_name, args) => {
    const ran = await curl([...args, `http://127.0.0.1:${origin}/upload`], body);
    expect(ran).toEqual({ code: 0, out: `POST ${sum}`, err: '' });
  });

  it.each(['--http1.1', '--http2'])('fetches https through a tunnel, %s', async (version) => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-tls-'));
    onCleanup(() => rmSync(folder, { recursive: true }));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const made = spawnSync('openssl', [
      'req',
      '-x509',
      ...curve,
      '-keyout',
      key,
      '-out',
      cert,
      '-days',
      '2',
      ...subject,
    ]);
    expect(made.status).toBe(0);
    const server = createSecureServer(
      { key: readFileSync(key), cert: readFileSync(cert), allowHTTP1: true },
      (request, response) => void response.end(`${request.httpVersion} ${request.url}`),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onCleanup(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const { port } = server.address() as AddressInfo;
    const ran = await curl([version, '--cacert', cert, `https://localhost:${port}/path`]);
    expect(ran).toEqual({ code: 0, out: `${version === '--http2' ? '2.0' : '1.1'} /path`, err: '' });
    expect(proxy.server.counters()).toMatchObject({ tunnelsOpened: 1, requests: 0 });
  });

  it('downloads, also a part and only the head', async () => {
    const whole = await curl([`http://127.0.0.1:${origin}/download`]);
    expect(createHash('sha256').update(Buffer.from(whole.out, 'latin1')).digest('hex')).toBe(sum);
    const head = await curl(['-I', `http://127.0.0.1:${origin}/download`]);
    expect(head.out).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it('is told why', async () => {
    expect((await curl(['http://127.0.0.1:1/'])).out).toBe(
      'weft: could not reach 127.0.0.1 port 1: connection refused (ECONNREFUSED)\n',
    );
    const port = proxy.port;
    expect((await curl([`http://127.0.0.1:${port}/`])).out).toBe(
      `weft: could not reach 127.0.0.1 port ${port}: that is this proxy itself\n`,
    );
    expect((await curl(['-p', `http://localhost:${port}/`])).err).toMatch(/508/);
  });
});

it('leaves nothing open', async () => {
  const origin = await scripted([OK]);
  const round = async () => {
    const own = await startProxy();
    for (let i = 0; i < 50; i++) {
      await exchange(own.port, `GET http://127.0.0.1:${origin.port}/ HTTP/1.1\r\n${closing()}`);
      await exchange(own.port, `GET http://127.0.0.1:${origin.port}/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`);
    }
    await own.server.stop();
  };
  // The first one opens what the process keeps (the reactor).
  await round();
  await until(() => origin.open() === 0, 'the origin to see the end');
  const before = whatIsOpen();
  await round();
  await until(() => origin.open() === 0, 'the origin to see the end');
  expect(whatIsOpen()).toEqual(before);
});
