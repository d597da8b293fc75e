/**
 * Every command of the `mpt` client against `mptsrv`, and against the stand-in for the original: what it prints, what
 * it does on this side and what the peer hears of it. Topology: guide's figure 3 (tunnel-figure3.test.ts).
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IFF_UP } from '../src/netlink/index.ts';
import { readConnection } from './support/mpt-peer-text.ts';
import { folderTexts, type PairOptions } from './support/tunnel-config.ts';
import { answerOf, eventually, ping, runMpt, TunnelLab, type TunnelServer } from './support/tunnel-lab.ts';

let lab: TunnelLab;

beforeEach(async () => {
  lab = await TunnelLab.build();
});

afterEach(async () => {
  await lab.close();
});

/** Runs a command that the client finds well formed, and gives what the server said. */
async function ask(server: TunnelServer, ...args: readonly string[]): Promise<string> {
  const result = await server.mpt(...args);
  expect(result.code, result.stderr).toBe(0);
  return answerOf(result);
}

const isLinkUp = (side: 'a' | 'b', name: string) =>
  (lab.node(side).netlink.linkByName(name)!.flags & IFF_UP) !== 0;

const addresses = (side: 'a' | 'b') =>
  lab
    .node(side)
    .netlink.addresses()
    .map(({ address, prefixLength }) => `${address}/${prefixLength}`);

const connectionPath = (server: TunnelServer, name: string) =>
  join(server.folder.path, 'conf', 'connections', name);

describe('show status', () => {
  it('shows the tunnel and the connections as they are now', async () => {
    const [a] = await lab.startBoth({ inner: [4, 6], networks: [] });
    await ping(lab.node('a'), '10.0.0.3', ['-c', '4', '-i', '0.02']);
    const text = await ask(a, 'show', 'status');
    expect(text).toMatch(/^CMD_OK:\nTunnel information:\n {4}Tunnel interface : tun0\n/);
    expect(text).toContain('\nNumber of connections: 2 \n\nMultipath Connection Information:\n');
    expect(text).toContain('Connection name  : conn4_A \n    Config file           : ipv4.conf\n');
    expect(text).toMatch(/Packets sent out {6}: 4\n/);
    expect(text).toContain('Connection name  : conn6_A \n');
    expect(text.match(/Path Status {8}: 0\n/g)).toHaveLength(4);
  });

  it('is asked for over IPv6 and at another port as well', async () => {
    const folder = lab.folder('a', { general: { cmdport_local: 61_234 } });
    await lab.start('a', folder);
    const elsewhere = lab.folder('b', { general: { cmd_timeout: 1 } });
    for (const args of [['-6', '-61234'], ['-61234']]) {
      // oxlint-disable-next-line no-await-in-loop -- one client after another
      const result = await runMpt(lab.node('a'), elsewhere, [...args, 'show', 'status']);
      expect(result.stdout).toMatch(
        /^mpt configuration:\n\tLocal cmd port: 61234\n\tcmd timeout: 1\nCMD_OK:\nTunnel/,
      );
    }
  });
});

describe('path', () => {
  it('goes down on both sides and up again, and packets take the other one meanwhile', async () => {
    const [a, b] = await lab.startBoth();
    expect(await ask(a, 'path', 'down', '10.1.1.2', '10.1.1.3')).toBe('CMD_OK:path down 10.1.1.2 10.1.1.3\n');
    await a.pathsAre(131, 0);
    await b.pathsAre(128, 0);
    const before = await a.connection();
    expect((await ping(lab.node('a'), '10.0.0.3', ['-c', '6', '-i', '0.02'])).received).toBe(6);
    const after = await a.connection();
    expect(after.paths[0]!.sentPackets).toBe(before.paths[0]!.sentPackets);
    expect(after.paths[1]!.sentPackets).toBe(before.paths[1]!.sentPackets + 6);
    expect(await ask(a, 'path', 'up', '10.1.1.2', '10.1.1.3')).toBe('CMD_OK:path up 10.1.1.2 10.1.1.3\n');
    await a.pathsAre(0, 0);
    await b.pathsAre(0, 0);
  });

  it('alone shows what is measured of each', async () => {
    const [a, b] = await lab.startBoth();
    const measured =
      /^ {2}0 {5}eth1 +10\.1\.1\.2 +10\.1\.1\.3 +0 +\d+\.\d{3} +\d+\.\d{3} +0\.00 +\d+\.\d\d +\d+\.\d\d +1500$/m;
    await expect.poll(() => ask(a, 'path'), { timeout: 20_000 }).toMatch(measured);
    expect(await ask(b, 'path')).toMatch(/^CMD_OK:\nConnection [^\n]+\n {2}path {2}interface/);
  });

  it('that is not there is no error, as with the original', async () => {
    const [a] = await lab.startBoth();
    expect(await ask(a, 'path', 'down', '10.1.1.99', '10.1.1.3')).toBe(
      'CMD_OK:path down 10.1.1.99 10.1.1.3\n',
    );
    await a.pathsAre(0, 0);
  });
});

