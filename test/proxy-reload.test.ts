/**
 * New rules while everything goes on: 500 tunnels with every byte checked, kept connections, upstream proxies, and
 * the same by `weft reload` and SIGHUP of the built program.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LabNode } from '../src/lab/index.ts';
import { DEFAULT_POLICY, makeToken, type ProxyPolicy } from '../src/proxy/index.ts';
import {
  cleanUp,
  connectRequest,
  exchange,
  onCleanup,
  openTunnel,
  readAll,
  startMptcpServer,
  startProxy,
  startTcpServer,
  until,
} from './proxy-support.ts';
import { farUpstream, policyThrough, startFar, startProxyThrough } from './support/far-pair.ts';
import { readStatus, runWeft, startWeft } from './support/weft-program.ts';

afterEach(cleanUp);

const REFUSE_ALL: ProxyPolicy = { ...DEFAULT_POLICY, defaultWay: { kind: 'refuse', reason: 'closed now' } };

/** The bytes of one stream at a place: different for each stream, the same at both ends. */
function bytesAt(stream: number, at: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = ((at + i) * 31 + stream * 17 + ((at + i) >> 8)) & 0xff;
  return bytes;
}

/** Sends and checks what comes back, until told to end. */
class CheckedStream {
  readonly #socket: Socket;
  readonly #number: number;
  #sent = 0;
  #received = 0;
  readonly ended: Promise<void>;

