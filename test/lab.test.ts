/**
 * The lab itself: rates, delays, faults, intact bytes, and that nothing stays.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get, request, type IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contentSha256, diffSnapshots, Lab, takeSnapshot, type Snapshot } from '../src/lab/index.ts';
import { connectFd } from '../src/mptcp/index.ts';
import { listNamespaces } from '../src/native/index.ts';
import { watchRoutes, type RouteEvent } from '../src/netlink/index.ts';

let before: Snapshot;
let lab: Lab | undefined;

beforeEach(() => {
  before = takeSnapshot();
});
afterEach(async () => {
  await lab?.close();
  lab = undefined;
  expect(diffSnapshots(before, takeSnapshot())).toEqual([]);
});

async function build(options?: Parameters<typeof Lab.twoUplinks>[0]): Promise<Lab> {
  lab = await Lab.twoUplinks(options);
  return lab;
}

/** A plain TCP connection from one of the client's addresses to the web server. */
async function connectFrom(inLab: Lab, localAddress: string, address = inLab.serverAddress): Promise<Socket> {
  // The socket is opened within the call, before anything is awaited.
  const connecting = inLab
    .node('client')
    .inside(() => connectFd({ address, port: 80, localAddress, multipath: false, timeoutMs: 10_000 }));
  return new Socket({ fd: (await connecting).fd });
}

interface Download {
  readonly sha256: string;
  readonly bytes: number;
}

async function download(inLab: Lab, uplink: number, totalBytes: number, seed: number): Promise<Download> {
  const socket = await connectFrom(inLab, inLab.uplink(uplink).address);
  const asked = get({ createConnection: () => socket, path: `/bytes/${totalBytes}?seed=${seed}` });
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  socket.destroy();
  return { sha256: hash.digest('hex'), bytes };
}

/** Routes of the second uplink over it: without rules the main table sends all over the first. */
function useSecondUplinkFor(inLab: Lab, address: string): void {
  const client = inLab.node('client');
  client.netlink.addRule({
    family: 2,
    priority: 1000,
    source: { address, length: 32 },
    table: 100,
  });
  client.netlink.addRoute({ table: 100, gateway: '10.2.0.1', linkIndex: inLab.uplink(1).linkIndex });
}

describe('the standard topology', () => {
  it('carries bytes intact, downwards and upwards, over IPv4 and IPv6', async () => {
    const built = await build({ rateBps: 1e9, delayMs: 1 });
    const totalBytes = 20_000_001;
    expect(await download(built, 0, totalBytes, 7)).toEqual({
      bytes: totalBytes,
      sha256: contentSha256(totalBytes, 7),
    });
    const six = await built
      .node('client')
      .run(['curl', '-gsS', '-o', '/dev/null', '-w', '%{size_download}', built.url(5_000_000, 1, 6)]);
    expect(six).toMatchObject({ code: 0, stdout: '5000000' });

    const socket = await connectFrom(built, built.uplink(0).address);
    const body = Buffer.alloc(3_000_000, 'weft');
    const upload = request({
      createConnection: () => socket,
      method: 'POST',
      path: '/upload',
      headers: { 'content-length': body.length },
    });
    upload.end(body);
    const [response] = (await once(upload, 'response')) as [IncomingMessage];
    let answer = '';
    for await (const chunk of response.setEncoding('utf8')) answer += String(chunk);
    socket.destroy();
    expect(JSON.parse(answer)).toEqual({
      bytes: body.length,
      sha256: createHash('sha256').update(body).digest('hex'),
    });
    expect(built.uplink(0).received.droppedByFault).toBe(0);
  });

  it('sends over the uplink whose address is used, and holds each to its own rate', async () => {
    const built = await build({ rateBps: [80e6, 8e6], delayMs: 2 });
    useSecondUplinkFor(built, built.uplink(1).address);
    // Both load their link without end; what has come over the fast one when the slow one is done says the rest.
    const fast = await connectFrom(built, built.uplink(0).address);
    fast.write('GET /bytes/1000000000 HTTP/1.1\r\nHost: lab\r\n\r\n');
    fast.resume();
    await once(fast, 'data');
    const [fastBefore] = built.linkBytes();
    const startMs = performance.now();
    await download(built, 1, 2_000_000, 1);
    // 2 MB at 8 Mbit/s take 2 s, less what one burst and the queue hold; a slow machine can only add to that.
    expect(performance.now() - startMs).toBeGreaterThan(1500);
    const [fastAfter, slow] = built.linkBytes();
    fast.destroy();
    const ratio = (fastAfter!.receivedBytes - fastBefore!.receivedBytes) / slow!.receivedBytes;
    expect(ratio).toBeGreaterThan(5);
    expect(ratio).toBeLessThan(20);
  });

  it('delays each way', async () => {
    const built = await build({ rateBps: 1e9, delayMs: 40 });
    const startMs = performance.now();
    const socket = await connectFrom(built, built.uplink(0).address);
    // A handshake is one round trip: never less than twice the delay, whatever the machine does.
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(80);
    socket.destroy();
  });
});

/** `false` also for one that is dead and that nobody has waited for. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Resolves when the client's kernel reports what is waited for; fails with the test's own time limit. */
function routeEvent(inLab: Lab, matches: (event: RouteEvent) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const watch = watchRoutes(
      (event) => {
        if (!matches(event)) return;
        watch.close();
        resolve();
      },
      { netns: inLab.node('client').path },
    );
  });
}

