/**
 * rtnetlink: reads and changes links, addresses, routes, rules and queueing disciplines of one network
 * namespace, and watches them. Every change is one request; a refusal throws NetlinkError with the kernel's text.
 */
import { AF_INET, AF_INET6 } from '../base/ip.ts';
import {
  emitAddress,
  emitAddressDump,
  parseAddress,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
  type AddressSpec,
} from './address.ts';
import { WeftError } from '../base/errors.ts';
import { NETLINK_ROUTE, NetlinkConnection, type NetlinkSocketOptions } from './connection.ts';
import { EventSocket, type Group } from './event-socket.ts';
import {
  emitLinkChange,
  emitLinkDump,
  emitLinkIndex,
  emitNewLink,
  parseLink,
  parseLinkTraffic,
} from './link.ts';
import { RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, type LinkChange, type LinkSpec } from './link.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type NetlinkMessage } from './message.ts';
import {
  emitDelay,
  emitRootQdisc,
  emitTokenBucket,
  RTM_DELQDISC,
  RTM_NEWQDISC,
  type TokenBucket,
} from './qdisc.ts';
import { emitDeleteRoute, emitNewRoute, emitRouteDump, emitRouteLookup, parseRoute } from './route.ts';
import { RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE } from './route.ts';
import type { RouteFilter, RouteQuery, RouteSpec } from './route.ts';
import type { InterfaceAddress, Link, LinkTraffic, Route, RouteEvent, Rule } from './route-types.ts';
import {
  emitRule,
  emitRuleDump,
  parseRule,
  RTM_DELRULE,
  RTM_GETRULE,
  RTM_NEWRULE,
  type RuleSpec,
} from './rule.ts';

function collect<T>(messages: readonly NetlinkMessage[], parse: (payload: Uint8Array) => T | undefined): T[] {
  const found: T[] = [];
  for (const message of messages) {
    const item = parse(message.payload);
    if (item !== undefined) found.push(item);
  }
  return found;
}

const describePrefix = (spec: { readonly destination?: { address: string; length: number } }) =>
  spec.destination === undefined ? 'default' : `${spec.destination.address}/${spec.destination.length}`;

export class RouteNetlink {
  readonly #connection: NetlinkConnection;

  private constructor(connection: NetlinkConnection) {
    this.#connection = connection;
  }

  static open(options: NetlinkSocketOptions = {}): RouteNetlink {
    return new RouteNetlink(new NetlinkConnection(NETLINK_ROUTE, options));
  }

  close(): void {
    this.#connection.close();
  }

  links(): Link[] {
    return collect(this.#connection.dump(RTM_GETLINK, emitLinkDump(), 'list links'), parseLink);
  }

  /** Every link with what has passed it. Apart from `links`, whose answers are compared to see whether a link changed. */
  linksWithTraffic(): { readonly link: Link; readonly traffic: LinkTraffic }[] {
    return collect(this.#connection.dump(RTM_GETLINK, emitLinkDump(), 'list links'), (payload) => {
      const [link, traffic] = [parseLink(payload), parseLinkTraffic(payload)];
      return link === undefined || traffic === undefined ? undefined : { link, traffic };
    });
  }

  linkByName(name: string): Link | undefined {
    return this.links().find((link) => link.name === name);
  }

  addresses(): InterfaceAddress[] {
    return collect(this.#connection.dump(RTM_GETADDR, emitAddressDump(), 'list addresses'), parseAddress);
  }

  /** All tables of both families, or those that the filter names: a host may have a million routes. */
  routes(filter: RouteFilter = {}): Route[] {
    const found = collect(
      this.#connection.dump(RTM_GETROUTE, emitRouteDump(filter), 'list routes'),
      parseRoute,
    );
    const { protocol, table } = filter;
    return found.filter(
      (route) =>
        (table === undefined || route.table === table) &&
        (protocol === undefined || route.protocol === protocol),
    );
  }

  /** Rules of both families. */
  rules(): Rule[] {
    return collect(this.#connection.dump(RTM_GETRULE, emitRuleDump(), 'list rules'), parseRule);
  }

  addLink(spec: LinkSpec): void {
    this.#connection.request(
      RTM_NEWLINK,
      NLM_F_CREATE | NLM_F_EXCL,
      emitNewLink(spec),
      `add link "${spec.name}"`,
    );
  }

  setLink(index: number, change: LinkChange): void {
    this.#connection.request(RTM_NEWLINK, 0, emitLinkChange(index, change), `change link ${index}`);
  }

  deleteLink(index: number): void {
    this.#connection.request(RTM_DELLINK, 0, emitLinkIndex(index), `delete link ${index}`);
  }

  addAddress(spec: AddressSpec): void {
    const operation = `add address "${spec.address}/${spec.prefixLength}"`;
    this.#connection.request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, emitAddress(spec), operation);
  }

  deleteAddress(spec: AddressSpec): void {
    const operation = `delete address "${spec.address}/${spec.prefixLength}"`;
    this.#connection.request(RTM_DELADDR, 0, emitAddress(spec), operation);
  }

  addRoute(spec: RouteSpec, options: { readonly replace?: boolean } = {}): void {
    const flags = NLM_F_CREATE | (options.replace === true ? NLM_F_REPLACE : NLM_F_EXCL);
    const operation = `add route ${describePrefix(spec)} to table ${spec.table}`;
    this.#connection.request(RTM_NEWROUTE, flags, emitNewRoute(spec), operation);
  }

  deleteRoute(spec: RouteSpec): void {
    const operation = `delete route ${describePrefix(spec)} from table ${spec.table}`;
    this.#connection.request(RTM_DELROUTE, 0, emitDeleteRoute(spec), operation);
  }

  addRule(spec: RuleSpec): void {
    const operation = `add rule of priority ${spec.priority}`;
    this.#connection.request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, emitRule(spec), operation);
  }

  deleteRule(spec: RuleSpec): void {
    this.#connection.request(RTM_DELRULE, 0, emitRule(spec), `delete rule of priority ${spec.priority}`);
  }

  /** Which route a packet would take. Throws NetlinkError (ENETUNREACH …) when there is none. */
  lookupRoute(query: RouteQuery): Route {
    const operation = `look up route to ${query.destination}`;
    const answer = this.#connection.get(RTM_GETROUTE, 0, emitRouteLookup(query), operation);
    const route = parseRoute(answer.payload);
    if (route === undefined)
      throw new WeftError(`${operation}: the kernel's answer is no route`, { code: 'BAD_ANSWER' });
    return route;
  }

  /** Gives a link's sending side a rate. Throws NetlinkError ENOENT where the kernel has no tbf. */
  setTokenBucket(linkIndex: number, bucket: TokenBucket): void {
    const payload = emitTokenBucket(linkIndex, bucket);
    this.#connection.request(
      RTM_NEWQDISC,
      NLM_F_CREATE | NLM_F_REPLACE,
      payload,
      `set the rate of link ${linkIndex}`,
    );
  }

