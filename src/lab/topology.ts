/**
 * What a lab consists of, as plain data (pure): nodes, links with rate and delay, addresses, routes. builder.ts
 * makes it real. Also the standard topology of demos and tests.
 *
 * A link with a user-space part stands for what lies between two machines (radio, cable, provider): it has delay,
 * it can be cut without either end noticing, and it counts. Each end of it is a veth of its own whose other end is
 * in the node "air", where the worker carries frames from one to the other. A link without it is one veth.
 */
import { parseIp, type Prefix } from '../base/ip.ts';
import { WeftError } from '../base/errors.ts';

export interface LinkEnd {
  readonly node: string;
  /** At most 15 characters, as the kernel wants. */
  readonly name: string;
  /** With prefix length. IPv6 link-local ones are welcome. */
  readonly addresses: readonly Prefix[];
  /** How fast this end sends; absent: as fast as it can. */
  readonly rateBps?: number;
}

export interface LinkDescription {
  /** Unique in the topology. */
  readonly name: string;
  readonly ends: readonly [LinkEnd, LinkEnd];
  /** Present: the link has a user-space part with this delay, one way (0 is allowed). */
  readonly delayMs?: number;
}

export interface RouteDescription {
  /** Absent for the default route; `gateway` then says the family. */
  readonly destination?: Prefix;
  readonly gateway: string;
  /** Name of the node's link. */
  readonly link: string;
  readonly metric?: number;
  /** RTPROT_*; 16 is a DHCP client, 9 a router advertisement. */
  readonly protocol?: number;
}

export interface NodeDescription {
  readonly name: string;
  /** Passes packets on between its links. */
  readonly forwards?: boolean;
  /** Addresses on loopback. */
  readonly addresses?: readonly Prefix[];
  readonly routes: readonly RouteDescription[];
}

export interface Topology {
  readonly nodes: readonly NodeDescription[];
  readonly links: readonly LinkDescription[];
}

/** The node in which the user-space links live; made when a link has a delay. */
export const AIR = 'air';

const RTPROT_DHCP = 16;
const RTPROT_RA = 9;

export function prefix(text: string): Prefix {
  const [address = '', length = ''] = text.split('/');
  return { address, length: Number(length) };
}

function fail(what: string): never {
  throw new WeftError(`the topology is wrong: ${what}`, { code: 'BAD_TOPOLOGY' });
}

function checkPrefix({ address, length }: Prefix): void {
  const bytes = parseIp(address);
  if (bytes === undefined || !(length >= 0 && length <= bytes.length * 8)) {
    fail(`"${address}/${length}" is not an address with a prefix length`);
  }
}

/** Finds the mistakes that the kernel would report in words that name nothing. Throws WeftError BAD_TOPOLOGY. */
export function checkTopology(topology: Topology): void {
  const nodes = new Map<string, Set<string>>();
  for (const node of topology.nodes) {
    if (nodes.has(node.name) || node.name === AIR) fail(`two nodes have the name "${node.name}"`);
    nodes.set(node.name, new Set());
  }
  const linkNames = new Set<string>();
  for (const link of topology.links) {
    if (linkNames.has(link.name)) fail(`two links have the name "${link.name}"`);
    linkNames.add(link.name);
    if (link.delayMs !== undefined && !(link.delayMs >= 0)) fail(`link "${link.name}" has no sensible delay`);
    for (const end of link.ends) {
      const names =
        nodes.get(end.node) ?? fail(`link "${link.name}" leads to "${end.node}", which is no node`);
      if (!/^[^\s/:]{1,15}$/.test(end.name)) fail(`"${end.name}" is not a link name`);
      if (names.has(end.name)) fail(`node "${end.node}" has two links "${end.name}"`);
      names.add(end.name);
      if (end.rateBps !== undefined && !(end.rateBps >= 1000)) fail(`"${end.name}" has no sensible rate`);
      end.addresses.forEach(checkPrefix);
    }
  }
  for (const node of topology.nodes) {
    (node.addresses ?? []).forEach(checkPrefix);
    for (const route of node.routes) {
      if (route.destination !== undefined) checkPrefix(route.destination);
      if (parseIp(route.gateway) === undefined) fail(`"${route.gateway}" is not a gateway`);
      if (nodes.get(node.name)?.has(route.link) !== true) {
        fail(`node "${node.name}" has a route over "${route.link}", which it does not have`);
      }
    }
  }
}