describe('int', () => {
  it('takes a link down and up, and the peer hears of it', async () => {
    // Over links with something between them, so that the peer's own link stays up.
    await lab.close();
    lab = await TunnelLab.build({ delayMs: [0, 0] });
    const [a, b] = await lab.startBoth();
    expect(await ask(a, 'int', 'eth1', 'down')).toMatch(/^CMD_OK:int(erface)? eth1 down\n$/);
    expect(isLinkUp('a', 'eth1')).toBe(false);
    await a.pathsAre(129, 0);
    await b.pathsAre(128, 0);
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
    expect(await ask(a, 'interface', 'eth1', 'up')).toBe('CMD_OK:interface eth1 up\n');
    expect(isLinkUp('a', 'eth1')).toBe(true);
    await a.pathsAre(0, 0);
    await b.pathsAre(0, 0);
    const before = await a.connection();
    expect((await ping(lab.node('a'), '10.0.0.3', ['-c', '6', '-i', '0.02'])).received).toBe(6);
    expect((await a.connection()).paths[0]!.sentPackets).toBeGreaterThan(before.paths[0]!.sentPackets);
  });

  it('up takes what was set down by hand up too, as the original does', async () => {
    const [a, b] = await lab.startBoth();
    await ask(a, 'path', 'down', '10.1.1.2', '10.1.1.3');
    await ask(a, 'path', 'down', '10.2.2.2', '10.2.2.3');
    await a.pathsAre(131, 131);
    expect(await ask(a, 'int', 'eth1', 'up')).toBe('CMD_OK:int eth1 up\n');
    await a.pathsAre(0, 131);
    await b.pathsAre(0, 128);
  });

  it('of a link that is not there is an error', async () => {
    const [a] = await lab.startBoth();
    expect(await ask(a, 'int', 'eth9', 'down')).toMatch(/^CMD-ERROR:.*eth9/);
  });
});

