/**
 * Which paths a host has (pure): every address of an uplink, whether it can be used now, and in words why not.
 * A path is one address; what makes two of them worth having is that they leave by different doors (uplinkCount).
 *
 * Invariant: the answer depends on the view and the choice alone, and its order is the same for the same host.
 */
import { inPrefix, isIpv6, isLinkLocal, isLoopback, type Family, type Prefix } from '../base/index.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_TEMPORARY,
  IFA_F_TENTATIVE,
  IFF_RUNNING,
  IFF_UP,
  RT_SCOPE_UNIVERSE,
  type InterfaceAddress,
  type Link,
} from '../netlink/index.ts';
import { defaultRouteFor, type DefaultRoute } from './default-route.ts';
import type { HostView, LinkChoice } from './host.ts';
import { whyIgnored } from './links.ts';

/** `usable`; `waiting`: will be without anyone's help, or with a route; `down`: its link does not carry. */
export type PathState = 'usable' | 'waiting' | 'down';

/** Why a path is not usable, for programs; `why` says it to people. */
export type PathCause = 'link-off' | 'no-carrier' | 'duplicate' | 'tentative' | 'no-route' | 'twin';

export interface HostPath {
  readonly linkIndex: number;
  readonly linkName: string;
  readonly family: Family;
  readonly address: string;
  readonly prefixLength: number;
  readonly state: PathState;
  /** Present, with `why`, when the state is not `usable`. */
  readonly cause?: PathCause;
  readonly why?: string;
  /** The link's default route for this address; a `down` path may still have one. */
  readonly defaultRoute?: DefaultRoute;
}

export interface IgnoredLink {
  readonly name: string;
  readonly why: string;
}

export interface HostPaths {
  /** Most important first: one of every uplink and family before the second ones. */
  readonly paths: readonly HostPath[];
  readonly ignoredLinks: readonly IgnoredLink[];
}

/** RFC 4193: reaches no farther than the site, so it is used only on a link that has nothing better. */
const UNIQUE_LOCAL: Prefix = { address: 'fc00::', length: 7 };
const MULTICAST_V4: Prefix = { address: '224.0.0.0', length: 4 };

function isGlobal(address: InterfaceAddress): boolean {
  const text = address.address;
  return (
    address.scope === RT_SCOPE_UNIVERSE &&
    !isLinkLocal(text) &&
    !isLoopback(text) &&
    !inPrefix(text, MULTICAST_V4) &&
    (address.flags & IFA_F_DEPRECATED) === 0
  );
}

/** For IPv4 the same bit says "secondary", which is no reason against an address. */
const isTemporary = (address: InterfaceAddress) =>
  isIpv6(address.address) && (address.flags & IFA_F_TEMPORARY) !== 0;

const isUniqueLocal = (address: InterfaceAddress) => inPrefix(address.address, UNIQUE_LOCAL);

/** The addresses of one link that may be a path's, in the kernel's order. */
function eligibleAddresses(link: Link, view: HostView): InterfaceAddress[] {
  const global = view.addresses.filter((address) => address.linkIndex === link.index && isGlobal(address));
  const v6 = global.filter((address) => isIpv6(address.address));
  const stableExists = v6.some((address) => !isTemporary(address));
  const publicExists = v6.some((address) => !isUniqueLocal(address));
  return global.filter(
    (address) =>
      !(stableExists && isTemporary(address)) &&
      !(isIpv6(address.address) && publicExists && isUniqueLocal(address)),
  );
}

const CAUSES: Readonly<Record<PathCause, { readonly state: PathState; readonly why: string }>> = {
  'link-off': { state: 'down', why: 'the link is switched off' },
  'no-carrier': { state: 'down', why: 'the link has no carrier (cable out, or no radio contact)' },
  duplicate: { state: 'down', why: 'another host has the same address (duplicate address detection)' },
  tentative: { state: 'waiting', why: 'the kernel is still checking that no other host has the address' },
  'no-route': { state: 'waiting', why: 'the link has no default route' },
  twin: { state: 'waiting', why: 'another link has the same address, and packets cannot be told apart' },
};

const unusable = (cause: PathCause) => ({ cause, ...CAUSES[cause] });

