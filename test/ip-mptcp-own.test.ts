/**
 * `weft mptcp`: ip's part through its own door, and what it has beside it, with real endpoints and connections.
 * The hosts are those of support/two-hosts.ts; `c` is reached over two links.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer, Socket, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { AF_INET } from '../src/base/index.ts';
import {
  bindSocket,
  inNamespace,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  openSocket,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  startConnect,
} from '../src/native/index.ts';
import { USAGE_7_1 } from './support/ip-mptcp-lines.ts';
import { OURS, OwnNamespace, WEFT } from './support/ip-mptcp-program.ts';
import { makeTwoHosts, type TwoHosts } from './support/two-hosts.ts';
import { UNPRIVILEGED } from './support/weft-program.ts';

const SOON = { interval: 20, timeout: 20_000 };

let here: OwnNamespace;
beforeEach(() => {
  here = new OwnNamespace();
});
afterEach(() => here.remove());

const weft = (line: string) =>
  here.run(
    [...WEFT, 'mptcp'],
    line.split(' ').filter((word) => word !== ''),
  );
const ipMptcp = (line: string) => here.run(OURS, line.split(' '));
const OK = { code: 0, err: '' };

describe("ip's part", () => {
  it('is that of ip-mptcp, with options in the same places', async () => {
    expect(await weft('endpoint add 10.0.1.2 subflow dev lo')).toEqual({ code: 0, out: '', err: '' });
    expect(await weft('')).toEqual({ code: 255, out: '', err: USAGE_7_1 });
    expect(await weft('e')).toEqual({ ...OK, out: '10.0.1.2 id 1 subflow dev lo \n' });
    for (const options of ['', '-j ', '-j -p ', '-o ', '-c ']) {
      expect(await weft(`${options}endpoint show`)).toEqual(await ipMptcp(`${options}mptcp endpoint show`));
    }
    expect(await weft('endpoint show id 9')).toEqual({
      code: 2,
      out: '',
      err: 'Error: address not found.\n',
    });
    expect(await weft('endpoint set')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^weft: /) as unknown,
    });
    expect(await weft('endpoint se')).toEqual({
      code: 255,
      out: '',
      err: 'Command "se" is unknown, try "ip mptcp help".\n',
    });
  });

  it('runs batch files of ip', async () => {
    const input =
      'mptcp endpoint add 10.0.0.1 \\\n signal # no more\nmptcp endpoint\nmptcp endpoint del id 9\n';
    expect(await here.run([...WEFT, 'mptcp', '-b', '-'], [], { input })).toEqual({
      code: 1,
      out: '10.0.0.1 id 1 signal \n',
      err: 'Error: address not found.\nCommand failed -:4\n',
    });
  });

  it('carries a command out before the next one comes', async () => {
    const child = spawn(...here.command(OURS, ['-batch', '-']));
    child.stdout.setEncoding('utf8');
    child.stdin.write('mptcp limits\n');
    expect(await once(child.stdout, 'data')).toEqual(['add_addr_accepted 0 subflows 2 \n']);
    child.stdin.write('mptcp limits set subflows 5\nmptcp lim');
    child.stdin.write('its\n');
    expect(await once(child.stdout, 'data')).toEqual(['add_addr_accepted 0 subflows 5 \n']);
    child.stdin.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('shows laminar endpoints, and adds them', async () => {
    expect(await ipMptcp('mptcp endpoint add 2001:db8::1 id 9 laminar subflow')).toMatchObject(OK);
    expect(await ipMptcp('mptcp endpoint')).toEqual({ ...OK, out: '2001:db8::1 id 9 subflow laminar \n' });
    expect((await ipMptcp('-j mptcp endpoint')).out).toBe(
      '[{"address":"2001:db8::1","id":9,"subflow":true,"laminar":true}]\n',
    );
  });

  it('works in a named namespace', async () => {
    here.ip('mptcp', 'endpoint', 'add', '10.7.7.7', 'dev', 'lo');
    const other = new OwnNamespace();
    try {
      const elsewhere = await other.run(OURS, ['-n', here.name, 'mptcp', 'endpoint']);
      expect(elsewhere).toEqual({ ...OK, out: '10.7.7.7 id 1 dev lo \n' });
      const own = await other.run(WEFT, ['mptcp', '-n', here.name, '--json', 'endpoint']);
      expect(JSON.parse(own.out)).toMatchObject({ address: '10.7.7.7', link: 'lo' });
      const failing = await other.run([...UNPRIVILEGED, ...OURS], ['-n', here.name, 'mptcp', 'limits']);
      expect(failing).toEqual({
        code: 255,
        out: '',
        err: `setting the network namespace "${here.name}" failed: Operation not permitted\n`,
      });
    } finally {
      other.remove();
    }
  });

  it('says so when its output cannot be written', () => {
    const full = openSync('/dev/full', 'w');
    try {
      const [program, words] = here.command(OURS, ['mptcp', 'limits']);
      const result = spawnSync(program, words, { stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
      expect({ code: result.status, err: result.stderr }).toEqual({
        code: 1,
        err: 'weft: standard output cannot be written: ENOSPC: no space left on device, write\n',
      });
    } finally {
      closeSync(full);
    }
  });

  it('says that other objects are not here, and goes on with -force', async () => {
    const input = 'link show\nmptcp limits\n';
    const { code, out, err } = await here.run(OURS, ['-force', '-b', '-'], { input });
    expect({ code, out }).toEqual({ code: 1, out: 'add_addr_accepted 0 subflows 2 \n' });
    expect(err).toBe(
      'Object "link" is not here: ip-mptcp has only "mptcp", ip(8) has the others.\nCommand failed -:1\n',
    );
    expect(await ipMptcp('-V')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/iproute2-7\.1\.0/) as unknown,
    });
    expect((await here.run(OURS, [])).code).toBe(255);
  });
});

describe('own ways', () => {
  it('endpoint set changes what is named and nothing else', async () => {
    here.ip('mptcp', 'endpoint', 'add', '10.0.0.1', 'subflow', 'fullmesh');
    expect(await weft('endpoint set 10.0.0.1 +backup')).toEqual({ ...OK, out: '' });
    expect(here.ip('mptcp', 'endpoint')).toBe('10.0.0.1 id 1 subflow backup fullmesh \n');
    expect(await weft('endpoint set 1 -fullmesh')).toEqual({ ...OK, out: '' });
    expect(here.ip('mptcp', 'endpoint')).toBe('10.0.0.1 id 1 subflow backup \n');
    const { out } = await weft('endpoint set 1 -backup +fullmesh --json');
    expect(JSON.parse(out)).toEqual({ id: 1, address: '10.0.0.1', flags: ['subflow', 'fullmesh'] });
    // What ip does instead.
    here.ip('mptcp', 'endpoint', 'change', 'id', '1', 'nobackup');
    expect(here.ip('mptcp', 'endpoint')).toBe('10.0.0.1 id 1 subflow \n');
    expect(await weft('endpoint set 5 +backup')).toEqual({
      code: 1,
      out: '',
      err: 'weft: there is no endpoint with id 5 — see "weft mptcp endpoint show"\n',
    });
    const unprivileged = await here.run(
      [...UNPRIVILEGED, ...WEFT],
      'mptcp endpoint set 1 +backup'.split(' '),
    );
    expect(unprivileged).toMatchObject({
      code: 1,
      err: expect.stringMatching(/CAP_NET_ADMIN\n$/) as unknown,
    });
  });

  it('--json gives one object a line, and limits too', async () => {
    here.ip('mptcp', 'endpoint', 'add', '10.0.0.1', 'subflow', 'dev', 'lo');
    here.ip('mptcp', 'endpoint', 'add', '::1', 'signal', 'port', '4000');
    const { out } = await weft('endpoint show --json');
    expect(
      out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      { id: 1, address: '10.0.0.1', flags: ['subflow'], link: 'lo', linkIndex: 1 },
      { id: 2, address: '::1', port: 4000, flags: ['signal'] },
    ]);
    expect(await weft('--json limits')).toEqual({ ...OK, out: '{"addAddrAccepted":0,"subflows":2}\n' });
    expect(await weft('--json endpoint show id 7')).toMatchObject({
      code: 2,
      err: 'Error: address not found.\n',
    });
  });

  it('helps', async () => {
    const { code, out } = await weft('connections --help');
    expect({ code, usage: out.split('\n')[0] }).toEqual({
      code: 0,
      usage: 'Usage: weft mptcp [OPTIONS] COMMAND',
    });
    expect(await weft('conections')).toEqual({
      code: 255,
      out: '',
      err: 'Command "conections" is unknown, try "ip mptcp help".\nweft: did you mean "weft mptcp connections"?\n',
    });
    expect((await weft('xyz')).err).toBe('Command "xyz" is unknown, try "ip mptcp help".\n');
    expect((await ipMptcp('mptcp conections')).err).toBe(
      'Command "conections" is unknown, try "ip mptcp help".\n',
    );
  });

  it('connections and counters of a namespace without any', async () => {
    expect(await weft('connections')).toEqual({
      ...OK,
      out: 'No MPTCP connections in this network namespace.\n',
    });
    expect(await weft('connections --json')).toEqual({ ...OK, out: '' });
    expect(await weft('counters --json')).toEqual({ ...OK, out: '' });
    expect((await weft('counters')).out).toMatch(/^Nothing yet/);
    expect(await weft('counters --al')).toMatchObject({ code: 2 });
  });
});

describe('with connections', () => {
  let hosts: TwoHosts;
  const servers: Server[] = [];
  const clients: Socket[] = [];

  function serve(protocol: number, port: number): void {
    const fd = inNamespace(hosts.netnsB, () => openSocket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, protocol));
    bindSocket(fd, { address: '0.0.0.0', port });
    servers.push(createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen({ fd }));
  }

  async function echo(port: number, bytes: number): Promise<void> {
    const fd = inNamespace(hosts.netnsA, () =>
      openSocket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP),
    );
    startConnect(fd, { address: '10.9.1.2', port });
    const client = new Socket({ fd });
    clients.push(client);
    let received = 0;
    client.on('data', (data) => (received += data.length));
    client.write(Buffer.alloc(bytes));
    await vi.waitFor(() => expect(received).toBe(bytes), SOON);
  }

  const onA = (line: string) => {
    const child = spawn('nsenter', [`--net=${hosts.netnsA}`, '--', ...WEFT, 'mptcp', ...line.split(' ')]);
    const result = { out: '', err: '', code: once(child, 'close'), kill: () => child.kill('SIGINT') };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (result.out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (result.err += text));
    return result;
  };
  const textOf = async (line: string) => {
    const result = onA(line);
    expect([(await result.code)[0], result.err]).toEqual([0, '']);
    return result.out;
  };

  beforeAll(async () => {
    hosts = makeTwoHosts('ipown');
    hosts.ipB('mptcp', 'endpoint', 'add', '10.9.2.2', 'dev', 'v2', 'signal');
    serve(IPPROTO_MPTCP, 5000);
    serve(IPPROTO_TCP, 5001);
    await echo(5000, 100_000);
    await echo(5001, 1000);
    await vi.waitFor(async () => {
      expect(await textOf('connections')).toMatch(/^ {2}v2 .*10\.9\.2\.2:5000$/m);
    }, SOON);
  });

  afterAll(() => {
    for (const client of clients) client.destroy();
    for (const server of servers) server.close();
    hosts.remove();
  });

  it('shows each with its subflows, and why one fell back', async () => {
    const text = await textOf('connections');
    // A busy machine makes the kernel send a segment again now and then, and then there is a line about it.
    expect(text).toMatch(
      /^0x[0-9a-f]{8} +100 kB +100 kB {2}10\.9\.1\.1:\d+ → 10\.9\.1\.2:5000\n {2}v1 .*\n(?: {6}\d+ segments? sent again\n)?(?: {2}v2 .*10\.9\.2\.1:\d+ → 10\.9\.2\.2:5000)$/m,
    );
    expect(text).toMatch(/10\.9\.1\.2:5001\n {6}plain TCP: the other end did not answer with MPTCP/);

    const objects = (await textOf('connections --json'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(objects).toHaveLength(2);
    expect(objects.find(({ remotePort }) => remotePort === 5000)).toMatchObject({
      state: 'established',
      fallback: false,
      info: { bytesSent: 100_000, bytesReceived: 100_000 },
      subflows: [
        { link: 'v1', initial: true },
        { link: 'v2', initial: false },
      ],
    });
    expect(objects.find(({ remotePort }) => remotePort === 5001)).toMatchObject({ fallback: true });
  });

  it('again and again, with rates, until a signal', async () => {
    const watching = onA('connections --watch 0.1');
    await expect.poll(() => watching.out.match(/^CONNECTION/gm)?.length ?? 0, SOON).toBeGreaterThan(2);
    watching.kill();
    expect((await watching.code)[0]).toBe(0);
    expect(watching.out).toMatch(/^CONNECTION .* OUT +IN /m);
    expect(watching.err).toBe('');
  });

  it('counts, and says what it means', async () => {
    const text = await textOf('counters');
    expect(text).toMatch(/^fallback\n +1 {2}MPCapableFallbackSYNACK +connections started here that became/m);
    expect(text).not.toMatch(/^ +0 {2}/m);
    expect(await textOf('counters --all')).toMatch(/^ +0 {2}/m);
    const names = (await textOf('counters --json'))
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { name: string }).name);
    expect(names).toContain('MPJoinSynTx');
  });
});
