/**
 * A NAT router on one path (support/nat-lab.ts): with a static mapping and a peer as the original, where the public
 * address is asked of a name server; without any mapping between Weft peers, who tell each other what they see; and
 * with a router that gets another address.
 */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NatLab, RESOLVER, WAN } from './support/nat-lab.ts';
import { eventually, ping, type TunnelServer } from './support/tunnel-lab.ts';
import { UdpFlow } from './support/tunnel-traffic.ts';

let lab: NatLab;

beforeEach(async () => {
  lab = await NatLab.build();
});

afterEach(async () => {
  await lab.close();
});

const routesOf = (node: 'a' | 'b') =>
  execFileSync('ip', ['-n', lab.node(node).namespace, 'route', 'show', 'proto', '178'], { encoding: 'utf8' });

const pathOf = async (server: TunnelServer, index: number) => (await server.connection()).paths[index]!;

const publicOf = (server: TunnelServer, address: string) =>
  eventually(`public address ${address}`, async () => (await pathOf(server, 1)).publicAddress === address);

/** Everything over the path behind the NAT. */
async function onlyBehindNat(server: TunnelServer): Promise<void> {
  const { stdout } = await server.mpt('path', 'down', '10.1.1.2', '10.1.1.3');
  expect(stdout).toContain('path down 10.1.1.2 10.1.1.3');
  await server.pathsAre(131, 0);
}

async function reach(from: 'a' | 'b', to: string): Promise<void> {
  const { received, sent, text } = await ping(lab.node(from), to, ['-c', '5', '-i', '0.05', '-W', '2']);
  expect(received, text).toBe(sent);
}

describe('a static mapping, and an original at the other end', () => {
  it('the name server tells the public address, under which the peer knows the path', async () => {
    await lab.mapPorts();
    const peer = lab.startPeer('b');
    const a = await lab.start('a');
    await publicOf(a, WAN);
    expect(lab.asked).toEqual([WAN]);
    await a.pathsAre(0, 0);
    const { gatewayAddress, privateAddress } = await pathOf(a, 1);
    expect([gatewayAddress, privateAddress]).toEqual(['192.168.7.1', '192.168.7.2']);
    // The route to the name server was for the question only.
    await eventually('the route to the name server to go', () => !routesOf('a').includes(RESOLVER));
    expect(routesOf('a')).toContain('198.51.100.3 via 192.168.7.1 dev eth2');

    await reach('a', '10.0.0.3');
    await reach('b', '10.0.0.2');
    await onlyBehindNat(a);
    await reach('a', '10.0.0.3');
    await a.mpt('path', 'up', '10.1.1.2', '10.1.1.3');
    await a.pathsAre(0, 0);

    await a.mpt('path', 'down', WAN, '198.51.100.3');
    await eventually('the peer to take the word', () =>
      peer.lines.some((line) => line.startsWith(`Path status changed to 0x80 (198.51.100.3 -> ${WAN})`)),
    );
    await reach('a', '10.0.0.3');
    expect(await a.stop()).toBe(0);
    expect(routesOf('a')).toBe('');
  });

  it('starts at once although the name server does not answer, with the private address', async () => {
    await lab.mapPorts();
    await lab.nft(
      'table ip silence { chain c { type filter hook forward priority 0; udp dport 53 drop; }; }',
    );
    lab.startPeer('b');
    const a = await lab.start('a');
    await reach('a', '10.0.0.3');
    expect((await pathOf(a, 1)).publicAddress).toBe('192.168.7.2');
    expect(lab.asked).toEqual([]);
  });
});

describe('no mapping, between Weft peers', () => {
  const AUTHENTICATED = { connection: { auth_type: 2, auth_key: '0123456789abcdef0123456789abcdef' } };

  it('the peer learns the port that the router chose, and tells the public address: nobody else is asked', async () => {
    await lab.masquerade();
    const [b, a] = [await lab.start('b', AUTHENTICATED), await lab.start('a', AUTHENTICATED)];
    await publicOf(a, WAN);
    expect(lab.asked).toEqual([]);
    await b.pathsAre(0, 0);
    const { remoteAddress, remotePort } = await pathOf(b, 1);
    expect(remoteAddress).toBe(WAN);
    expect(remotePort).toBeGreaterThanOrEqual(40_000);
    await onlyBehindNat(a);
    await b.pathsAre(128, 0);
    await reach('a', '10.0.0.3');
    await reach('b', '10.0.0.2');
  });

  it('the router gets another address: the path goes on, and traffic too', async () => {
    await lab.masquerade();
    const [b, a] = [await lab.start('b', AUTHENTICATED), await lab.start('a', AUTHENTICATED)];
    await publicOf(a, WAN);
    await onlyBehindNat(a);
    await b.pathsAre(128, 0);
    const flow = new UdpFlow({
      from: lab.node('b'),
      fromAddress: '10.0.0.3',
      to: lab.node('a'),
      address: '10.0.0.2',
    });
    try {
      flow.start();
      await eventually('traffic', () => flow.arrived.length > 50);
      await lab.changeWan(WAN, '198.51.100.77');
      await eventually(
        'the peer to follow',
        async () => (await pathOf(b, 1)).remoteAddress === '198.51.100.77',
      );
      const before = flow.arrived.length;
      await eventually('traffic to the new address', () => flow.arrived.length > before + 50);
      await publicOf(a, '198.51.100.77');
      await reach('a', '10.0.0.3');
    } finally {
      flow.close();
    }
  });

  it('without authentication nobody can move a path: it is lost with the address, and the other one carries', async () => {
    await lab.mapPorts();
    const [b, a] = [await lab.start('b'), await lab.start('a')];
    await publicOf(a, WAN);
    await b.pathsAre(0, 0);
    await lab.changeWan(WAN, '198.51.100.77');
    await b.pathsAre(0, 128);
    await a.pathsAre(0, 128);
    const { remoteAddress, strangers } = await pathOf(b, 1);
    expect(remoteAddress).toBe(WAN);
    expect(strangers).toBeGreaterThan(0);
    await reach('a', '10.0.0.3');
  });
});