describe('faults', () => {
  it('a cut uplink carries nothing, keeps its carrier, and goes on when it is restored', async () => {
    const built = await build({ rateBps: 50e6, delayMs: 1 });
    const uplink = built.uplink(0);
    const totalBytes = 4_000_000;
    const socket = await connectFrom(built, uplink.address);
    const asked = get({ createConnection: () => socket, path: `/bytes/${totalBytes}?seed=5` });
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const hash = createHash('sha256');
    let bodyBytes = 0;
    response.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      bodyBytes += chunk.length;
      if (bodyBytes > 500_000 && bodyBytes - chunk.length <= 500_000) uplink.cut();
    });
    const ended = once(response, 'end');
    // The server tries again and again: what is dropped grows, what arrives does not.
    const drops = async (count: number) => {
      while (uplink.received.droppedByFault < count) await new Promise(setImmediate);
    };
    await drops(1);
    const { frames } = uplink.received;
    expect(bodyBytes).toBeLessThan(totalBytes);
    await drops(uplink.received.droppedByFault + 1);
    expect(uplink.received.frames).toBe(frames);
    expect(built.node('client').netlink.linkByName('wifi0')?.carrier).toBe(true);
    uplink.restore();
    await ended;
    socket.destroy();
    expect(bodyBytes).toBe(totalBytes);
    expect(hash.digest('hex')).toBe(contentSha256(totalBytes, 5));
  });

  it('an unplugged uplink loses its carrier and gets it back', async () => {
    const built = await build();
    const carrier = (wanted: boolean) => (event: RouteEvent) =>
      event.kind === 'link' && event.link.name === 'wifi0' && event.link.carrier === wanted;
    const lost = routeEvent(built, carrier(false));
    built.uplink(0).unplug();
    await lost;
    const found = routeEvent(built, carrier(true));
    built.uplink(0).plug();
    await found;
    expect((await download(built, 0, 10_000, 1)).bytes).toBe(10_000);
  });

  it('addresses change, links go down and up, routes come late', async () => {
    const built = await build();
    const client = built.node('client');
    const uplink = built.uplink(0);
    const defaults = () =>
      client.netlink
        .routes()
        .filter((r) => r.linkIndex === uplink.linkIndex && r.gateway !== undefined)
        .map((r) => String(r.gateway))
        .sort();
    expect(defaults()).toEqual(['10.1.0.1', 'fe80::1']);

    uplink.changeAddresses(77);
    expect(uplink.address).toBe('10.1.0.77');
    expect(client.netlink.addresses().map((a) => a.address)).toEqual(
      expect.arrayContaining(['10.1.0.77', '2001:db8:1::77']),
    );
    expect(client.netlink.addresses().map((a) => a.address)).not.toContain('10.1.0.2');
    expect(defaults()).toEqual(['10.1.0.1', 'fe80::1']);
    expect((await download(built, 0, 10_000, 1)).bytes).toBe(10_000);

    uplink.removeRoutes();
    expect(defaults()).toEqual([]);
    uplink.addRoutes();
    expect(defaults()).toEqual(['10.1.0.1', 'fe80::1']);

    uplink.down();
    expect(defaults()).toEqual([]);
    uplink.up();
    expect(defaults()).toEqual(['10.1.0.1', 'fe80::1']);
    expect((await download(built, 0, 10_000, 1)).bytes).toBe(10_000);
  });
});

describe('what is left', () => {
  it('programs of a node run in its namespace and end with the lab', async () => {
    const built = await build({ web: false });
    const names = await built.node('router1').run(['ip', '-br', 'link']);
    expect(names.stdout).toMatch(/lan@.*\n.*wan@/s);
    const child = built.node('client').spawn(['sleep', '1000']);
    const ended = once(child, 'exit');
    expect(built.node('client').processIds).toEqual([child.pid]);
    await built.close();
    expect(await ended).toEqual([null, 'SIGKILL']);
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['an error that nobody catches', 1],
  ])('a program that gives no thought to signals removes its lab at %s', async (how, code) => {
    const module = join(import.meta.dirname, '..', 'dist', 'lab', 'index.js');
    const program = `
      const { Lab } = await import(${JSON.stringify(module)});
      const lab = await Lab.twoUplinks({ namePrefix: 'y-' });
      lab.node('client').spawn(['sleep', '1000']);
      console.log('ready', ...lab.node('client').processIds);
      process.stdin.once('data', () => { throw new Error('on purpose'); });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    const sleeper = Number(line.split(' ')[1]);
    expect(listNamespaces()).toContain('y-client');
    if (how.startsWith('SIG')) child.kill(how as NodeJS.Signals);
    else child.stdin.write('now');
    expect(await once(child, 'exit')).toEqual([code, null]);
    expect(listNamespaces().filter((name) => name.startsWith('y-'))).toEqual([]);
    while (isAlive(sleeper)) await sleep(5);
  });

  it('a lab that cannot be built leaves nothing', async () => {
    const first = await build();
    const standing = takeSnapshot();
    await expect(Lab.twoUplinks()).rejects.toThrow('EEXIST');
    expect(diffSnapshots(standing, takeSnapshot())).toEqual([]);
    await expect(Lab.twoUplinks({ names: ['same', 'same'], namePrefix: 'x-' })).rejects.toThrow(
      'two links have the name "same"',
    );
    // Beside it, under other names, there is room for one more.
    const second = await Lab.twoUplinks({ namePrefix: 'x-' });
    await second.close();
    expect(diffSnapshots(standing, takeSnapshot())).toEqual([]);
    expect((await download(first, 0, 1000, 1)).bytes).toBe(1000);
  });
});
