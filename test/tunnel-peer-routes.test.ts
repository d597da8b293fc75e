/**
 * What a peer that creates a connection can make of this host's routes: an address of the tunnel's subnet, and nothing
 * for its paths. Figure 3 with the stand-in for the original at `a`, which has no key of its own: everybody knows it.
 */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { executeCommand } from './support/mpt-peer-commands.ts';
import { MptPeer } from './support/mpt-peer.ts';
import { folderTexts, type PairOptions } from './support/tunnel-config.ts';
import { answerOf, eventually, ping, TunnelLab } from './support/tunnel-lab.ts';

const OPTIONS: PairOptions = { empty: 'b', acceptRemote: true };

let lab: TunnelLab;
let peer: MptPeer | undefined;

beforeEach(async () => {
  lab = await TunnelLab.build();
});

afterEach(async () => {
  await peer?.stop();
  peer = undefined;
  await lab.close();
});

const routes = () =>
  execFileSync('ip', ['-n', lab.node('b').namespace, 'route', 'show', 'table', 'main'], { encoding: 'utf8' });

/** The stand-in with another tunnel address than figure 3's. */
function startPeer(tunnelAddress: string): MptPeer {
  const texts = folderTexts('a', OPTIONS);
  const renamed = (text: string) => text.replaceAll('10.0.0.2', tunnelAddress);
  return MptPeer.start(lab.node('a'), {
    interface: renamed(texts.interface),
    template: texts.template,
    connections: { 'ipv4.conf': renamed(texts.connections['ipv4.conf']!) },
  });
}

it('an address of the tunnel’s subnet is reached through the tunnel, and no other route is made', async () => {
  const b = await lab.start('b', lab.folder('b', OPTIONS));
  peer = startPeer('10.0.0.77');
  const before = routes();
  expect(before).not.toContain('proto 178');
  expect(await executeCommand(peer, 'create ipv4.conf')).toEqual({ ok: true, text: 'create ipv4.conf' });
  expect((await b.connection()).remoteAddress).toBe('10.0.0.77');
  expect(
    routes()
      .split('\n')
      .filter((line) => line.includes('proto 178')),
  ).toEqual(['10.0.0.77 dev tun0 proto 178 scope link src 10.0.0.3 ']);
  const { received, text } = await ping(lab.node('a'), '10.0.0.3');
  expect(received, text).toBe(3);
  expect(await b.stop()).toBe(0);
  expect(routes()).not.toContain('proto 178');
});

it.each(['192.0.2.53', '10.1.1.3', '127.0.0.53', '224.0.0.5'])(
  'a peer that says it is %s is refused, and makes no route',
  async (address) => {
    const b = await lab.start('b', lab.folder('b', OPTIONS));
    peer = startPeer(address);
    const before = routes();
    expect((await executeCommand(peer, 'create ipv4.conf')).ok).toBe(false);
    await eventually('the refusal', async () => (await b.status()).connections.length === 0);
    expect(routes()).toBe(before);
  },
);

it('a peer that creates a connection with networks makes no router of this host, until it is saved', async () => {
  const networks = [{ source: '192.168.1.0/24', destination: '192.168.2.0/24' }];
  await lab.node('b').run(['sysctl', '-w', 'net.ipv4.ip_forward=0']);
  const b = await lab.start('b', lab.folder('b', OPTIONS));
  const a = await lab.start('a', lab.folder('a', { networks }));
  const forwarding = async () => {
    const { stdout } = await lab.node('b').run(['cat', '/proc/sys/net/ipv4/conf/tun0/forwarding']);
    return stdout.trim();
  };
  expect(answerOf(await a.mpt('create', 'ipv4.conf'))).toBe('CMD_OK:create ipv4.conf\n');
  expect((await b.connection()).file).toBe('peer_10_0_0_2.conf');
  // The routes are there, so the host has been looked at.
  await eventually('the route to the peer', () => routes().includes('10.0.0.2 dev tun0'));
  expect(await forwarding()).toBe('0');
  expect(answerOf(await b.mpt('save'))).toBe('CMD_OK:save\n');
  await eventually('forwarding', async () => (await forwarding()) === '1');
});