/** One uplink of the standard topology. */
export interface UplinkOptions {
  /** Link name in the client, such as `wifi0`. */
  readonly name: string;
  /** Of each direction, bits per second. */
  readonly rateBps: number;
  /** One way; the round trip has twice this. */
  readonly delayMs: number;
}

/** Where the standard topology's servers listen. */
export const SERVER_ADDRESS = '203.0.113.10';
export const SERVER_ADDRESS_6 = '2001:db8:9::10';

/** What a DHCP client and router advertisements give the client on its uplink number `index`. */
export function uplinkConfiguration(
  index: number,
  host = 2,
): {
  readonly addresses: readonly Prefix[];
  readonly routes: readonly Omit<RouteDescription, 'link'>[];
} {
  const metric = 100 * (index + 1);
  return {
    addresses: [prefix(`10.${index + 1}.0.${host}/24`), prefix(`2001:db8:${index + 1}::${host}/64`)],
    routes: [
      { gateway: `10.${index + 1}.0.1`, metric, protocol: RTPROT_DHCP },
      // As in real networks the IPv6 gateway is link-local, and the same on every link.
      { gateway: 'fe80::1', metric, protocol: RTPROT_RA },
    ],
  };
}

/**
 * ```
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 * ```
 * The client has what DHCP would give it: an address and a default route for each uplink (IPv4 and IPv6), the
 * second with a larger metric, and no rules. Both directions of an uplink have its rate: the router's `lan` end
 * downwards, its `wan` end upwards. `~~~` is the user-space link.
 */
export function describeUplinks(uplinks: readonly UplinkOptions[]): Topology {
  const nodes: NodeDescription[] = [];
  const links: LinkDescription[] = [];
  const clientRoutes: RouteDescription[] = [];
  const serverRoutes: RouteDescription[] = [];
  for (const [index, uplink] of uplinks.entries()) {
    const net = index + 1;
    const { addresses, routes } = uplinkConfiguration(index);
    const router = `router${index}`;
    clientRoutes.push(...routes.map((route) => Object.assign({ link: uplink.name }, route)));
    links.push({
      name: uplink.name,
      delayMs: uplink.delayMs,
      ends: [
        { node: 'client', name: uplink.name, addresses },
        {
          node: router,
          name: 'lan',
          addresses: [prefix(`10.${net}.0.1/24`), prefix(`2001:db8:${net}::1/64`), prefix('fe80::1/64')],
          rateBps: uplink.rateBps,
        },
      ],
    });
    links.push({
      name: `${router}-server`,
      ends: [
        {
          node: router,
          name: 'wan',
          addresses: [prefix(`10.10${net}.0.1/24`), prefix(`2001:db8:10${net}::1/64`)],
          rateBps: uplink.rateBps,
        },
        {
          node: 'server',
          name: `up${index}`,
          addresses: [prefix(`10.10${net}.0.2/24`), prefix(`2001:db8:10${net}::2/64`)],
        },
      ],
    });
    nodes.push({
      name: router,
      forwards: true,
      routes: [
        { destination: prefix(`${SERVER_ADDRESS}/32`), gateway: `10.10${net}.0.2`, link: 'wan' },
        { destination: prefix(`${SERVER_ADDRESS_6}/128`), gateway: `2001:db8:10${net}::2`, link: 'wan' },
      ],
    });
    serverRoutes.push(
      { destination: prefix(`10.${net}.0.0/24`), gateway: `10.10${net}.0.1`, link: `up${index}` },
      { destination: prefix(`2001:db8:${net}::/64`), gateway: `2001:db8:10${net}::1`, link: `up${index}` },
    );
  }
  nodes.push(
    { name: 'client', routes: clientRoutes },
    {
      name: 'server',
      addresses: [prefix(`${SERVER_ADDRESS}/32`), prefix(`${SERVER_ADDRESS_6}/128`)],
      routes: serverRoutes,
    },
  );
  return { nodes, links };
}
