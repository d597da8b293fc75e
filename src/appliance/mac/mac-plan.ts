/**
 * What an appliance needs of a Mac (pure): which links are uplinks, which addresses the cables get, and the commands that
 * make all of it and take it back. Nothing is run here. Not tried on a Mac yet (docs/appliance.md).
 *
 *   en0 (192.168.1.7, alias 10.x.y.1/30) ══ vmnet-bridged ══ eth1 in the guest (10.x.y.2/30, default by 10.x.y.1)
 *   127.0.0.1:13128 ══ hostfwd of QEMU's user network ══ eth0 in the guest (10.0.2.15), where its proxy listens
 *
 * Invariants: what a plan makes has its own way back, and nothing else is changed: aliases by name, pf by a reference
 * and an anchor of our own, forwarding to what it was.
 *
 * References: pf.conf(5), pfctl(8), ifconfig(8), sysctl(8) of macOS; qemu-system(1), -netdev vmnet-bridged and user.
 */
import type { Prefix } from '../../base/index.ts';
import type { GuestLink } from '../guest/protocol.ts';
import { endsOf, PrefixChooser } from './mac-prefixes.ts';
import type { DefaultRouteOutput, HardwarePort, Interface } from './outputs.ts';

/** A program with its arguments, never a line for a shell. */
export interface MacCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** On standard input. */
  readonly input?: string;
}

export interface MacSituation {
  readonly ports: readonly HardwarePort[];
  readonly interfaces: readonly Interface[];
  /** The route that this Mac's own traffic takes. */
  readonly preferred?: DefaultRouteOutput;
  /** Of each device that has a default route, its gateway: `route -n get -ifscope DEVICE default`. */
  readonly gateways: ReadonlyMap<string, string>;
  /** Networks that are reachable by some route. */
  readonly routes: readonly Prefix[];
  /** Devices; empty: every port that is active. */
  readonly wanted: readonly string[];
  readonly exclude: readonly string[];
}

export interface MacUplink {
  readonly device: string;
  readonly port: string;
  /** 1 to 8; of the guest's card. */
  readonly slot: number;
  readonly mac: string;
  /** The /30 between this Mac and the guest. */
  readonly prefix: Prefix;
  readonly host: string;
  readonly guest: string;
  /** The uplink's own router; absent on links without one. */
  readonly gateway?: string;
  readonly mtuBytes?: number;
  /** The default route is by it. */
  readonly preferred: boolean;
}

/** BOUNDED: as the guest has places for. */
const UPLINKS_MAX = 8;

/** Evaluated because macOS's own pf.conf has `nat-anchor "com.apple/*"`; a name of its own would need that file changed. */
export const PF_ANCHOR = 'com.apple/weft';

/** Locally administered, one for each slot. */
const macOf = (slot: number) => `02:77:65:66:74:${slot.toString(16).padStart(2, '0')}`;

/** The guest's end of QEMU's user network: 10.0.2.0/24 with these addresses is QEMU's own convention. */
export const USER_NETWORK = { guest: '10.0.2.15', length: 24, slot: 0, mac: macOf(0) } as const;

const isSelfAssigned = (address: string) => address.startsWith('169.254.');

function usablePorts({ exclude, interfaces, ports, wanted }: MacSituation): [HardwarePort, Interface][] {
  const byName = new Map(interfaces.map((item) => [item.name, item]));
  return ports.flatMap((port): [HardwarePort, Interface][] => {
    const item = byName.get(port.device);
    const isWanted = wanted.length === 0 || wanted.includes(port.device);
    if (item === undefined || !isWanted || exclude.includes(port.device)) return [];
    const hasAddress = item.addresses.some(({ address }) => !isSelfAssigned(address));
    return item.up && item.active && hasAddress ? [[port, item]] : [];
  });
}

/**
 * @param machineId something of this Mac's own, so that two of them on one LAN choose different addresses
 * @param before what is plugged in now: it keeps its slot and its addresses
 */
