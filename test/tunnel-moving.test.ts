/**
 * A laptop with two uplinks and a server with one address, which both paths go to:
 *
 *             wifi0 ~~~ air ~~~ router0 ── up0
 *   client                                        server 203.0.113.10
 *             lte0  ~~~ air ~~~ router1 ── up1
 *
 * The client's configuration names links and the server's address, and nothing else: addresses, gateways and what the
 * server sees of them are found out, and found out again.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, SERVER_ADDRESS } from '../src/lab/index.ts';
import { section, TunnelFolder, type Keys } from './support/tunnel-config.ts';
import { eventually, ping, TunnelServer } from './support/tunnel-lab.ts';
import { bindUdp, UdpFlow } from './support/tunnel-traffic.ts';

const SECRET = 'C0FFEE00C0FFEE00C0FFEE00C0FFEE00';

let lab: Lab;
let client: TunnelServer;
let server: TunnelServer;
const folders: TunnelFolder[] = [];

function folder(own: string, other: string, paths: readonly Keys[]): TunnelFolder {
  const connection = section('connection', {
    name: 'laptop',
    permission: 3,
    ip_ver: 4,
    ip_local: own,
    local_port: 4754,
    ip_remote: other,
    remote_port: 4754,
    remote_cmd_port: 60_456,
    path_count: paths.length,
    network_count: 0,
    status: 0,
    reorder_window: 0,
    auth_type: 2,
    auth_key: SECRET,
  });
  const text = [
    connection,
    ...paths.map((keys, index) =>
      section(`path_${index}`, { ip_ver: 4, keepalive_time: 1, dead_time: 3, weight_out: 1, ...keys }),
    ),
  ].join('');
  const made = new TunnelFolder({
    interface: [
      section('general', { tunnel_num: 1, accept_remote: 0, cmdport_local: 60_456 }),
      section('tun_0', { name: 'tun0', mtu: 1440, ipv4_addr: `${own}/24`, ipv6_addr: 'fe::1/0' }),
    ].join(''),
    template: text,
    connections: { 'laptop.conf': text },
  });
  folders.push(made);
  return made;
}

const OF_CLIENT: readonly Keys[] = ['wifi0', 'lte0'].map((name) => ({
  interface_name: name,
  private_ipaddr: '0.0.0.0',
  public_ipaddr: '0.0.0.0',
  gw_ipaddr: '0.0.0.0',
  remote_ipaddr: SERVER_ADDRESS,
}));

/** @param remotes where the server takes the client's paths to be at first */
async function start(remotes: readonly string[]): Promise<void> {
  const ofServer = remotes.map((remote, index) => ({
    interface_name: `up${index}`,
    public_ipaddr: SERVER_ADDRESS,
    private_ipaddr: SERVER_ADDRESS,
    gw_ipaddr: `10.10${index + 1}.0.1`,
    remote_ipaddr: remote,
  }));
  [server, client] = await Promise.all([
    TunnelServer.start(lab.node('server'), folder('10.0.0.3', '10.0.0.2', ofServer)),
    TunnelServer.start(lab.node('client'), folder('10.0.0.2', '10.0.0.3', OF_CLIENT)),
  ]);
  await client.pathsAre(0, 0);
  await server.pathsAre(0, 0);
  // A path is taken for good before anything was heard.
  for (const end of [client, server]) {
    // oxlint-disable-next-line no-await-in-loop -- both have to
    await eventually('both to know each other', async () =>
      (await end.connection()).paths.every((path) => path.isWeft),
    );
  }
}

beforeEach(async () => {
  lab = await Lab.twoUplinks({ web: false, delayMs: [4, 12] });
});

afterEach(async () => {
  await Promise.allSettled([client.stop(), server.stop()]);
  await lab.close();
  for (const each of folders.splice(0)) each.remove();
});

