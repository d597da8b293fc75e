/**
 * Why a connection does not use the host's other links (pure): for each link without an established subflow the first
 * thing that stands in the way, in the order in which the kernel would meet it: the address's family, the path's state,
 * the endpoint, the route to this very peer, the answer.
 *
 * A link with one address without an obstacle has none: the reason is the connection's (explain-connection.ts).
 */
import { isIpv6, shellWord, unmapV4 } from '../../base/index.ts';
import { EndpointFlag, type Endpoint } from '../../mptcp/index.ts';
import type { Finding } from '../observe/api.ts';
import type { PathReading } from '../observe/model.ts';
import { CHOOSE_LINKS, endpointFact, OPENS_SUBFLOWS, PATH_MANAGER_MAX } from './checks-mptcp.ts';
import { goesRight, lookupFacts, looserFilter, namesOf, routeAdvice, STRICT } from './checks-paths.ts';
import { countersAboveZero, counter, type ConnectionCase } from './connection-case.ts';
import type { LookupFact } from './facts.ts';
import { finding } from './finding.ts';

/** One address of an unused link. */
interface Way {
  readonly link: string;
  readonly address: string;
}

const nameOf = ({ address, link }: Way) => `${link} (${address})`;

/** Links that no established subflow uses, with all their addresses that are, or could be, paths. */
export function unusedLinks(one: ConnectionCase): ReadonlyMap<string, readonly Way[]> {
  const { facts, links } = one;
  const ways: Way[] = [
    ...(facts.paths ?? []),
    ...(facts.observedPaths ?? []),
    ...(facts.peer?.lookups ?? []).map(({ path }) => path),
  ];
  const unused = new Map<string, Way[]>();
  for (const { address, link } of ways) {
    if (links.includes(link) || link === 'lo') continue;
    const known = unused.get(link) ?? [];
    if (!known.some((way) => way.address === address)) known.push({ address, link });
    unused.set(link, known);
  }
  return unused;
}

function endpointOf({ facts }: ConnectionCase, address: string): Endpoint | undefined {
  const usable = (facts.endpoints ?? []).filter(
    ({ flags }) => (flags & OPENS_SUBFLOWS) !== 0 && (flags & EndpointFlag.implicit) === 0,
  );
  return usable.find((endpoint) => endpoint.address === address);
}

function notReady(one: ConnectionCase, way: Way): Finding | undefined {
  const observed: PathReading | undefined = one.facts.observedPaths?.find(
    ({ address, link }) => address === way.address && link === way.link,
  );
  const left = one.facts.ignoredLinks?.find(({ link }) => link === `${way.link} ${way.address}`);
  if (observed === undefined && left === undefined) return undefined;
  if (observed !== undefined && observed.state !== 'down' && observed.state !== 'waiting') return undefined;
  const why = left?.why ?? observed?.why;
  const state = observed?.state === 'down' ? 'is down' : 'cannot be used yet';
  return finding(
    'path-not-ready',
    'warn',
    `the path ${nameOf(way)} ${state}${why === undefined ? '' : `: ${why}`}`,
    [
      ['state', observed?.state],
      ['why', why],
    ],
    ['weft status'],
  );
}

function withoutEndpoint(one: ConnectionCase, way: Way): Finding | undefined {
  const { endpoints, running } = one.facts;
  if (endpoints === undefined || endpointOf(one, way.address) !== undefined) return undefined;
  const shown = endpoints
    .map((endpoint) => endpointFact(endpoint, namesOf(one.facts)))
    .map(({ name, value }) => [name, value] as const);
  const isFull = endpoints.length >= PATH_MANAGER_MAX;
  return finding(
    'path-no-endpoint',
    running?.mode === 'multipath' && !isFull ? 'fail' : 'warn',
    `the kernel opens no subflow from ${nameOf(way)}: that address has no endpoint`,
    shown.length === 0 ? [['endpoints', 'none']] : shown,
    [isFull ? CHOOSE_LINKS : `weft mptcp endpoint add ${way.address} dev ${shellWord(way.link)} subflow`],
  );
}

/** Whether answers that come by the path's link pass the filter, which asks where an answer to them would leave. */
function filteredByReversePath(one: ConnectionCase, lookup: LookupFact): Finding | undefined {
  const { path, bySource } = lookup;
  const { sysctls } = one.facts;
  if (isIpv6(path.address) || goesRight(path, bySource)) return undefined;
  const names = ['all', path.link].map((name) => `net.ipv4.conf.${name}.rp_filter`);
  if (Math.max(...names.map((name) => Number(sysctls.get(name) ?? 0))) !== STRICT) return undefined;
  return finding(
    'path-rp-filter',
    'fail',
    `answers from ${one.peerName} to ${nameOf(path)} are dropped: the reverse path filter is strict, and they would leave by another link`,
    [
      ...names.map((name) => [name, sysctls.get(name)] as const),
      ...lookupFacts(lookup, namesOf(one.facts))
        .slice(0, 1)
        .map(({ name, value }) => [name, value] as const),
    ],
    [looserFilter(path.link), ...routeAdvice(path, 0)],
  );
}