export function planMacUplinks(
  situation: MacSituation,
  machineId: string,
  before: readonly MacUplink[] = [],
): MacUplink[] {
  const aliases = new Set(before.map(({ host }) => host));
  const addresses = situation.interfaces.flatMap((item) =>
    item.addresses.filter(({ address }) => !aliases.has(address)),
  );
  const kept = new Map(before.map((uplink) => [uplink.device, uplink]));
  const chooser = new PrefixChooser(machineId, [
    ...addresses,
    ...situation.routes.filter((route) => !before.some(({ prefix }) => prefix.address === route.address)),
    ...before.map(({ prefix }) => prefix),
    { address: USER_NETWORK.guest, length: USER_NETWORK.length },
  ]);
  const slots = new Set(before.map(({ slot }) => slot));
  const freeSlot = () => {
    const slot = Array.from({ length: UPLINKS_MAX }, (_, i) => i + 1).find((number) => !slots.has(number));
    if (slot !== undefined) slots.add(slot);
    return slot;
  };
  return usablePorts(situation).flatMap(([{ device, port }, item]): MacUplink[] => {
    const preferred = situation.preferred?.device === device;
    const router = situation.gateways.get(device);
    const gateway = router === undefined ? {} : { gateway: router };
    const former = kept.get(device);
    if (former !== undefined) {
      const { gateway: _, ...same } = former;
      return [{ ...same, ...gateway, preferred }];
    }
    const slot = freeSlot();
    if (slot === undefined) return [];
    const prefix = chooser.choose(device);
    const mtu = item.mtuBytes === undefined ? {} : { mtuBytes: item.mtuBytes };
    return [
      { device, port, slot, mac: macOf(slot), prefix, ...endsOf(prefix), ...gateway, ...mtu, preferred },
    ];
  });
}

const MASK = '255.255.255.252';

export const aliasCommand = ({ device, host }: Pick<MacUplink, 'device' | 'host'>): MacCommand => ({
  program: '/sbin/ifconfig',
  args: [device, 'inet', host, 'netmask', MASK, 'alias'],
});

export const unaliasCommand = ({ device, host }: Pick<MacUplink, 'device' | 'host'>): MacCommand => ({
  program: '/sbin/ifconfig',
  args: [device, 'inet', host, '-alias'],
});

const FORWARDING = 'net.inet.ip.forwarding';

export const readForwardingCommand: MacCommand = { program: '/usr/sbin/sysctl', args: ['-n', FORWARDING] };

export const setForwardingCommand = (value: '0' | '1'): MacCommand => ({
  program: '/usr/sbin/sysctl',
  args: ['-w', `${FORWARDING}=${value}`],
});

/**
 * The anchor: each guest address leaves by its own link only, under that link's address; and this Mac, which now
 * forwards, forwards for nobody else.
 * @param guards `false`: it forwarded before, and what it forwards is its user's business
 */
export function pfRules(uplinks: readonly MacUplink[], guards: boolean): string {
  const lines = [
    ...uplinks.map(({ device, guest, prefix }) => {
      const own = `${prefix.address}/${prefix.length}`;
      return `nat on ${device} inet from ${guest} to ! ${own} -> (${device}:0)`;
    }),
    // By its own router, whatever this Mac's default route is; translation comes when it leaves by that link.
    ...uplinks.flatMap(({ device, gateway, guest }) =>
      gateway === undefined
        ? []
        : [`pass in quick on ${device} route-to (${device} ${gateway}) inet from ${guest} to any`],
    ),
    ...(guards
      ? uplinks.map(({ device }) => `block drop out quick on ${device} inet from ! (${device}) to any`)
      : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

const PFCTL = '/sbin/pfctl';

export const enablePfCommand: MacCommand = { program: PFCTL, args: ['-E'] };
export const releasePfCommand = (token: string): MacCommand => ({ program: PFCTL, args: ['-X', token] });
export const loadPfCommand = (rules: string): MacCommand => ({
  program: PFCTL,
  args: ['-a', PF_ANCHOR, '-f', '-'],
  input: rules,
});
export const flushPfCommand: MacCommand = { program: PFCTL, args: ['-a', PF_ANCHOR, '-F', 'all'] };

/** What the guest is told of a link. */
export function guestLinkOf({ guest, host, mac, mtuBytes, port, prefix, preferred }: MacUplink): GuestLink {
  return {
    mac,
    role: 'uplink',
    addresses: [`${guest}/${prefix.length}`],
    gateways: [host],
    metric: preferred ? 100 : 200,
    label: port,
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
  };
}

/** The link that only this Mac has; QEMU's user network answers for what it forwards. */
export const HOST_LINK: GuestLink = {
  mac: USER_NETWORK.mac,
  role: 'host',
  addresses: [`${USER_NETWORK.guest}/${USER_NETWORK.length}`],
  gateways: [],
};
