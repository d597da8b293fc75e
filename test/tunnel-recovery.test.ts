/**
 * Tunnels that are killed: what they leave behind, and that the next start repairs it and nothing else. Two sites, as
 * test/support/tunnel-lab.ts draws them; what is looked at is the whole of host a: links, addresses, routes, rules,
 * forwarding, and the files of the runtime folder.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { diffSnapshots, takeSnapshot, type LabNode, type Snapshot } from '../src/lab/index.ts';
import { bundleTypeScript } from './support/bundle.ts';
import { section, type PairOptions } from './support/tunnel-config.ts';
import { eventually, ping, TunnelLab, TunnelServer } from './support/tunnel-lab.ts';
import { UdpFlow } from './support/tunnel-traffic.ts';

const OPTIONS: PairOptions = {
  inner: [4, 6],
  networks: [
    { source: '192.168.1.0/24', destination: '192.168.2.0/24' },
    { source: 'fd01::/64', destination: 'fd02::/64' },
  ],
};
const RUNTIME_FOLDER = '/run/weft';

let child: string;
let lab: TunnelLab;
let a: LabNode;

beforeAll(async () => {
  child = await bundleTypeScript(new URL('support/tunnel-child.ts', import.meta.url));
});

beforeEach(async () => {
  lab = await TunnelLab.build({ sites: true });
  a = lab.node('a');
});

afterEach(async () => {
  await lab.close();
});

const SETTINGS = ['eth1', 'eth2', 'lan'].flatMap((link) => [
  `ipv4/conf/${link}/forwarding`,
  `ipv6/conf/${link}/forwarding`,
  `ipv6/conf/${link}/force_forwarding`,
  `ipv6/conf/${link}/accept_ra`,
]);

/** Records and sockets; locks stay, and mean nothing when nobody holds them. */
function runtimeFiles(): string[] {
  const inode = String(statSync(a.path).ino);
  if (!existsSync(RUNTIME_FOLDER)) return [];
  return readdirSync(RUNTIME_FOLDER).filter((name) => name.includes(inode) && !name.endsWith('.lock'));
}

interface Host {
  readonly snapshot: Snapshot;
  readonly settings: readonly string[];
  readonly files: readonly string[];
}

const lookAt = (): Host => ({
  snapshot: takeSnapshot({ netns: a.path }).filter((line) => !line.startsWith('process ')),
  settings: a.inside(() =>
    SETTINGS.map((name) => {
      const path = join('/proc/sys/net', name);
      return `${name} ${existsSync(path) ? readFileSync(path, 'utf8').trim() : '-'}`;
    }),
  ),
  // Namespaces' numbers are used again: there may be the log of one that is gone.
  files: runtimeFiles(),
});

function expectUnchanged(before: Host, what: string): void {
  const now = lookAt();
  expect(diffSnapshots(before.snapshot, now.snapshot), what).toEqual([]);
  expect(now.settings, what).toEqual(before.settings);
  expect(now.files, what).toEqual(before.files);
}

const weftRoutes = () =>
  execFileSync(
    'sh',
    ['-c', `ip -n ${a.namespace} -4 route show proto 178; ip -n ${a.namespace} -6 route show proto 178`],
    {
      encoding: 'utf8',
    },
  )
    .split('\n')
    .filter((line) => line !== '' && !line.includes('tun'))
    .map((line) => line.replace(/ (scope link|metric \d+|pref \w+)/g, '').trim());

async function kill(server: TunnelServer): Promise<void> {
  server.program.process.kill('SIGKILL');
  await once(server.program.process, 'exit');
}

describe('killed at any moment', () => {
  it('of starting, reading anew and stopping: the next start repairs it', { timeout: 240_000 }, async () => {
    const folder = join(lab.folder('a', OPTIONS).path, 'conf');
    const before = lookAt();
    const run = (...args: readonly string[]) => a.run([process.execPath, child, folder, ...args]);
    const whole = await run();
    expect(whole, whole.stderr).toMatchObject({ code: 0 });
    expectUnchanged(before, 'a run that nobody kills');
    let deaths = 0;
    for (; ; deaths++) {
      // oxlint-disable-next-line no-await-in-loop -- one death after another
      const { code, signal, stderr } = await run(String(deaths));
      if (code === 0) break;
      expect(signal, stderr).toBe('SIGKILL');
      // oxlint-disable-next-line no-await-in-loop
      const repair = await run();
      expect(repair, `after ${deaths} deeds: ${repair.stderr}`).toMatchObject({ code: 0 });
      expectUnchanged(before, `after ${deaths} deeds`);
    }
    expect(deaths).toBeGreaterThan(20);
  });
});