const ip = (command: string) =>
  execFileSync('ip', ['-n', lab.node('client').namespace, ...command.split(' ')], { encoding: 'utf8' });

const waysToServer = () =>
  ip('route show proto 178')
    .split('\n')
    .filter((line) => line.startsWith(SERVER_ADDRESS))
    .map((line) => line.replace(/.* via (\S+) dev (\S+) .*/, '$1 $2'))
    .sort();

const bothWays = ['10.1.0.1 wifi0', '10.2.0.1 lte0'];

const PINGS = ['-c', '10', '-i', '0.02', '-W', '2'];

/** Both paths are good at both ends, and each carries packets in both directions. */
async function bothCarry(): Promise<void> {
  await client.pathsAre(0, 0);
  await server.pathsAre(0, 0);
  const sentBefore = (await client.connection()).paths.map((path) => path.sentPackets);
  const receivedBefore = (await client.connection()).paths.map((path) => path.receivedPackets);
  // While a path moves, a packet or two may still go where it was.
  await eventually('every packet to come back', async () => {
    const { received, sent } = await ping(lab.node('client'), '10.0.0.3', PINGS);
    return received === sent;
  });
  const { paths } = await client.connection();
  for (const [index, path] of paths.entries()) {
    expect(path.sentPackets, `path ${index}`).toBeGreaterThan(sentBefore[index]!);
    expect(path.receivedPackets, `path ${index}`).toBeGreaterThan(receivedBefore[index]!);
  }
}

