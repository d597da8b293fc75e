/**
 * A host with one path of its own and one behind a NAT router, and the host at the other end:
 *
 *      eth1 10.1.1.2 ───────────────────────────────────────── eth1 10.1.1.3
 *   a                                                                          b   208.67.222.222 on loopback
 *      eth2 192.168.7.2 ── lan 192.168.7.1  nat  wan 198.51.100.1 ── eth2 198.51.100.3
 *
 * `a` has a default route by the router; `b` answers as the name server that tells who asks.
 */
import type { Socket } from 'node:dgram';
import { AF_INET } from '../../src/base/index.ts';
import { BuiltTopology, prefix, type LabNode } from '../../src/lab/index.ts';
import { NetlinkConnection } from '../../src/netlink/index.ts';
import { MptPeer } from './mpt-peer.ts';
import {
  COMMAND_PORT,
  DATA_PORTS,
  interfaceText,
  section,
  tunnelAddress,
  TunnelFolder,
  type FolderTexts,
  type Keys,
  type Side,
} from './tunnel-config.ts';
import { TunnelServer } from './tunnel-lab.ts';
import { bindUdp } from './tunnel-traffic.ts';

const NETLINK_NETFILTER = 12;
const DELETE_MAPPINGS = (1 << 8) | 2;

export const RESOLVER = '208.67.222.222';
export const WAN = '198.51.100.1';

export interface NatOptions {
  /** Keys of the connection at both ends. */
  readonly connection?: Keys;
  /** Keys of all paths at both ends. */
  readonly path?: Keys;
  /** Sides that have no connection, only the template. */
  readonly empty?: Side;
  readonly acceptRemote?: boolean;
}

const PATHS: Readonly<Record<Side, readonly Keys[]>> = {
  a: [
    {
      interface_name: 'eth1',
      public_ipaddr: '10.1.1.2',
      private_ipaddr: '10.1.1.2',
      gw_ipaddr: '10.1.1.2',
      remote_ipaddr: '10.1.1.3',
    },
    {
      interface_name: 'eth2',
      public_ipaddr: '0.0.0.0',
      private_ipaddr: '0.0.0.0',
      gw_ipaddr: '0.0.0.0',
      remote_ipaddr: '198.51.100.3',
    },
  ],
  b: [
    {
      interface_name: 'eth1',
      public_ipaddr: '10.1.1.3',
      private_ipaddr: '10.1.1.3',
      gw_ipaddr: '10.1.1.3',
      remote_ipaddr: '10.1.1.2',
    },
    {
      interface_name: 'eth2',
      public_ipaddr: '198.51.100.3',
      private_ipaddr: '198.51.100.3',
      gw_ipaddr: '198.51.100.3',
      remote_ipaddr: WAN,
    },
  ],
};

const OTHER = { a: 'b', b: 'a' } as const;

function connectionText(side: Side, options: NatOptions, isTemplate: boolean): string {
  return [
    section('connection', {
      name: `nat_${side}`,
      permission: 3,
      ip_ver: 4,
      ip_local: tunnelAddress(side, 4),
      local_port: isTemplate ? 65_060 : DATA_PORTS[4],
      ip_remote: isTemplate ? undefined : tunnelAddress(OTHER[side], 4),
      remote_port: DATA_PORTS[4],
      remote_cmd_port: COMMAND_PORT,
      path_count: 2,
      network_count: 0,
      status: 0,
      reorder_window: 0,
      auth_type: 0,
      ...options.connection,
    }),
    ...PATHS[side].map((keys, index) =>
      section(`path_${index}`, {
        ip_ver: 4,
        ...keys,
        keepalive_time: 1,
        dead_time: 3,
        weight_in: 1,
        weight_out: 1,
        ...options.path,
      }),
    ),
  ].join('');
}

function textsOf(side: Side, options: NatOptions): FolderTexts {
  return {
    interface: interfaceText(side, { acceptRemote: options.acceptRemote === true }),
    template: connectionText(side, options, true),
    connections: options.empty === side ? {} : { 'ipv4.conf': connectionText(side, options, false) },
  };
}

/** An A record for the question, by hand. */
function answerTo(question: Uint8Array, address: string): Uint8Array {
  const head = Uint8Array.from(question);
  head.set([0x81, 0x80], 2);
  head.set([0, 1], 6);
  return Uint8Array.from([
    ...head,
    0xc0,
    0x0c,
    0,
    1,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    4,
    ...address.split('.').map(Number),
  ]);
}

export class NatLab {
  readonly built: BuiltTopology;
  readonly #resolver: Socket;
  #mapsPorts = false;
  /** Who asked the name server, in turn. UNBOUNDED: a few in a test. */
  readonly asked: string[] = [];
  readonly #servers: TunnelServer[] = [];
  readonly #peers: MptPeer[] = [];
  readonly #folders: TunnelFolder[] = [];

