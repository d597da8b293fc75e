/**
 * The built `mptsrv` as a user and a service manager start it: what it prints, the menu, signals, exit codes, and what
 * it leaves. Topology: guide's figure 3 (tunnel-figure3.test.ts).
 */
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diffSnapshots, takeSnapshot, type LabNode } from '../src/lab/index.ts';
import { DatagramReceiver } from './support/datagram-receiver.ts';
import { mptsrvCommand } from './support/mpt-program.ts';
import { runMpt, TunnelLab } from './support/tunnel-lab.ts';
import type { TunnelFolder } from './support/tunnel-config.ts';
import { runWeft, RunningWeft, runtimeFiles, UNPRIVILEGED } from './support/weft-program.ts';

let lab: TunnelLab;
let node: LabNode;
let folder: TunnelFolder;
let running: RunningWeft[];

beforeEach(async () => {
  lab = await TunnelLab.build();
  node = lab.node('a');
  folder = lab.folder('a', { weights: [1, 3] });
  running = [];
});
afterEach(async () => {
  for (const { process: child } of running) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
  await Promise.allSettled(running.map(({ ended }) => ended));
  await lab.close();
});

interface Start {
  readonly args?: readonly string[];
  readonly stdin?: 'pipe' | 'ignore';
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

function spawnServer({ args = ['-d'], env = {}, prefix = [], stdin = 'ignore' }: Start = {}): RunningWeft {
  const child = node.spawn([...prefix, ...mptsrvCommand(...args)], {
    cwd: folder.path,
    env: { ...process.env, ...env },
    stdio: [stdin, 'pipe', 'pipe'],
  });
  const server = new RunningWeft(child);
  running.push(server);
  return server;
}

async function startServer(start: Start = {}): Promise<RunningWeft> {
  const server = spawnServer(start);
  await server.seen(/Number of connections: /);
  return server;
}

/** Runs one that ends by itself. */
async function fails(start: Start = {}) {
  const server = spawnServer(start);
  const code = await server.ended;
  return { code, stdout: server.stdout, stderr: server.stderr };
}

const files = () => runtimeFiles(node).map((path) => path.replace(/^.*\//, '').replace(/-\d+\./, '-N.'));

describe('its life', () => {
  it('leaves nothing behind at its end, on the host and in the runtime folder', async () => {
    const before = takeSnapshot({ netns: node.path });
    const server = await startServer();
    expect(files()).toEqual(expect.arrayContaining(['tunnel.tun0-N.lock', 'tunnel.tun0-N.sock']));
    expect(await server.stop()).toBe(0);
    expect(server.stderr).toMatch(/^(connection added .*\n)*$/);
    expect(diffSnapshots(before, takeSnapshot({ netns: node.path }))).toEqual([]);
    expect(files()).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends with 0 by %s', async (signal) => {
    expect(await (await startServer()).stop(signal)).toBe(0);
  });

  it('after kill -9 the next start takes back what is left, under another name too', async () => {
    const before = takeSnapshot({ netns: node.path });
    const killed = await startServer();
    killed.process.kill('SIGKILL');
    await killed.ended;
    expect(diffSnapshots(before, takeSnapshot({ netns: node.path })).join('\n')).toMatch(/10\.1\.1\.3\/32/);
    folder.write('interface.conf', folder.read('interface.conf').replace('tun0', 'tun9'));
    for (const name of ['ipv4.conf']) rmSync(join(folder.path, 'conf/connections', name));
    const next = await startServer();
    const during = diffSnapshots(before, takeSnapshot({ netns: node.path })).join('\n');
    expect(during).toMatch(/link tun9/);
    expect(during).not.toMatch(/10\.1\.1\.3\/32/);
    expect(await next.stop()).toBe(0);
    expect(diffSnapshots(before, takeSnapshot({ netns: node.path }))).toEqual([]);
  });

  it('reads the configuration again at SIGHUP, and stays as it was when that is wrong', async () => {
    const server = await startServer({ args: ['-d', '--verbose'] });
    const text = folder.read('connections/ipv4.conf');
    folder.write('connections/ipv4.conf', text.replace('weight_out = 3', 'weight_out = 0'));
    server.process.kill('SIGHUP');
    await server.seen(/ipv4\.conf:\d+: weight_out = "?0"?/);
    folder.write('connections/ipv4.conf', text.replaceAll('_out = 3', '_out = 7'));
    server.process.kill('SIGHUP');
    await server.seen(/Pathselection list length: 8/);
    expect(await server.stop()).toBe(0);
  });

  it('tells the service manager', async () => {
    const name = join(folder.path, 'notify');
    const manager = new DatagramReceiver(name);
    try {
      const server = await startServer({ env: { NOTIFY_SOCKET: name } });
      await manager.seen(/^READY=1\nSTATUS=tun0: 1 connection, /);
      const before = manager.datagrams.length;
      server.process.kill('SIGHUP');
      await manager.seen(/^RELOADING=1\nMONOTONIC_USEC=\d+$/, before);
      await manager.seen(/^READY=1/, before);
      expect(await server.stop()).toBe(0);
      await manager.seen(/^STOPPING=1/, before);
    } finally {
      manager.close();
    }
  });
});

describe('the menu', () => {
  it('prints, reloads and quits', async () => {
    const server = await startServer({ args: [], stdin: 'pipe' });
    await server.seen(/\nmptsrv: q quit, p print, r reload\n$/);
    const begin = server.stdout.length;
    server.process.stdin!.write('p\n');
    await server.seen(/(q quit[^]*){2}/);
    expect(server.stdout.slice(begin)).toMatch(/^\nTunnel information:\n[^]*Number of connections: 1 \n/);
    folder.write(
      'connections/ipv4.conf',
      folder.read('connections/ipv4.conf').replaceAll('_out = 3', '_out = 5'),
    );
    server.process.stdin!.write('xr');
    await server.seen(/Pathselection list length: 6/);
    server.process.stdin!.write('q');
    expect(await server.ended).toBe(0);
  });

  it('ends with standard input, and the server does not', async () => {
    const server = await startServer({ args: [], stdin: 'pipe' });
    server.process.stdin!.end();
    const { stdout } = await runWeft(node, 'tunnel', 'status');
    expect(stdout).toMatch(/^tun0: /);
    expect(server.process.exitCode).toBeNull();
    expect(await server.stop()).toBe(0);
  });

  it('is not there with -d', async () => {
    const server = await startServer({ args: ['-d'], stdin: 'pipe' });
    server.process.stdin!.write('q');
    await runWeft(node, 'tunnel', 'status');
    expect(server.stdout).not.toContain('q quit');
    expect(await server.stop()).toBe(0);
  });
});

describe('exit codes', () => {
  it('3: there is no interface.conf', async () => {
    rmSync(join(folder.path, 'conf/interface.conf'));
    expect(await fails()).toEqual({
      code: 3,
      stdout: 'Initializing...\nInitialization is done.\nLoading Tunnel interface configuration file...\n',
      stderr:
        'mptsrv: interface.conf: the file is missing\n' +
        'interface_load: \nFile read open error: conf/interface.conf\n Errno: 3\n',
    });
  });

  it('3: mistakes, each with file, line, key and value, and nothing was done', async () => {
    const before = takeSnapshot({ netns: node.path });
    const text = folder.read('connections/ipv4.conf').replace('weight_out = 3', 'weight_out = 0');
    folder.write('connections/ipv4.conf', text.replace('auth_type = 0', 'auth_type = 7'));
    folder.write('connections/second.conf', 'rubbish\n');
    const { code, stderr } = await fails();
    expect(code).toBe(3);
    expect(stderr).toMatch(/^mptsrv: connections\/ipv4\.conf:\d+: auth_type = "?7"? in \[connection\]: /m);
    expect(stderr).toMatch(
      /^mptsrv: connections\/ipv4\.conf:\d+: weight_out = "?0"? in \[path_1\]: .*1 .*10,?000/m,
    );
    expect(stderr).toMatch(/^mptsrv: connections\/second\.conf:1: /m);
    expect(stderr).toMatch(/mptsrv: \d+ errors in the configuration, nothing was started\. Errno: 3\n$/);
    expect(diffSnapshots(before, takeSnapshot({ netns: node.path }))).toEqual([]);
  });

  it('3: others may write a file', async () => {
    chmodSync(join(folder.path, 'conf/connections/ipv4.conf'), 0o666);
    expect(await fails()).toMatchObject({ code: 3, stderr: expect.stringContaining('world writable') });
  });

  it('4: no tunnel', async () => {
    folder.write('interface.conf', folder.read('interface.conf').replace('tunnel_num = 1', 'tunnel_num = 0'));
    const { code, stderr } = await fails();
    expect(code).toBe(4);
    expect(stderr).toMatch(/interface\.conf:2: tunnel_num = "?0"?/);
    expect(stderr).toMatch(/interface_load: Tunnel number is too small\. Errno: 4\n$/);
  });

  it('64: a mistake in the command line', async () => {
    expect(await fails({ args: ['-x'] })).toEqual({
      code: 64,
      stdout: '',
      stderr: 'mptsrv: "-x" is not understood — "mptsrv --help" lists what there is\n',
    });
    expect(await fails({ args: ['--conf'] })).toMatchObject({ code: 64 });
    expect(await fails({ args: ['--help'] })).toMatchObject({ code: 0, stderr: '' });
    expect(await fails({ args: ['--version'] })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^mptsrv \(weft \d/),
    });
  });

  it('77: not permitted', async () => {
    const { code, stderr } = await fails({ prefix: UNPRIVILEGED });
    expect(code, stderr).toBe(77);
    expect(stderr).toMatch(/tunnel_start: Tunnel interface IOCTL error\. Errno: 77\n$/);
  });

  it('98: the command port is taken', async () => {
    await startServer();
    const other = lab.folder('a');
    other.write('interface.conf', other.read('interface.conf').replace('tun0', 'tun1'));
    const { code, stderr } = await fails({ args: ['-d', '--conf', join(other.path, 'conf')] });
    expect(code, stderr).toBe(98);
    expect(stderr).toMatch(/60456/);
    expect(stderr).toMatch(/Errno: 98\n$/);
    expect(node.netlink.linkByName('tun1')).toBeUndefined();
  });

  it('1: the folder is served already, or the name is', async () => {
    const first = await startServer();
    const again = await fails();
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(
      new RegExp(`the configuration ".*/conf" is served by process ${first.process.pid} already — `),
    );
    const other = lab.folder('a');
    const { code, stderr } = await fails({ args: ['-d', '--conf', join(other.path, 'conf')] });
    expect(code).toBe(1);
    expect(stderr).toMatch(/the tunnel tun0 is served by process \d+ already/);
    expect(await first.stop()).toBe(0);
  });

  it('1: the link is somebody else’s', async () => {
    expect((await node.run(['ip', 'link', 'add', 'tun0', 'type', 'veth', 'peer', 'name', 'tun8'])).code).toBe(
      0,
    );
    const { code, stderr } = await fails();
    expect(code, stderr).toBe(1);
    expect(stderr).toMatch(/tun0/);
    expect(node.netlink.linkByName('tun0')).toBeDefined();
  });
});

describe('weft tunnel status', () => {
  it('says that there is none', async () => {
    const { code, stderr, stdout } = await runWeft(node, 'tunnel', 'status', '--json');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'weft: no tunnel is running here — start one with "weft tunnel serve" or "mptsrv"\n',
    });
    expect(JSON.parse(stdout)).toMatchObject({ code: 'NOT_RUNNING' });
  });

  it('shows connections and paths, for people and for programs', async () => {
    const [a] = await lab.startBoth({ weights: [1, 3], authType: 2 });
    await a.pathsAre(0, 0);
    const { code, stdout } = await runWeft(node, 'tunnel', 'status');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^tun0: 10\.0\.0\.2\/24, fec0::2\/64, mtu \d+, command port 60456; 1 connection\.\n/,
    );
    expect(stdout).toMatch(/conn4_A \(ipv4\.conf\): 10\.0\.0\.2 to 10\.0\.0\.3/);
    expect(stdout).toMatch(/0 eth1 .*10\.1\.1\.2 .*10\.1\.1\.3 .*up/);
    const json = await runWeft(node, 'tunnel', 'status', '--json');
    const { tunnels } = JSON.parse(json.stdout) as { tunnels: { connections: unknown[] }[] };
    expect(tunnels).toMatchObject([{ apiVersion: 1, tunnel: { interfaceName: 'tun0' } }]);
    expect(json.stdout).not.toMatch(/[Kk]ey"/);
    const one = await runWeft(node, 'tunnel', 'status', '--json', '--interface', 'tun0');
    expect(JSON.parse(one.stdout)).toMatchObject({ tunnel: { interfaceName: 'tun0' } });
    const other = await runWeft(node, 'tunnel', 'status', '--interface', 'tun7');
    expect(other.stderr).toBe('weft: no tunnel tun7 is running here — those that are: tun0\n');
  });

  it('shows every tunnel of the host', async () => {
    await startServer();
    const other = lab.folder('a');
    other.write(
      'interface.conf',
      other
        .read('interface.conf')
        .replace('tun0', 'tun1')
        .replace('60456', '60457')
        .replace('10.0.0.2', '10.5.0.2')
        .replace('fec0::2/64', '::/0'),
    );
    other.write(
      'connections/ipv4.conf',
      other
        .read('connections/ipv4.conf')
        .replace('ip_remote = 10.0.0.3', 'ip_remote = 10.5.0.3')
        .replace('local_port = 23456', 'local_port = 23466'),
    );
    await startServer({ args: ['-d', '--conf', join(other.path, 'conf')] });
    const { stdout } = await runWeft(node, 'tunnel', 'status');
    expect(stdout).toMatch(/^tun0: 10\.0\.0\.2[^]*^tun1: 10\.5\.0\.2/m);
    const report = await runMpt(node, folder, ['-60457', 'show', 'status']);
    expect(report.stdout).toContain('Tunnel interface : tun1\n');
  });

  it('again and again with --watch, until the tunnel ends', async () => {
    const server = await startServer();
    const { WEFT } = await import('./support/weft-program.ts');
    const watch = new RunningWeft(
      node.spawn([process.execPath, WEFT, 'tunnel', 'status', '--json', '--watch'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    running.push(watch);
    await watch.seen(/(.+\n){2}/);
    expect(await server.stop()).toBe(0);
    expect(await watch.ended).toBe(1);
    expect(watch.stderr).toMatch(/no tunnel/);
    for (const line of watch.stdout.trim().split('\n'))
      expect(() => JSON.parse(line) as unknown).not.toThrow();
  });
});

it('does not write the key anywhere but into the file', async () => {
  const secret = 'S3cretS3cretS3cretS3cretS3cretS3';
  const [a] = await lab.startBoth({ authType: 2, authKey: secret });
  await a.pathsAre(0, 0);
  await a.mpt('save');
  expect(a.folder.read('connections/ipv4.conf')).toContain(secret);
  const status = await runWeft(node, 'tunnel', 'status', '--json');
  const report = await a.mpt('show', 'status');
  expect(await a.stop()).toBe(0);
  const all = a.program.stdout + a.program.stderr + status.stdout + report.stdout;
  expect(all).not.toContain(secret.slice(0, 12));
  expect(existsSync('/run/weft') ? readdirSync('/run/weft').length : 0).toBeGreaterThanOrEqual(0);
});
