/**
 * What is to be changed so that a NIC of the guest is as the host wants it (pure): addresses and default routes,
 * compared with what the kernel says. Tables, rules and endpoints are not here: the supervisor makes those from
 * addresses and default routes, as on every host.
 *
 * Invariant: the plan of a NIC that is as wanted is empty.
 */
import {
  AF_INET,
  AF_INET6,
  canonicalIp,
  familyOf,
  isLinkLocal,
  WeftError,
  type Prefix,
} from '../../base/index.ts';
import type { AddressSpec, InterfaceAddress, Route, RouteSpec } from '../../netlink/index.ts';
import { IFA_F_NODAD, RT_TABLE_MAIN, RTN_UNICAST, RTPROT_STATIC } from '../../netlink/index.ts';
import type { GuestLink } from './protocol.ts';

const DEFAULT_METRIC = 100;

export interface LinkPlan {
  readonly addressesToDelete: readonly AddressSpec[];
  readonly addressesToAdd: readonly AddressSpec[];
  readonly routesToDelete: readonly RouteSpec[];
  readonly routesToAdd: readonly RouteSpec[];
}

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const MTU_MIN = 1280;
const MTU_MAX = 65_535;
/** BOUNDED: of one NIC. */
const ADDRESSES_MAX = 16;

const isTextList = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.length <= ADDRESSES_MAX && value.every((item) => typeof item === 'string');

const isOptionalInteger = (value: unknown, min: number, max: number): boolean =>
  value === undefined || (Number.isInteger(value) && (value as number) >= min && (value as number) <= max);

/** `10.0.7.2/30` */
function parseAddress(text: string): Prefix | undefined {
  const [, first = '', last = ''] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const address = canonicalIp(first);
  const length = Number(last);
  if (address === undefined || length > (familyOf(address) === AF_INET ? 32 : 128)) return undefined;
  return { address, length };
}

/** Why this is no GuestLink; `undefined` when it is one. */
export function linkProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'a link is an object';
  const link = value as Record<string, unknown>;
  const { addresses, backup, gateways, label, mac, metric, mtuBytes, role } = link;
  if (typeof mac !== 'string' || !MAC.test(mac)) return `"${String(mac)}" is no MAC address`;
  if (role !== 'host' && role !== 'uplink') return `"${String(role)}" is no role of a link`;
  if (!isTextList(addresses)) return 'addresses must be a list of texts';
  const wrong = addresses.find((text) => parseAddress(text) === undefined);
  if (wrong !== undefined) return `"${wrong}" is no address with a prefix length`;
  if (!isTextList(gateways)) return 'gateways must be a list of texts';
  if (role === 'host' && gateways.length > 0) return 'the link to the host leads nowhere else';
  const families = gateways.map((text) => (canonicalIp(text) === undefined ? 0 : familyOf(text)));
  if (families.some((family, i) => family === 0 || families.indexOf(family) !== i)) {
    return 'gateways must be one address of each family at most';
  }
  if (!isOptionalInteger(mtuBytes, MTU_MIN, MTU_MAX)) return `an MTU is ${MTU_MIN} to ${MTU_MAX} bytes`;
  if (!isOptionalInteger(metric, 1, 0x7fffffff)) return 'a metric is a positive number';
  if (backup !== undefined && typeof backup !== 'boolean') return 'backup is true or false';
  if (label !== undefined && (typeof label !== 'string' || label.length > 64))
    return 'a label is a short text';
  return undefined;
}

const sameAddress = (a: AddressSpec, b: AddressSpec) =>
  a.address === b.address && a.prefixLength === b.prefixLength;

function wantedAddresses(link: GuestLink, linkIndex: number): AddressSpec[] {
  return link.addresses.map((text) => {
    const { address, length } = parseAddress(text) ?? { address: text, length: 0 };
    const flags = familyOf(address) === AF_INET6 ? { flags: IFA_F_NODAD } : {};
    return { linkIndex, address, prefixLength: length, ...flags };
  });
}

function wantedRoutes(link: GuestLink, linkIndex: number): RouteSpec[] {
  return link.gateways.map((gateway) => ({
    family: familyOf(gateway),
    table: RT_TABLE_MAIN,
    protocol: RTPROT_STATIC,
    gateway: canonicalIp(gateway) ?? gateway,
    linkIndex,
    priority: link.metric ?? DEFAULT_METRIC,
  }));
}

const sameRoute = (a: RouteSpec, b: RouteSpec) =>
  a.family === b.family && a.gateway === b.gateway && a.priority === b.priority;

function specOf({ family, gateway, linkIndex, priority = 0 }: Route): RouteSpec {
  const spec = { family, table: RT_TABLE_MAIN, priority, ...(linkIndex !== undefined && { linkIndex }) };
  return gateway === undefined ? spec : { ...spec, gateway };
}

/** The default routes of a link in the main table. */
function ownRoutes(routes: readonly Route[], linkIndex: number): RouteSpec[] {
  return routes
    .filter(
      (route) =>
        route.linkIndex === linkIndex &&
        route.table === RT_TABLE_MAIN &&
        route.type === RTN_UNICAST &&
        (route.destination?.length ?? 0) === 0,
    )
    .map(specOf);
}

/** @param link `undefined`: the NIC is to have nothing */
export function planLink(
  link: GuestLink | undefined,
  linkIndex: number,
  addresses: readonly InterfaceAddress[],
  routes: readonly Route[],
): LinkPlan {
  const wanted = link === undefined ? [] : wantedAddresses(link, linkIndex);
  // The kernel's own link-local addresses stay.
  const present: AddressSpec[] = addresses
    .filter((item) => item.linkIndex === linkIndex && !(item.family !== AF_INET && isLinkLocal(item.address)))
    .map(({ address, prefixLength }) => ({ linkIndex, address, prefixLength }));
  const wantedWays = link === undefined ? [] : wantedRoutes(link, linkIndex);
  const ways = ownRoutes(routes, linkIndex);
  return {
    addressesToDelete: present.filter((item) => !wanted.some((other) => sameAddress(item, other))),
    addressesToAdd: wanted.filter((item) => !present.some((other) => sameAddress(item, other))),
    routesToDelete: ways.filter((item) => !wantedWays.some((other) => sameRoute(item, other))),
    routesToAdd: wantedWays.filter((item) => !ways.some((other) => sameRoute(item, other))),
  };
}

/** A link as it came from the host. @throws WeftError BAD_REQUEST */
export function requireLink(value: unknown): GuestLink {
  const problem = linkProblem(value);
  if (problem !== undefined) throw new WeftError(problem, { code: 'BAD_REQUEST' });
  return value as GuestLink;
}