  private constructor(built: BuiltTopology) {
    this.built = built;
    this.#resolver = bindUdp(this.node('b'), RESOLVER, 53);
    this.#resolver.on('message', (question, from) => {
      this.asked.push(from.address);
      this.#resolver.send(answerTo(question, from.address), from.port, from.address);
    });
  }

  static async build(): Promise<NatLab> {
    const built = await BuiltTopology.build({
      nodes: [
        { name: 'a', routes: [{ gateway: '192.168.7.1', link: 'eth2' }] },
        { name: 'b', addresses: [prefix(`${RESOLVER}/32`)], routes: [] },
        {
          name: 'nat',
          forwards: true,
          routes: [{ destination: prefix(`${RESOLVER}/32`), gateway: '198.51.100.3', link: 'wan' }],
        },
      ],
      links: [
        {
          name: 'direct',
          ends: [
            { node: 'a', name: 'eth1', addresses: [prefix('10.1.1.2/24')] },
            { node: 'b', name: 'eth1', addresses: [prefix('10.1.1.3/24')] },
          ],
        },
        {
          name: 'inside',
          ends: [
            { node: 'a', name: 'eth2', addresses: [prefix('192.168.7.2/24')] },
            { node: 'nat', name: 'lan', addresses: [prefix('192.168.7.1/24')] },
          ],
        },
        {
          name: 'outside',
          ends: [
            { node: 'nat', name: 'wan', addresses: [prefix(`${WAN}/24`)] },
            { node: 'b', name: 'eth2', addresses: [prefix('198.51.100.3/24')] },
          ],
        },
      ],
    });
    return new NatLab(built);
  }

  node(name: 'a' | 'b' | 'nat'): LabNode {
    return this.built.node(name);
  }

  async nft(program: string): Promise<void> {
    const { code, stderr } = await this.node('nat').run(['nft', program]);
    if (code !== 0) throw new Error(`nft: ${stderr}`);
  }

  /** What goes out has the router's address, and ports from this range; nothing comes in that was not asked for. */
  async masquerade(ports = '40000-40999'): Promise<void> {
    await this.nft(
      `table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan" meta l4proto udp masquerade to :${ports}; }; }`,
    );
  }

  /** As MPT needs it: the data port and the command port stay, in both directions. */
  async mapPorts(address = WAN): Promise<void> {
    this.#mapsPorts = true;
    await this.nft(
      `table ip nat {
         chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; };
         chain pre { type nat hook prerouting priority -100; iifname "wan" ip daddr ${address} udp dport { ${DATA_PORTS[4]}, ${COMMAND_PORT} } dnat to 192.168.7.2; };
       }`,
    );
  }

  /** The router forgets who talks to whom (IPCTNL_MSG_CT_DELETE of all, <linux/netfilter/nfnetlink_conntrack.h>). */
  forgetMappings(): void {
    const netlink = this.node('nat').inside(() => new NetlinkConnection(NETLINK_NETFILTER));
    try {
      netlink.request(DELETE_MAPPINGS, 0, Uint8Array.of(AF_INET, 0, 0, 0), 'forget the mappings');
    } finally {
      netlink.close();
    }
  }

  /** The provider gives the router another address: its mappings end with the old one. */
  async changeWan(from: string, to: string): Promise<void> {
    if (this.#mapsPorts) {
      await this.nft('delete table ip nat');
      await this.mapPorts(to);
    }
    const { netlink } = this.node('nat');
    const linkIndex = this.node('nat').linkIndex('wan');
    netlink.addAddress({ linkIndex, address: to, prefixLength: 24 });
    netlink.deleteAddress({ linkIndex, address: from, prefixLength: 24 });
    // The other one moves up, or goes with its primary; either way it is there afterwards.
    if (!netlink.addresses().some((own) => own.address === to)) {
      netlink.addAddress({ linkIndex, address: to, prefixLength: 24 });
    }
    netlink.addRoute(
      {
        destination: prefix(`${RESOLVER}/32`),
        table: 254,
        gateway: '198.51.100.3',
        linkIndex,
      },
      { replace: true },
    );
    this.forgetMappings();
  }

  folder(side: Side, options: NatOptions = {}): TunnelFolder {
    const folder = new TunnelFolder(textsOf(side, options));
    this.#folders.push(folder);
    return folder;
  }

  async start(side: Side, options: NatOptions = {}): Promise<TunnelServer> {
    const server = await TunnelServer.start(this.node(side), this.folder(side, options));
    this.#servers.push(server);
    return server;
  }

  startPeer(side: Side, options: NatOptions = {}): MptPeer {
    const peer = MptPeer.start(this.node(side), textsOf(side, options));
    this.#peers.push(peer);
    return peer;
  }

  async close(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.stop()));
    const running = this.#servers.filter(
      ({ program }) => program.process.exitCode === null && program.process.signalCode === null,
    );
    await Promise.allSettled(running.map((server) => server.stop()));
    this.#resolver.close();
    await this.built.close();
    for (const folder of this.#folders) folder.remove();
  }
}