describe('a server that is killed and started again', () => {
  it('carries traffic again, with a peer that went on, and leaves nothing in the end', async () => {
    const before = lookAt();
    const folder = lab.folder('a', OPTIONS);
    const first = await lab.start('a', folder);
    const b = await lab.start('b', lab.folder('b', OPTIONS));
    await first.pathsAre(0, 0);
    const flow = new UdpFlow({
      from: lab.node('client'),
      fromAddress: '192.168.1.10',
      to: lab.node('server'),
      address: '192.168.2.10',
    });
    try {
      flow.start();
      await eventually('traffic', () => flow.arrived.length > 50);
      await kill(first);
      // What a dead process leaves: no device, but the way to the peer.
      expect(weftRoutes()).toEqual(['10.1.1.3 dev eth1', '10.2.2.3 dev eth2']);
      const second = await lab.start('a', folder);
      const count = flow.arrived.length;
      await eventually('traffic again', () => flow.arrived.length > count + 50);
      await second.pathsAre(0, 0);
      const { received, text } = await ping(lab.node('server'), 'fd01::10');
      expect(received, text).toBe(3);
      expect(await second.stop()).toBe(0);
    } finally {
      flow.close();
    }
    expect(await b.stop()).toBe(0);
    expectUnchanged(before, 'after everything');
  });

  it('with another configuration takes back what is not wanted any more', async () => {
    const before = lookAt();
    const folder = lab.folder('a', OPTIONS);
    await kill(await lab.start('a', folder));
    folder.write('interface.conf', folder.read('interface.conf').replaceAll('tun0', 'tun7'));
    const ipv4 = folder.read('connections/ipv4.conf');
    folder.write(
      'connections/ipv4.conf',
      ipv4
        .replace('path_count = 2', 'path_count = 1')
        .replace('network_count = 1', 'network_count = 0')
        .replace('remote_ipaddr = 10.1.1.3', 'remote_ipaddr = 10.1.1.99'),
    );
    rmSync(join(folder.path, 'conf', 'connections', 'ipv6.conf'));
    const server = await TunnelServer.start(a, folder, ['-d'], 'tun7');
    expect(weftRoutes()).toEqual(['10.1.1.99 dev eth1']);
    expect(lookAt().settings).toEqual(before.settings);
    expect(await server.stop()).toBe(0);
    expectUnchanged(before, 'after the end');
  });

  it('whose record is damaged says so, starts, and removes nothing of others', async () => {
    const folder = lab.folder('a', OPTIONS);
    await kill(await lab.start('a', folder));
    const record = runtimeFiles().find((name) => name.endsWith('.json'))!;
    writeFileSync(join(RUNTIME_FOLDER, record), '{"version":1');
    const left = weftRoutes();
    const server = await lab.start('a', folder);
    expect(server.program.stderr).toContain('cannot be read as a record of a tunnel');
    expect(await server.stop()).toBe(0);
    expect(weftRoutes()).toEqual(left);
  });
});

describe('two tunnels on one host', () => {
  it('the killed one’s repair leaves the other’s routes and settings alone', async () => {
    const before = lookAt();
    const folder = lab.folder('a', OPTIONS);
    const first = await lab.start('a', folder);
    // The other one goes to another peer over the same links, for the same local network.
    const other = lab.folder('a', { ...OPTIONS, inner: [4], general: { cmdport_local: 60_457 } });
    other.write(
      'interface.conf',
      [
        section('general', { tunnel_num: 1, cmdport_local: 60_457 }),
        section('tun_0', { name: 'tun1', mtu: 1440, ipv4_addr: '10.7.0.2/24', ipv6_addr: 'fd07::2/64' }),
      ].join(''),
    );
    other.write(
      'connections/ipv4.conf',
      other
        .read('connections/ipv4.conf')
        .replaceAll('10.0.0.', '10.7.0.')
        .replaceAll('23456', '23466')
        .replace('remote_ipaddr = 10.1.1.3', 'remote_ipaddr = 10.1.1.77')
        .replace('dst_addr = 192.168.2.0/24', 'dst_addr = 192.168.77.0/24'),
    );
    const second = await TunnelServer.start(a, other, ['-d'], 'tun1');
    const hasForwarding = () =>
      a.inside(() => readFileSync('/proc/sys/net/ipv4/conf/lan/forwarding', 'utf8').trim()) === '1';
    expect(hasForwarding()).toBe(true);
    const together = weftRoutes();
    expect(together).toContain('10.1.1.77 dev eth1');

    await kill(first);
    const third = await lab.start('a', folder);
    expect(weftRoutes()).toEqual(together);
    // Both ask for the way to 10.2.2.3, and for forwarding: whoever stays keeps them.
    expect(await third.stop()).toBe(0);
    await eventually(
      'the other one to have everything it needs',
      () =>
        ['10.1.1.77 dev eth1', '10.2.2.3 dev eth2'].every((route) => weftRoutes().includes(route)) &&
        hasForwarding(),
    );
    expect(weftRoutes()).not.toContain('10.1.1.3 dev eth1');
    expect(await second.stop()).toBe(0);
    expectUnchanged(before, 'after both');
  });
});