function withoutRoute(one: ConnectionCase, way: Way): Finding | undefined {
  const lookup = one.facts.peer?.lookups.find(({ path }) => path.address === way.address);
  if (lookup === undefined) return undefined;
  const { path, byLink, bySource } = lookup;
  // An endpoint with a link binds its subflows to it; one without leaves them to the rules.
  const bound = (endpointOf(one, way.address)?.linkIndex ?? 0) !== 0;
  const answer = bound ? byLink : bySource;
  if (goesRight(path, answer)) return filteredByReversePath(one, lookup);
  const why =
    'error' in answer
      ? `no route (${answer.error})`
      : answer.linkIndex === path.linkIndex
        ? 'it would be sent without a gateway'
        : `packets leave by ${namesOf(one.facts)(answer.linkIndex)}`;
  return finding(
    'path-no-route',
    'fail',
    `${nameOf(way)} does not lead to ${one.peerName}: ${why}`,
    [
      ...lookupFacts(lookup, namesOf(one.facts)).map(({ name, value }) => [name, value] as const),
      ...countersAboveZero(one, ['MPJoinSynTxConnectErr', 'MPJoinSynTxBindErr']),
    ],
    ['"weft up" as root makes routes while it runs; by hand:', ...routeAdvice(path, 0)],
  );
}

const JOIN_COUNTERS = ['MPJoinSynAckHMacFailure', 'MPJoinSynAckNoMPJoin', 'MPRstRx'];

function unanswered(one: ConnectionCase, way: Way): Finding | undefined {
  const waiting = one.detail.subflows.find(
    ({ localAddress, tcpState }) => localAddress === way.address && tcpState === 'syn-sent',
  );
  // Without a repetition the answer may just be on its way.
  if ((waiting?.retransmittedSegments ?? 0) === 0 || waiting === undefined) return undefined;
  return finding(
    'join-unanswered',
    'warn',
    `a subflow from ${nameOf(way)} was begun, and ${one.peerName} does not answer it`,
    [
      ['state', waiting.tcpState],
      ['retransmissions', waiting.retransmittedSegments],
      counter(one, 'MPJoinSynTx'),
      counter(one, 'MPJoinSynAckRx'),
    ],
    [`to see whether anything gets through: ping -I ${shellWord(way.link)} ${one.detail.remoteAddress}`],
  );
}

function refused(one: ConnectionCase, way: Way): Finding | undefined {
  const closed = one.events.findLast(
    ({ event, fields }) =>
      event === 'subflow-closed' &&
      [fields['saddr4'], fields['saddr6']].some(
        (address) => typeof address === 'string' && unmapV4(address) === way.address,
      ),
  );
  if (closed === undefined) return undefined;
  const endpoint = endpointOf(one, way.address);
  const again =
    endpoint === undefined
      ? []
      : one.facts.running?.mode === 'multipath'
        ? [
            'the kernel begins it again when Weft makes its endpoint anew, which it does when it is gone:',
            `weft mptcp endpoint delete id ${endpoint.id}`,
          ]
        : [
            'the kernel does not begin it again by itself; to make it:',
            `weft mptcp endpoint delete id ${endpoint.id}`,
            `weft mptcp endpoint add ${way.address} dev ${shellWord(way.link)} subflow`,
          ];
  return finding(
    'join-refused',
    'warn',
    `the subflow from ${nameOf(way)} is gone: ${closed.text}`,
    [
      ['event', closed.event],
      ['error', closed.fields['error']],
      ['reset_reason', closed.fields['reset_reason']],
      ...countersAboveZero(one, JOIN_COUNTERS),
    ],
    again,
  );
}

const OBSTACLES = [notReady, withoutEndpoint, withoutRoute, unanswered, refused] as const;

function obstacleOf(one: ConnectionCase, way: Way): Finding | undefined {
  for (const look of OBSTACLES) {
    const found = look(one, way);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** BOUNDED: a host may have hundreds of links, and one explains another. */
const LINKS_EXPLAINED_MAX = 8;

export interface UnusedLinks {
  /** What stands in the way at each, none where nothing does. */
  readonly findings: readonly Finding[];
  /** Links from which a subflow could begin. */
  readonly free: readonly string[];
}

export function explainUnused(one: ConnectionCase): UnusedLinks {
  const findings: Finding[] = [];
  const free: string[] = [];
  const isV6 = isIpv6(one.facts.peer?.address ?? one.detail.remoteAddress);
  for (const [link, ways] of [...unusedLinks(one)].slice(0, LINKS_EXPLAINED_MAX)) {
    const fitting = ways.filter(({ address }) => isIpv6(address) === isV6);
    if (fitting.length === 0) {
      const text = `${one.peerName} is reached by IPv${isV6 ? 6 : 4}, and ${link} has IPv${isV6 ? 4 : 6} only: subflows of one connection are all of one IP version`;
      const own = ways.map(({ address }) => [`address of ${link}`, address] as const);
      const evidence = [['the other end', one.detail.remoteAddress] as const, ...own];
      findings.push(finding('family-mismatch', 'warn', text, evidence));
      continue;
    }
    const obstacles = fitting.map((way) => obstacleOf(one, way));
    const [first] = obstacles;
    if (obstacles.includes(undefined) || first === undefined) free.push(link);
    else findings.push(first);
  }
  return { findings, free };
}
