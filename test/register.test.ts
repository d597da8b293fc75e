/**
 * `weft/register` in programs that know nothing of it (test/data/register): what the other end, the kernel's counters
 * and its list of connections say they speak; and that errors, reuse, limits and everything but TCP are as in Node.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createNetServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  connect,
  countOf,
  describeSocket,
  differenceOf,
  listConnections,
  listenMultipath,
  readCounters,
  writeSysctl,
} from '../src/mptcp/index.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const programs = join(root, 'test', 'data', 'register');

/** A folder in which `weft/register` is found as in a program that depends on the package. */
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-register-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules', 'weft'), 'dir');
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  const made = spawnSync('openssl', ['req', '-x509', ...curve, ...files, ...subject], { encoding: 'utf8' });
  expect(made.status, made.stderr).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true }));

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  writeSysctl('enabled', true);
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const REGISTERED = ['--import', 'weft/register'];

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem'), ...env },
  });
}

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const child = start(args, env);
  const ran = { out: '', err: '' };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (ran.out += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (ran.err += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...ran };
}

const client = (kind: string, port: number) => [join(programs, 'clients.mjs'), kind, String(port)];

/** Kinds of clients, and what they speak above TCP. */
const CLIENTS = {
  'net.connect': 'plain',
  'net.connect over IPv6': 'plain',
  'net.connect by name': 'plain',
  'a local address and port': 'plain',
  'no Nagle, keep-alive': 'plain',
  'one socket used twice': 'plain',
  'a race of addresses': 'plain4',
  'a worker thread': 'plain',
  'http.get': 'http',
  'an http agent that keeps alive': 'http',
  fetch: 'http',
  'tls.connect': 'tls',
  'https.get': 'http2',
  'fetch of https': 'http2',
  http2: 'http2',
} as const;
type Speech = (typeof CLIENTS)[keyof typeof CLIENTS];

const answer = (_request: unknown, response: { end(text: string): unknown }) => void response.end('hello');

function makeServer(speech: Speech): Server {
  const pair = () => ({
    key: readFileSync(join(folder, 'key.pem')),
    cert: readFileSync(join(folder, 'cert.pem')),
  });
  if (speech === 'http') return createHttpServer(answer as (a: IncomingMessage, b: ServerResponse) => void);
  if (speech === 'tls') return createTlsServer(pair(), (socket) => socket.end('hello'));
  if (speech === 'http2') return createSecureServer({ ...pair(), allowHTTP1: true }, answer);
  return createNetServer((socket) => socket.end('hello'));
}

/** A server of this process, and what it saw its clients speak. */
async function serve(speech: Speech) {
  const server = makeServer(speech);
  const seen: string[] = [];
  const listed: boolean[] = [];
  server.on('connection', (socket: Socket) => {
    seen.push(describeSocket(socket).protocol);
    const { localPort, remotePort } = socket;
    // The client's end of it, as the kernel lists it.
    listed.push(
      listConnections().some((one) => one.localPort === remotePort && one.remotePort === localPort),
    );
    socket.on('error', () => {});
  });
  await listenMultipath(server, { host: speech === 'plain4' ? '127.0.0.1' : '::' });
  cleanups.push(() => new Promise((resolve) => server.close(resolve)));
  return { port: (server.address() as AddressInfo).port, seen, listed };
}

