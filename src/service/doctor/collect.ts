/**
 * Collects the facts of this host for the checks. Reads netlink, /proc and one probe socket; changes nothing. What
 * cannot be read is left out, so a broken or restricted host still gets its diagnosis.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { AF_INET, errorText } from '../../base/index.ts';
import { openStreamSocket, PathManager, readCounters } from '../../mptcp/index.ts';
import { closeFd, ENODEV } from '../../native/index.ts';
import { NetlinkError, RouteNetlink } from '../../netlink/index.ts';
import { findPaths, tunnelOfDefaultTraffic, uplinkCount, type HostView } from '../../routing/index.ts';
import { collectFirewall } from './collect-firewall.ts';
import { collectPeer, lookUp, readMptcpSockets, tallyOf, type PeerQuestion } from './collect-peer.ts';
import type { FirewallFacts, HostFacts, LookupFact, PathFact, RunningFact } from './facts.ts';

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

function readText(path: string): string | undefined {
  return attempt(() => readFileSync(path, 'utf8').trim());
}

/** Names under /proc/sys/net that the checks look at, beside those of MPTCP. */
const SYSCTL_NAMES = ['netfilter/nf_conntrack_count', 'netfilter/nf_conntrack_tcp_be_liberal'];

function readSysctls(links: readonly string[]): Map<string, string> {
  const names = [...SYSCTL_NAMES];
  for (const name of attempt(() => readdirSync('/proc/sys/net/mptcp')) ?? []) names.push(`mptcp/${name}`);
  for (const link of ['all', ...links]) names.push(`ipv4/conf/${link}/rp_filter`);
  const values = new Map<string, string>();
  for (const name of names) {
    const value = readText(`/proc/sys/net/${name}`);
    if (value !== undefined) values.set(`net.${name.replaceAll('/', '.')}`, value);
  }
  return values;
}

function probeMptcpSocket(): HostFacts['mptcpSocket'] {
  try {
    const socket = openStreamSocket(AF_INET);
    closeFd(socket.fd);
    return socket.protocol === 'mptcp'
      ? { ok: true }
      : { ok: false, reason: socket.fallbackReason ?? 'unknown' };
  } catch (error) {
    return { ok: false, reason: errorText(error) };
  }
}

/** An index that no link has: the kernel judges the right before it looks for the link. */
const NO_SUCH_LINK = 0x7fff_fff0;

/** Asks the kernel, because CapEff says nothing about who owns the network namespace. */
function probeNetAdmin(netlink: RouteNetlink): boolean | undefined {
  try {
    netlink.setLink(NO_SUCH_LINK, {});
    return undefined;
  } catch (error) {
    if (!(error instanceof NetlinkError)) return undefined;
    if (error.code === 'EPERM') return false;
    return error.errno === ENODEV ? true : undefined;
  }
}

/** Addresses for documentation: behind every default route, on no network of this host, and nothing is sent. */
const FAR_AWAY_4 = '192.0.2.1';
const FAR_AWAY_6 = '2001:db8:ffff:ffff::1';

function lookUpAll(netlink: RouteNetlink, paths: readonly PathFact[]): LookupFact[] {
  return paths.map((path) => {
    const destination = path.address.includes(':') ? FAR_AWAY_6 : FAR_AWAY_4;
    return {
      path,
      destination,
      bySource: lookUp(netlink, path, destination, false),
      byLink: lookUp(netlink, path, destination, true),
    };
  });
}

type RoutingFacts = Pick<
  HostFacts,
  | 'netAdmin'
  | 'links'
  | 'addresses'
  | 'rules'
  | 'paths'
  | 'uplinkCount'
  | 'tunnel'
  | 'ignoredLinks'
  | 'lookups'
>;

function collectRouting(netlink: RouteNetlink): RoutingFacts {
  const view: HostView = {
    links: netlink.links(),
    addresses: netlink.addresses(),
    routes: netlink.routes(),
    rules: netlink.rules(),
  };
  const found = findPaths(view);
  const paths = found.paths
    .filter(({ state }) => state === 'usable')
    .map((path): PathFact => {
      const gateway = path.defaultRoute?.gateway;
      const { linkName: link, linkIndex, address } = path;
      return gateway === undefined ? { link, linkIndex, address } : { link, linkIndex, address, gateway };
    });
  const unusable = found.paths.flatMap(({ linkName, address, why }) =>
    why === undefined ? [] : [{ link: `${linkName} ${address}`, why }],
  );
  const tunnel = tunnelOfDefaultTraffic(view)?.name;
  const netAdmin = probeNetAdmin(netlink);
  return {
    ...(netAdmin === undefined ? {} : { netAdmin }),
    links: view.links,
    addresses: view.addresses,
    rules: view.rules,
    paths,
    uplinkCount: uplinkCount(found.paths),
    ...(tunnel === undefined ? {} : { tunnel }),
    ignoredLinks: [
      ...unusable,
      // Everybody has loopback; it is not news.
      ...found.ignoredLinks
        .filter(({ why }) => why !== 'loopback')
        .map(({ name, why }) => ({ link: name, why })),
    ],
    lookups: lookUpAll(netlink, paths),
  };
}

function collectPathManager(): Pick<HostFacts, 'endpoints' | 'limits'> {
  const manager = attempt(() => PathManager.open());
  if (manager === undefined) return {};
  try {
    const endpoints = attempt(() => manager.endpoints());
    const limits = attempt(() => manager.limits());
    return { ...(endpoints === undefined ? {} : { endpoints }), ...(limits === undefined ? {} : { limits }) };
  } finally {
    manager.close();
  }
}

export interface CollectOptions {
  /** Of an earlier look: listing packet filter rules is what costs most. */
  readonly firewall?: FirewallFacts;
}

/**
 * Synchronous: it looks at the network namespace of the calling thread.
 * @param running what the Weft of this namespace says of itself, when there is one
 */
export function collectFacts(running?: RunningFact, options: CollectOptions = {}): HostFacts {
  const { firewall } = options;
  const netlink = attempt(() => RouteNetlink.open());
  try {
    const routing = netlink === undefined ? {} : (attempt(() => collectRouting(netlink)) ?? {});
    const counters = attempt(() => readCounters());
    const sockets = attempt(readMptcpSockets);
    return {
      time: Date.now(),
      platform: process.platform,
      architecture: process.arch,
      kernelRelease: release(),
      mptcpSocket: probeMptcpSocket(),
      sysctls: readSysctls(routing.links?.map(({ name }) => name) ?? []),
      ...routing,
      ...collectPathManager(),
      ...(counters === undefined ? {} : { counters }),
      ...(sockets === undefined ? {} : { tally: tallyOf(sockets) }),
      firewall: firewall ?? collectFirewall(),
      ...(running === undefined ? {} : { running }),
    };
  } finally {
    netlink?.close();
  }
}

/**
 * The same facts with those of one connection's other end, and with what changes from moment to moment read anew.
 * Synchronous, as `collectFacts`.
 */
export function withPeer(host: HostFacts, peer: PeerQuestion): HostFacts {
  const counters = attempt(() => readCounters());
  const sockets = attempt(readMptcpSockets) ?? [];
  const netlink = attempt(() => RouteNetlink.open());
  try {
    return {
      ...host,
      time: Date.now(),
      ...collectPathManager(),
      ...(counters === undefined ? {} : { counters }),
      peer: collectPeer(peer, host, sockets, netlink),
    };
  } finally {
    netlink?.close();
  }
}