describe('addr', () => {
  it('adds and removes addresses, with the lengths that the guide says where none is given', async () => {
    const [a] = await lab.startBoth();
    for (const [given, full] of [
      ['192.0.2.7', '192.0.2.7/24'],
      ['192.0.2.9/30', '192.0.2.9/30'],
      ['fd09::7', 'fd09::7/64'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one command after another
      expect(await ask(a, 'addr', 'add', given, 'dev', 'eth1')).toMatch(/^CMD_OK:addr/);
      expect(addresses('a')).toContain(full);
      // oxlint-disable-next-line no-await-in-loop
      expect(await ask(a, 'address', 'del', given, 'dev', 'eth1')).toMatch(/^CMD_OK:address/);
      expect(addresses('a')).not.toContain(full);
    }
    expect(await ask(a, 'addr', 'add', '192.0.2.7', 'dev', 'eth9')).toMatch(/^CMD-ERROR:.*eth9/);
    expect(await ask(a, 'addr', 'del', '192.0.2.7', 'dev', 'eth1')).toMatch(/^CMD-ERROR:/);
  });
});

describe('reload', () => {
  const options: PairOptions = { inner: [4, 6] };

  it('reads all files again: changed, new and vanished connections; others go on as they were', async () => {
    const [a] = await lab.startBoth(options);
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
    const changed = folderTexts('a', { ...options, weights: [1, 3] }).connections['ipv6.conf']!;
    a.folder.write('connections/ipv6.conf', changed);
    expect(await ask(a, 'reload')).toBe('CMD_OK:reload\n');
    const first = await a.connection('ipv4.conf');
    expect(first.sentPackets).toBeGreaterThanOrEqual(3);
    const second = await a.connection('ipv6.conf');
    expect(second.paths.map(({ weightOut }) => weightOut)).toEqual([1, 3]);
    a.folder.write('connections/ipv6.conf', '# nothing\n[connection]\n');
    expect(await ask(a, 'reload')).toMatch(/^CMD-ERROR:.*ipv6\.conf/s);
    expect((await ping(lab.node('a'), 'fec0::3')).received).toBe(3);
  });

  it('of one file takes what it says now, and nothing else', async () => {
    const [a] = await lab.startBoth(options);
    const changed = folderTexts('a', { ...options, weights: [1, 3] });
    for (const [name, text] of Object.entries(changed.connections))
      a.folder.write(`connections/${name}`, text);
    expect(await ask(a, 'reload', 'ipv4.conf')).toBe('CMD_OK:reload ipv4.conf\n');
    const weightsOf = async (file: string) =>
      (await a.connection(file)).paths.map(({ weightOut }) => weightOut);
    expect(await weightsOf('ipv4.conf')).toEqual([1, 3]);
    expect(await weightsOf('ipv6.conf')).toEqual([1, 1]);
    expect(await ask(a, 'reload', 'absent.conf')).toBe(
      'CMD-ERROR:Reload unsuccessful. Config file not found in the connection: absent.conf\n',
    );
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
  });
});

describe('restart', () => {
  it('makes all paths usable again, and the file is not read', async () => {
    const [a, b] = await lab.startBoth();
    await ask(a, 'path', 'down', '10.1.1.2', '10.1.1.3');
    await a.pathsAre(131, 0);
    a.folder.write('connections/ipv4.conf', 'nonsense');
    expect(await ask(a, 'restart', 'ipv4.conf')).toBe('CMD_OK:restart ipv4.conf\n');
    await a.pathsAre(0, 0);
    await b.pathsAre(0, 0);
    expect(await ask(a, 'restart')).toBe('CMD_OK:restart\n');
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
    expect(await ask(a, 'restart', 'absent.conf')).toBe(
      'CMD-ERROR:Restart unsuccessful. Config file not found in the connection: absent.conf\n',
    );
  });
});

describe('save', () => {
  const KEY = 'ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100';

  it('writes what the original reads, keeps the key, and shows it to nobody', async () => {
    const [a] = await lab.startBoth({ authType: 2, authKey: KEY, reorderWindow: 900, scheduler: 'weights' });
    expect(await ask(a, 'save', 'ipv4.conf')).toBe('CMD_OK:save ipv4.conf\n');
    const path = connectionPath(a, 'ipv4.conf');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const text = a.folder.read('connections/ipv4.conf');
    expect(text).toMatch(
      /^;;;;;;;#+ Multipath Connection Information: #+\n\n\[connection\]\nname {13}= conn4_A\n/,
    );
    const read = readConnection(text);
    const original = readConnection(
      folderTexts('a', { authType: 2, authKey: KEY, reorderWindow: 900 }).connections['ipv4.conf']!,
    );
    // Two keys are taken from interface.conf, which the saved text says.
    expect({ ...read, localCommandPort: 0 }).toEqual({ ...original, localCommandPort: 0 });
    expect(await ask(a, 'save')).toBe('CMD_OK:save\n');
    expect(await ask(a, 'save', 'absent.conf')).toBe(
      'CMD-ERROR:Save unsuccessful. Config file not found in connection: absent.conf\n',
    );
    expect(await ask(a, 'reload')).toBe('CMD_OK:reload\n');
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
    expect(a.program.stdout + a.program.stderr).not.toContain(KEY.slice(0, 16));
  });
});

describe('delete', () => {
  it('ends the connection and puts its file aside', async () => {
    const [a] = await lab.startBoth({ inner: [4, 6] });
    expect(await ask(a, 'delete', 'ipv4.conf')).toBe('CMD_OK:delete ipv4.conf\n');
    expect((await a.status()).connections.map(({ file }) => file)).toEqual(['ipv6.conf']);
    expect(existsSync(connectionPath(a, 'ipv4.conf'))).toBe(false);
    expect(existsSync(connectionPath(a, 'ipv4.conf.disabled'))).toBe(true);
    expect(await ask(a, 'delete', 'ipv4.conf')).toBe(
      'CMD-ERROR:Delete unsuccessful. Config file not found: ipv4.conf\n',
    );
    expect((await ping(lab.node('a'), 'fec0::3')).received).toBe(3);
    expect((await ping(lab.node('a'), '10.0.0.3', ['-c', '1', '-W', '0.2'])).received).toBe(0);
  });
});

describe('create', () => {
  it('makes the connection at the peer, once', async () => {
    const [a, b] = await lab.startBoth({ empty: 'b', acceptRemote: true, reorderWindow: 900 });
    expect((await b.status()).connections).toEqual([]);
    expect(await ask(a, 'create', 'ipv4.conf')).toBe('CMD_OK:create ipv4.conf\n');
    const made = await b.connection('peer_10_0_0_2.conf');
    expect(made).toMatchObject({
      name: 'conn4_A',
      origin: 'peer',
      remoteAddress: '10.0.0.2',
      reorderWindow: 900,
    });
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
    expect(await ask(a, 'create', 'ipv4.conf')).toBe(
      'CMD-ERROR:ERROR: Connection already exists (error code:5)\n',
    );
    expect(await ask(a, 'create', 'absent.conf')).toBe('CMD-ERROR:create absent.conf\n');
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
    // Not on disk until it is saved.
    expect(existsSync(connectionPath(b, 'peer_10_0_0_2.conf'))).toBe(false);
    expect(await ask(b, 'save', 'peer_10_0_0_2.conf')).toBe('CMD_OK:save peer_10_0_0_2.conf\n');
    expect(existsSync(connectionPath(b, 'peer_10_0_0_2.conf'))).toBe(true);
  });

  it('is refused in silence by a server that takes none', async () => {
    const [a, b] = await lab.startBoth({ empty: 'b' });
    expect(await ask(a, 'create', 'ipv4.conf')).toMatch(
      /^CMD-ERROR:Connection creation failed \(code: 1; Remote server problem\?\)\n$/,
    );
    expect((await b.status()).connections).toEqual([]);
  });
});

describe('the client alone', () => {
  it.each([
    [[], 1],
    [['--help'], 1],
    [['nonsense'], 1],
    [['int', 'eth1'], 1],
    [['addr', 'add', '10.1.1', 'dev', 'eth1'], 3],
    [['addr', 'add', '10.1.1.1/33', 'dev', 'eth1'], 4],
    [['addr', 'add', '10.1.1.1'], 5],
    [['path', 'down', '10.1.1.1'], 5],
    [['delete'], 5],
  ] as const)('%j ends with %d and asks no server', async (args, code) => {
    const folder = lab.folder('a');
    const result = await runMpt(lab.node('a'), folder, args);
    expect(result.code).toBe(code);
    expect(result.stdout).not.toContain('No answer');
  });

  it('says that nobody answers, and ends with 0 as the original does', async () => {
    const folder = lab.folder('a', { general: { cmd_timeout: 1 } });
    const result = await runMpt(lab.node('a'), folder, ['show', 'status']);
    expect(result.code).toBe(0);
    expect(answerOf(result)).toContain('ERROR: No answer from mptsrv - unsuccessful receive 1');
  });
});

describe('the client with the original server', () => {
  it('shows its state, changes paths, creates', async () => {
    const peer = lab.startPeer('a');
    const b = await lab.start('b', lab.folder('b', { acceptRemote: true }));
    const folder = lab.folder('a');
    const run = async (...args: string[]) => answerOf(await runMpt(lab.node('a'), folder, args));
    expect(await run('show', 'status')).toMatch(
      /^CMD_OK:\nTunnel information:\n.*Number of connections: 1 \n/s,
    );
    expect(await run('path', 'down', '10.2.2.2', '10.2.2.3')).toBe('CMD_OK:path down 10.2.2.2 10.2.2.3\n');
    await eventually('the stand-in did it', () => peer.connections[0]!.paths[1]!.status === 0x83);
    await b.pathsAre(0, 128);
    expect(await run('path', 'up', '10.2.2.2', '10.2.2.3')).toBe('CMD_OK:path up 10.2.2.2 10.2.2.3\n');
    await b.pathsAre(0, 0);
    expect(await run('create', 'ipv4.conf')).toMatch(
      /^CMD-ERROR:ERROR: Connection already exists \(error code:5\)/,
    );
    expect(await run('delete', 'absent.conf')).toMatch(/^CMD-ERROR:Delete unsuccessful/);
  });
});