describe('clients', () => {
  const connectionsOf = (kind: string) => (kind === 'one socket used twice' ? 2 : 1);

  it.each(Object.entries(CLIENTS))('%s', async (kind, speech) => {
    const { port, seen, listed } = await serve(speech);
    const before = readCounters();
    const ran = await run([...REGISTERED, ...client(kind, port)]);
    const times = kind === 'an http agent that keeps alive' ? 3 : connectionsOf(kind);
    expect(ran).toEqual({ code: 0, out: `${Array(times).fill('hello').join('+')}\n`, err: '' });
    expect(seen).toEqual(Array(connectionsOf(kind)).fill('mptcp'));
    expect(listed).toEqual(Array(connectionsOf(kind)).fill(true));
    const counted = differenceOf(before, readCounters());
    expect(countOf(counted, 'MPCapableSYNRX')).toBe(connectionsOf(kind));
    expect(countOf(counted, 'MPCapableFallbackACK')).toBe(0);
  });

  it('without it they are TCP, so it is what makes the difference', async () => {
    const { port, seen, listed } = await serve('plain');
    await run(client('net.connect', port));
    expect([seen, listed]).toEqual([['tcp'], [false]]);
  });

  it.each([
    ['--import', `--import=file://${join(root, 'dist/register/register.cjs')}`],
    ['--require', `--require=${join(root, 'dist/register/register.cjs')}`],
  ])('through NODE_OPTIONS, as %s, worker threads too', async (_name, option) => {
    const { port, seen } = await serve('plain');
    for (const kind of ['net.connect', 'a worker thread']) {
      const ran = await run(client(kind, port), { NODE_OPTIONS: option });
      expect(ran).toEqual({ code: 0, out: 'hello\n', err: '' });
    }
    expect(seen).toEqual(['mptcp', 'mptcp']);
  });

  it('fall back to TCP where MPTCP is off, and say so once', async () => {
    const { port, seen } = await serve('plain');
    writeSysctl('enabled', false);
    const ran = await run([...REGISTERED, ...client('one socket used twice', port)]);
    expect(ran).toMatchObject({ code: 0, out: 'hello+hello\n' });
    expect(ran.err).toMatch(/plain TCP: MPTCP is switched off \(sysctl net\.mptcp\.enabled=1/);
    expect(ran.err.match(/plain TCP/g)).toHaveLength(1);
    expect(seen).toEqual(['tcp', 'tcp']);
  });

  it('fall back to TCP with a server that has no MPTCP', async () => {
    const server = createNetServer((socket) => socket.end('plain')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as AddressInfo;
    const ran = await run([...REGISTERED, ...client('net.connect', port)]);
    expect(ran).toEqual({ code: 0, out: 'plain\n', err: '' });
  });

  it('goes on with TCP where native code may not be loaded, and says so', async () => {
    const { port, seen } = await serve('plain');
    // Node 20 has it under its earlier name.
    const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '' : 'experimental-';
    const permission = [
      `--${flag}permission`,
      '--allow-fs-read=*',
      '--disable-warning=ExperimentalWarning',
      '--disable-warning=SecurityWarning',
    ];
    const ran = await run([...permission, ...REGISTERED, ...client('net.connect', port)]);
    expect(ran).toMatchObject({ code: 0, out: 'hello\n' });
    expect(ran.err).toMatch(/plain TCP: koffi, .* could not be loaded/);
    expect(seen).toEqual(['tcp']);
  });

  it('tells each socket when asked to', async () => {
    const { port } = await serve('plain');
    const ran = await run([...REGISTERED, ...client('net.connect', port)], { MPTCPWRAP_DEBUG: '1' });
    expect(ran.err).toMatch(/^weft\/register: socket \d+ \(IPv4\) is MPTCP\n$/);
  });
});

describe('servers', () => {
  /** Starts one and resolves with its port. */
  async function startServer(kind: string): Promise<number> {
    const child = start([...REGISTERED, join(programs, 'servers.mjs'), kind, folder]);
    let err = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (err += text));
    const ended = once(child, 'close');
    cleanups.push(async () => {
      child.stdin!.end();
      await ended;
      expect(err).toBe('');
    });
    const said = await Promise.race([
      once(child.stdout!.setEncoding('utf8'), 'data'),
      ended.then(() => [err]),
    ]);
    return Number(said[0]);
  }

  async function ask(host: string, port: number, multipath: boolean, text = ''): Promise<string> {
    const socket = await connect({ host, port, multipath });
    const { protocol } = describeSocket(socket);
    let answered = '';
    socket.write(text);
    for await (const piece of socket.setEncoding('utf8')) answered += piece as string;
    return `${protocol} ${/served/.exec(answered)?.[0] ?? answered}`;
  }

  it.each([
    ['a port', '127.0.0.1'],
    ['a port', '::1'],
    ['a host', '127.0.0.1'],
    ['a host name and a backlog', 'localhost'],
    ['only IPv6', '::1'],
    ['every IPv6 address', '127.0.0.1'],
    ['exclusive', '127.0.0.1'],
    ['cluster round robin', '127.0.0.1'],
    ['cluster none', '127.0.0.1'],
  ])('%s, asked at %s: MPTCP clients and TCP clients', async (kind, host) => {
    const port = await startServer(kind);
    for (let i = 0; i < (kind.startsWith('cluster') ? 4 : 1); i++) {
      expect(await ask(host, port, true)).toBe('mptcp served');
      expect(await ask(host, port, false)).toBe('tcp served');
    }
  });

  it('http', async () => {
    const port = await startServer('http');
    const request = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
    expect(await ask('127.0.0.1', port, true, request)).toBe('mptcp served');
    expect(await ask('127.0.0.1', port, false, request)).toBe('tcp served');
  });

  it.each(['tls', 'https'])('%s, asked by a registered client', async (kind) => {
    const port = await startServer(kind);
    const before = readCounters();
    const ran = await run([
      ...REGISTERED,
      ...client(kind === 'tls' ? 'tls.connect' : 'fetch of https', port),
    ]);
    expect(ran).toEqual({ code: 0, out: 'served\n', err: '' });
    const counted = differenceOf(before, readCounters());
    expect([countOf(counted, 'MPCapableSYNACKRX'), countOf(counted, 'MPCapableACKRX')]).toEqual([1, 1]);
  });

  it('only IPv6 takes no IPv4', async () => {
    const port = await startServer('only IPv6');
    await expect(ask('127.0.0.1', port, true)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('falls back where MPTCP is off', async () => {
    writeSysctl('enabled', false);
    const child = start([...REGISTERED, join(programs, 'servers.mjs'), 'a port', folder]);
    const [[said], [warned]] = await Promise.all([
      once(child.stdout!.setEncoding('utf8'), 'data'),
      once(child.stderr!.setEncoding('utf8'), 'data'),
    ]);
    expect(await ask('127.0.0.1', Number(said), true)).toBe('tcp served');
    expect(warned).toMatch(/WEFT_PLAIN_TCP.*plain TCP: MPTCP is switched off/);
    child.stdin!.end();
    await once(child, 'close');
  });
});

it("errors are Node's own, word for word", async () => {
  const taken = createNetServer().listen(0, '127.0.0.1');
  const unused = createNetServer().listen(0, '127.0.0.1');
  await Promise.all([once(taken, 'listening'), once(unused, 'listening')]);
  cleanups.push(() => new Promise((resolve) => taken.close(resolve)));
  const ports = [taken, unused].map((server) => String((server.address() as AddressInfo).port));
  await new Promise((resolve) => unused.close(resolve));
  const limited = async (...options: string[]) => {
    const words = ['--nofile=60:60', process.execPath, ...options, join(programs, 'errors.mjs'), ...ports];
    const { status, stdout, stderr } = spawnSync('prlimit', words, {
      cwd: folder,
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect([status, stderr]).toEqual([0, '']);
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  const own = await limited();
  expect(await limited(...REGISTERED)).toEqual(own);
  expect(Object.keys(own).length).toBe(21);
  const codes = new Set(Object.values(own).map((value) => (value as { code?: string }).code));
  for (const code of ['ECONNREFUSED', 'EADDRINUSE', 'EADDRNOTAVAIL', 'ENETUNREACH', 'ECONNRESET', 'EMFILE'])
    expect(codes).toContain(code);
});

describe('threads that end while they begin to use the network', () => {
  const TIMES = 60;
  const EVERY = 3;
  // `--import` does not reach threads that are made of a text on Node 20; see docs/run.md.
  const threads = (...words: string[]) =>
    run(['--require', 'weft/register', join(programs, 'threads.mjs'), ...words, String(TIMES)]);

  it('by terminate', async () => {
    expect(await threads('terminate')).toEqual({ code: 0, out: 'done\n', err: '' });
  });

  it('with the process', async () => {
    for (let i = 0; i < TIMES; i += EVERY)
      expect(await threads(String(i))).toEqual({ code: 5, out: '', err: '' });
  });
});

it('what is not TCP is not touched', async () => {
  const ran = await run([...REGISTERED, join(programs, 'untouched.mjs'), join(folder, 'socket')], {
    MPTCPWRAP_DEBUG: '1',
  });
  expect(ran).toEqual({ code: 0, out: 'unix udp ipc pipe\n', err: '' });
});