  constructor(socket: Socket, number: number) {
    this.#socket = socket;
    this.#number = number;
    this.ended = new Promise((resolve, reject) => {
      socket.on('data', (chunk: Buffer) => {
        if (!chunk.equals(bytesAt(number, this.#received, chunk.length))) {
          reject(new Error(`stream ${number}: wrong bytes after ${this.#received}`));
        }
        this.#received += chunk.length;
      });
      socket.once('end', () => {
        if (this.#received === this.#sent) resolve();
        else reject(new Error(`stream ${number}: ${this.#received} of ${this.#sent} bytes came back`));
      });
      socket.once('close', () => reject(new Error(`stream ${number}: closed`)));
    });
    this.ended.catch(() => {});
  }

  send(length: number): void {
    this.#socket.write(bytesAt(this.#number, this.#sent, length));
    this.#sent += length;
  }

  get isQuiet(): boolean {
    return this.#received === this.#sent;
  }

  end(): Promise<void> {
    this.#socket.end();
    return this.ended;
  }
}

it.each([
  ['TCP', startTcpServer],
  ['MPTCP', startMptcpServer],
] as const)('500 live tunnels go on with every byte right, upstream %s', async (_name, startServer) => {
  const server = await startServer((socket) => void socket.pipe(socket));
  const proxy = await startProxy();
  const streams: CheckedStream[] = [];
  for (let i = 0; i < 500; i++) streams.push(new CheckedStream(await openTunnel(proxy.port, server), i));
  for (let round = 0; round < 6; round++) {
    for (const stream of streams) stream.send(1000 + round * 700);
    proxy.server.setPolicy(round % 2 === 0 ? REFUSE_ALL : DEFAULT_POLICY);
    const answer = await exchange(proxy.port, connectRequest(round % 2 === 0 ? server : 1));
    expect(answer).toMatch(round % 2 === 0 ? /^HTTP\/1\.1 403 [\s\S]*closed now/ : /^HTTP\/1\.1 502 /);
    for (const stream of streams) stream.send(3000);
  }
  await until(() => streams.every((stream) => stream.isQuiet), 'all bytes back');
  expect(proxy.server.counters()).toMatchObject({ tunnelsOpen: 500, tunnelsOpened: 500, tunnelsClosed: 0 });
  await Promise.all(streams.map((stream) => stream.end()));
  await until(() => proxy.server.counters().tunnelsOpen === 0, 'all tunnels closed');
  expect(proxy.server.counters().tunnelsClosedByReason).toEqual({ finished: 500 });
});

it('tunnels through an upstream proxy that is taken out go on; those that waited for it are closed', async () => {
  const server = await startTcpServer((socket) => void socket.pipe(socket));
  const far = await startFar();
  const proxy = await startProxyThrough(farUpstream(far.port, far.token));
  const streams: CheckedStream[] = [];
  for (let i = 0; i < 50; i++) {
    streams.push(new CheckedStream(await openTunnel(proxy.server.addresses[0]!.port, server), i));
  }
  await until(() => (proxy.server.upstreamHealth()[0]?.ready ?? 0) > 0, 'waiting connections');
  for (const policy of [DEFAULT_POLICY, REFUSE_ALL, policyThrough(farUpstream(far.port, makeToken()))]) {
    for (const stream of streams) stream.send(50_000);
    proxy.server.setPolicy(policy);
    for (const stream of streams) stream.send(50_000);
    await until(() => streams.every((stream) => stream.isQuiet), 'all bytes back');
  }
  expect(far.server.counters()).toMatchObject({ tunnelsOpen: 50, tunnelsOpened: 50 });
  await until(() => far.server.counters().connectionsOpen === 50, 'the waiting connections closed');
  // The new token is none of the far end's.
  const answer = await exchange(proxy.port, connectRequest(server));
  expect(answer).toMatch(/^HTTP\/1\.1 502 [\s\S]*"vps"/);
  await Promise.all(streams.map((stream) => stream.end()));
  await until(() => proxy.server.counters().tunnelsOpen === 0, 'all tunnels closed');
  expect(proxy.server.counters().tunnelsClosedByReason).toEqual({ finished: 50 });
});

it('a kept connection of former rules is not used again', async () => {
  const sockets = new Set<Socket>();
  const answers: IncomingMessage[] = [];
  const origin = createHttpServer((request, response) => {
    sockets.add(request.socket);
    answers.push(request);
    response.end('page');
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  onCleanup(() => {
    origin.closeAllConnections();
    origin.close();
  });
  const { port } = origin.address() as AddressInfo;
  const request = `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
  const proxy = await startProxy();
  expect(await exchange(proxy.port, request)).toMatch(/^HTTP\/1\.1 200 /);
  expect(await exchange(proxy.port, request)).toMatch(/^HTTP\/1\.1 200 /);
  expect(sockets.size).toBe(1);
  proxy.server.setPolicy(DEFAULT_POLICY);
  await until(() => proxy.server.connections().length === 0, 'the end of the kept connection');
  expect(await exchange(proxy.port, request)).toMatch(/^HTTP\/1\.1 200 /);
  expect(sockets.size).toBe(2);
  proxy.server.setPolicy(REFUSE_ALL);
  expect(await exchange(proxy.port, request)).toMatch(/^HTTP\/1\.1 403 /);
  expect(answers.length).toBe(3);
});

it('refuses a policy that makes no sense, and keeps the one before', async () => {
  const server = await startTcpServer((socket) => void socket.pipe(socket));
  const proxy = await startProxy();
  const nowhere: ProxyPolicy = { ...DEFAULT_POLICY, defaultWay: { kind: 'upstream', upstream: 'nowhere' } };
  expect(() => proxy.server.setPolicy(nowhere)).toThrow('there is no upstream proxy "nowhere"');
  const socket = await openTunnel(proxy.port, server);
  socket.end('x');
  expect(await readAll(socket)).toBe('x');
});

/** What curl is answered with through the proxy of that host. */
async function statusOf(node: LabNode, url: string): Promise<string> {
  const words = ['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', '-x', 'http://127.0.0.1:13128', url];
  return (await node.run(words)).stdout;
}

describe('the program', () => {
  /** A Weft with a rules file, in a namespace of its own with nothing but loopback. */
  async function setUp(rules: string) {
    const node = new LabNode('host', 'wrel-host');
    onCleanup(() => void node.close());
    const folder = mkdtempSync('/run/weft-rules-');
    onCleanup(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'rules.toml');
    writeFileSync(file, rules, { mode: 0o640 });
    const weft = await startWeft(node, ['--rules', file]);
    onCleanup(() => weft.stop());
    return { node, file, weft };
  }

  it('reads them again by "weft reload" and by SIGHUP, and keeps the old ones when there is a mistake', async () => {
    const { node, file, weft } = await setUp('[[rule]]\nto = "a.test"\nway = "refuse"\n');
    expect(await statusOf(node, 'http://a.test/')).toBe('403');
    expect(await statusOf(node, 'http://127.0.0.1:1/')).toBe('502');
    expect((await readStatus(node)).proxy.policy).toMatchObject({ file, rules: 1, defaultWay: 'multipath' });

    writeFileSync(
      file,
      'default = "direct"\n[[rule]]\nto = "a.test"\nway = "refuse"\n[[rule]]\nway = "refuse"\n',
    );
    const good = await runWeft(node, 'reload');
    expect(good).toMatchObject({
      code: 0,
      stdout: 'In force: 2 rules, 0 upstream proxies, 0 users. What was open goes on.\n',
    });
    expect((await readStatus(node)).proxy.policy).toMatchObject({ rules: 2, defaultWay: 'direct' });
    expect(await statusOf(node, 'http://b.test/')).toBe('403');

    writeFileSync(file, '[[rule]]\nto = "a.test"\nway = "refuze"\n[[rule]]\nport = "x"\nway = "direct"\n');
    const bad = await runWeft(node, 'reload');
    expect(bad.code).toBe(1);
    expect(bad.stderr).toContain(`${file}:3: way: there is no way "refuze" — did you mean "refuse"?`);
    expect(bad.stderr).toContain(`${file}:5: port: "x" is not understood`);
    expect(bad.stderr).toContain('Nothing was changed; in force as before: 2 rules');
    expect(JSON.parse((await runWeft(node, 'reload', '--json')).stdout)).toMatchObject({
      applied: false,
      rules: 2,
    });
    expect((await readStatus(node)).proxy.policy?.lastReloadFailed).toHaveLength(2);

    writeFileSync(file, '[[rule]]\nto = "b.test"\nway = "refuse"\n');
    weft.process.kill('SIGHUP');
    await weft.seen(/rules read again: 1 rule,/);
    const { policy } = (await readStatus(node)).proxy;
    expect(policy).toMatchObject({ rules: 1 });
    expect(policy?.lastReloadFailed).toBeUndefined();
    expect(await statusOf(node, 'http://b.test/')).toBe('403');
    expect(await statusOf(node, 'http://127.0.0.1:1/')).toBe('502');
    expect(await weft.stop()).toBe(0);
  });

  it('does not start with rules that have mistakes, or secrets that everybody may read', async () => {
    const { node, file, weft } = await setUp('');
    expect(await weft.stop()).toBe(0);
    writeFileSync(file, 'defualt = "direct"\n');
    const mistaken = await runWeft(node, 'up', '--rules', file);
    expect(mistaken.code).toBe(1);
    expect(mistaken.stderr).toContain(`${file}:1: unknown key "defualt" — did you mean "default"?`);

    writeFileSync(file, '[upstream.a]\nurl = "http://ann:hunter2@192.0.2.1:3128"\n');
    chmodSync(file, 0o644);
    const open = await runWeft(node, 'up', '--rules', file);
    expect(open.code).toBe(1);
    expect(open.stderr).toContain('holds a secret, and its mode is 0644: everybody may read it');
    expect(open.stderr + open.stdout).not.toContain('hunter2');

    const missing = await runWeft(node, 'up', '--rules', '/nowhere/rules.toml');
    expect(missing.stderr).toContain(
      'read the rules file "/nowhere/rules.toml": there is no such file (ENOENT)',
    );
  });

  it('says what to do when none runs', async () => {
    const node = new LabNode('host', 'wrel-none');
    onCleanup(() => void node.close());
    const result = await runWeft(node, 'reload');
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('Weft is not running here');
  });
});