function judge(
  link: Link,
  address: InterfaceAddress,
  route: DefaultRoute | undefined,
): Pick<HostPath, 'state' | 'cause' | 'why'> {
  if ((link.flags & IFF_UP) === 0) return unusable('link-off');
  if ((link.flags & IFF_RUNNING) === 0) return unusable('no-carrier');
  if ((address.flags & IFA_F_DADFAILED) !== 0) return unusable('duplicate');
  if ((address.flags & IFA_F_TENTATIVE) !== 0) return unusable('tentative');
  if (route === undefined) return unusable('no-route');
  return { state: 'usable' };
}

function pathOf(link: Link, address: InterfaceAddress, view: HostView): HostPath {
  const defaultRoute = defaultRouteFor(address, view);
  return {
    linkIndex: link.index,
    linkName: link.name,
    family: address.family,
    address: address.address,
    prefixLength: address.prefixLength,
    ...judge(link, address, defaultRoute),
    ...(defaultRoute === undefined ? {} : { defaultRoute }),
  };
}

/** The door a path leaves by. Two paths with the same one add nothing to each other. */
function uplinkOf(path: HostPath): string {
  return `${path.family} ${path.linkIndex} ${path.defaultRoute?.gateway ?? ''}`;
}

/**
 * How many doors one connection can use: the larger of IPv4's and IPv6's count, because a connection's subflows
 * are all of one family.
 */
export function uplinkCount(paths: readonly HostPath[]): number {
  const doors = new Map<Family, Set<string>>();
  for (const path of paths) {
    if (path.state !== 'usable') continue;
    const known = doors.get(path.family) ?? new Set();
    doors.set(path.family, known.add(uplinkOf(path)));
  }
  return Math.max(0, ...[...doors.values()].map((set) => set.size));
}

/** The same address on two links: the kernel's rules and endpoints cannot tell them apart, so the first wins. */
function withoutTwins(paths: readonly HostPath[]): HostPath[] {
  const owners = new Map<string, HostPath>();
  return paths.map((path) => {
    if (path.state !== 'usable') return path;
    const owner = owners.get(path.address);
    if (owner === undefined) {
      owners.set(path.address, path);
      return path;
    }
    const why = `link "${owner.linkName}" has the same address, and packets of the two cannot be told apart`;
    return { ...path, ...unusable('twin'), why };
  });
}

/** Orders by importance, for when not all get an endpoint: doors before spare addresses, then the host's taste. */
function byImportance(paths: readonly HostPath[]): HostPath[] {
  const stateRank = { usable: 0, waiting: 1, down: 2 };
  const taste = paths.toSorted(
    (a, b) =>
      stateRank[a.state] - stateRank[b.state] ||
      (a.defaultRoute?.metric ?? Infinity) - (b.defaultRoute?.metric ?? Infinity) ||
      a.linkIndex - b.linkIndex ||
      a.family - b.family ||
      (a.address < b.address ? -1 : 1),
  );
  const perDoor = new Map<string, number>();
  const turns = new Map<HostPath, number>();
  for (const path of taste) {
    const turn = perDoor.get(uplinkOf(path)) ?? 0;
    turns.set(path, turn);
    perDoor.set(uplinkOf(path), turn + 1);
  }
  // toSorted is stable: within one turn the order of taste remains.
  return taste.toSorted(
    (a, b) => stateRank[a.state] - stateRank[b.state] || (turns.get(a) ?? 0) - (turns.get(b) ?? 0),
  );
}

export function findPaths(view: HostView, choice: LinkChoice = {}): HostPaths {
  const ignoredLinks: IgnoredLink[] = [];
  const paths: HostPath[] = [];
  for (const link of view.links) {
    const why = whyIgnored(link, view, choice);
    const addresses = why === undefined ? eligibleAddresses(link, view) : [];
    if (why !== undefined) ignoredLinks.push({ name: link.name, why });
    else if (addresses.length === 0) ignoredLinks.push({ name: link.name, why: 'no global address' });
    for (const address of addresses) paths.push(pathOf(link, address, view));
  }
  return { paths: withoutTwins(byImportance(paths)), ignoredLinks };
}