  /** Delays what a link sends. Throws NetlinkError ENOENT where the kernel has no netem. */
  setDelay(linkIndex: number, delayMs: number, limitPackets: number): void {
    const payload = emitDelay(linkIndex, delayMs, limitPackets);
    this.#connection.request(
      RTM_NEWQDISC,
      NLM_F_CREATE | NLM_F_REPLACE,
      payload,
      `set the delay of link ${linkIndex}`,
    );
  }

  /** Takes rate or delay away again. */
  deleteQdisc(linkIndex: number): void {
    const payload = emitRootQdisc(linkIndex);
    this.#connection.request(RTM_DELQDISC, 0, payload, `delete the queueing discipline of link ${linkIndex}`);
  }
}

/** What can be watched, apart from overruns. */
export type RouteSubject = Exclude<RouteEvent['kind'], 'overrun'>;

/** RTNLGRP_* (<linux/rtnetlink.h>). */
const GROUPS: readonly (Group & { readonly subject: RouteSubject })[] = [
  { id: 1, name: 'link', subject: 'link' },
  { id: 5, name: 'ipv4 address', subject: 'address' },
  { id: 7, name: 'ipv4 route', subject: 'route' },
  { id: 8, name: 'ipv4 rule', subject: 'rule' },
  { id: 9, name: 'ipv6 address', subject: 'address' },
  { id: 11, name: 'ipv6 route', subject: 'route' },
  { id: 19, name: 'ipv6 rule', subject: 'rule' },
];

/** `undefined` for what is not about links, addresses, routes or rules (bridge ports, neighbours …). */
export function parseRouteEvent(message: NetlinkMessage): RouteEvent | undefined {
  const { payload, type } = message;
  const action = (type & 3) === 0 ? 'new' : 'delete';
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      // Bridge ports send link messages of family AF_BRIDGE that are not about the link's life.
      const link = payload[0] === 0 ? parseLink(payload) : undefined;
      return link === undefined ? undefined : { kind: 'link', action, link };
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const address = parseAddress(payload);
      return address === undefined ? undefined : { kind: 'address', action, address };
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const route = parseRoute(payload);
      return route === undefined ? undefined : { kind: 'route', action, route };
    }
    case RTM_NEWRULE:
    case RTM_DELRULE: {
      const rule = parseRule(payload);
      return rule === undefined ? undefined : { kind: 'rule', action, rule };
    }
    default:
      return undefined;
  }
}

export interface RouteWatchOptions extends NetlinkSocketOptions {
  /** Default is all. */
  readonly subjects?: readonly RouteSubject[];
  /** Many events have been given, or all that were waiting. */
  readonly onDrained?: () => void;
}

/** Watches links, addresses, routes and rules of both families until closed. Needs no privilege. */
export function watchRoutes(
  handler: (event: RouteEvent) => void,
  options: RouteWatchOptions = {},
): { close(): void } {
  const { onDrained, subjects } = options;
  return new EventSocket(
    NETLINK_ROUTE,
    GROUPS.filter((group) => subjects?.includes(group.subject) ?? true),
    {
      onMessage: (message) => {
        const event = parseRouteEvent(message);
        if (event !== undefined) handler(event);
      },
      onOverrun: () => handler({ kind: 'overrun' }),
      ...(onDrained === undefined ? {} : { onDrained }),
    },
    options,
  );
}

const FAMILY_NAMES: ReadonlyMap<number, string> = new Map([
  [AF_INET, 'ipv4'],
  [AF_INET6, 'ipv6'],
]);

/** One line that a person reads, in the manner of ip-route(8). */
export function formatRoute(route: Route): string {
  const family = FAMILY_NAMES.get(route.family) ?? String(route.family);
  const via = route.gateway === undefined ? '' : ` via ${route.gateway}`;
  const dev = route.linkIndex === undefined ? '' : ` link ${route.linkIndex}`;
  return `${family} ${describePrefix(route)}${via}${dev} table ${route.table}`;
}