describe('a laptop whose paths go to one address', () => {
  beforeEach(() => start(['10.1.0.2', '10.2.0.2']));

  it('uses both uplinks, each by its own gateway, and knows what the server sees', async () => {
    expect(waysToServer()).toEqual(bothWays);
    await bothCarry();
    const { paths } = await client.connection();
    expect(paths.map((path) => [path.privateAddress, path.publicAddress, path.gatewayAddress])).toEqual([
      ['10.1.0.2', '10.1.0.2', '10.1.0.1'],
      ['10.2.0.2', '10.2.0.2', '10.2.0.1'],
    ]);
    expect(paths.every((path) => path.strangers === 0)).toBe(true);
  });

  it('gets another address on one of them while traffic flows', async () => {
    const flow = new UdpFlow({
      from: lab.node('server'),
      fromAddress: '10.0.0.3',
      to: lab.node('client'),
      address: '10.0.0.2',
    });
    try {
      flow.start();
      await eventually('traffic', () => flow.arrived.length > 50);
      lab.uplink(0).changeAddresses(77);
      await eventually('the server to know', async () => {
        const { paths } = await server.connection();
        return paths[0]!.remoteAddress === '10.1.0.77' && paths[0]!.status === 0;
      });
      const count = flow.arrived.length;
      await eventually('traffic to go on', () => flow.arrived.length > count + 50);
    } finally {
      flow.close();
    }
    await eventually('the routes', () => waysToServer().join() === bothWays.join());
    await bothCarry();
    expect((await client.connection()).paths[0]!.publicAddress).toBe('10.1.0.77');
  });

  it('loses a link and gets it back: carrier, switched off, route lost', async () => {
    const uplink = lab.uplink(0);
    uplink.unplug();
    await client.pathsAre(129, 0);
    await server.pathsAre(128, 0);
    expect((await ping(lab.node('client'), '10.0.0.3')).received).toBe(3);
    uplink.plug();
    await bothCarry();

    uplink.down();
    await client.pathsAre(129, 0);
    expect(waysToServer()).toEqual(['10.2.0.1 lte0']);
    uplink.up();
    await bothCarry();
    await eventually('the routes', () => waysToServer().join() === bothWays.join());

    // The tunnel's own route is made again even though only somebody's hand took it.
    ip(`route del ${SERVER_ADDRESS} via 10.1.0.1 dev wifi0`);
    await eventually('the route', () => waysToServer().join() === bothWays.join());
    await bothCarry();
  });

  it('whose link is made anew, with another name in between, has its path again', async () => {
    ip('link set wifi0 down');
    ip('link set wifi0 name wlan7');
    ip('link set wlan7 up');
    await client.pathsAre(129, 0);
    ip('link set wlan7 down');
    ip('link set wlan7 name wifi0');
    ip('link set wifi0 up');
    lab.uplink(0).addAddresses();
    lab.uplink(0).addRoutes();
    await bothCarry();
    expect(waysToServer()).toEqual(bothWays);
  });

  it('with another gateway takes that', async () => {
    // The router has a second address.
    execFileSync('ip', ['-n', lab.node('router0').namespace, 'addr', 'add', '10.1.0.9/24', 'dev', 'lan']);
    ip('route replace default via 10.1.0.9 dev wifi0 metric 50');
    await eventually('the new way', () => waysToServer().includes('10.1.0.9 wifi0'));
    expect(waysToServer()).toHaveLength(2);
    await bothCarry();
  });

  it('is not moved, nor disturbed, by what strangers send to the server’s port', async () => {
    const stranger = bindUdp(lab.node('router0'), '10.101.0.1', 0);
    try {
      for (let i = 0; i < 3000; i++) {
        // The head of a keepalive with Weft's mark and extension, and anything behind it.
        const datagram = randomBytes(45 + (i % 120));
        Buffer.from('00000800a1', 'hex').copy(datagram);
        if (i % 3 > 0) datagram[44] = 0x57;
        // oxlint-disable-next-line no-await-in-loop -- as fast as the socket takes them
        await new Promise((resolve) => {
          stranger.send(datagram, 4754, SERVER_ADDRESS, resolve);
        });
      }
      await bothCarry();
    } finally {
      stranger.close();
    }
    const { paths } = await server.connection();
    expect(paths.map(({ remoteAddress }) => remoteAddress)).toEqual(['10.1.0.2', '10.2.0.2']);
    expect(server.program.stderr.split('\n').length).toBeLessThan(20);
  });

  it('without any uplink waits, and goes on when they come back', async () => {
    lab.uplink(0).down();
    lab.uplink(1).unplug();
    await client.pathsAre(129, 129);
    await server.pathsAre(128, 128);
    lab.uplink(1).plug();
    lab.uplink(0).up();
    await bothCarry();
    await eventually('the routes', () => waysToServer().join() === bothWays.join());
    expect(await client.stop()).toBe(0);
    expect(waysToServer()).toEqual([]);
  });
});

describe('behind a NAT on each uplink, without any mapping', () => {
  const masquerade = async (router: string, ports: string) => {
    const { code, stderr } = await lab
      .node(router)
      .run([
        'nft',
        `table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan" meta l4proto udp masquerade to :${ports}; }; }`,
      ]);
    expect(code, stderr).toBe(0);
  };

  it('a server with one address finds both paths at the ports that the NATs chose', async () => {
    await masquerade('router0', '40000-40999');
    await masquerade('router1', '41000-41999');
    await start(['10.101.0.1', '10.102.0.1']);
    await bothCarry();
    const { paths } = await server.connection();
    expect(paths.map(({ remoteAddress }) => remoteAddress)).toEqual(['10.101.0.1', '10.102.0.1']);
    expect(paths.map(({ remotePort }) => Math.floor(remotePort / 1000))).toEqual([40, 41]);
    await eventually('the client to know what the server sees', async () => {
      const { paths: own } = await client.connection();
      return own.map(({ publicAddress }) => publicAddress).join() === '10.101.0.1,10.102.0.1';
    });
    // The client gets other addresses behind them, and from them other ports.
    lab.uplink(0).changeAddresses(66);
    await eventually('the other port', async () => {
      const [first] = (await server.connection()).paths;
      return first!.remotePort !== paths[0]!.remotePort && first!.status === 0;
    });
    await bothCarry();
  });
});
