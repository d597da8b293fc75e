/**
 * Says in whole sentences whether multipath is in use and, if not, why not: the question that users of MPTCP ask
 * most, and that takes five tools to answer by hand. Pure: facts in, sentences out. The first sentence is the answer,
 * the others are what else is worth knowing.
 */
import type { ConnectionReport, StatusReport } from './control-api.ts';

export type MultipathFacts = Pick<
  StatusReport,
  'mode' | 'reason' | 'paths' | 'endpoints' | 'limits' | 'connections' | 'connectionsOmitted'
> & {
  /** `false`: started with --no-multipath. */
  readonly wanted: boolean;
  /** Paths that an observer has found silent although they should carry data. */
  readonly stale?: readonly StalePath[];
};

export interface StalePath {
  readonly link: string;
  readonly address: string;
  readonly why?: string;
}

export interface Explanation {
  readonly inUse: boolean;
  readonly explanation: readonly string[];
}

const plural = (count: number, one: string, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** BOUNDED: how many paths one sentence names; a link may have hundreds of addresses. */
const PATHS_NAMED_MAX = 8;

/** `eth0 (10.0.0.2), eth1 (10.0.1.2)` */
function nameAll(paths: readonly StalePath[]): string {
  const named = paths.slice(0, PATHS_NAMED_MAX).map(({ link, address }) => `${link} (${address})`);
  const more = paths.length - named.length;
  return named.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

const ESTABLISHED = 'established';
/** The state of a path that connections can use now. */
const PATH_IN_USE = 'active';

function established(connection: ConnectionReport): number {
  return connection.subflows.filter(({ state }) => state === ESTABLISHED).length;
}

function active(connection: ConnectionReport): number {
  return connection.subflows.filter(({ state, backup }) => state === ESTABLISHED && !backup).length;
}

/** Subflows that data goes over now: of the active ones those that something comes through. */
function carrying(connection: ConnectionReport, stale: readonly StalePath[]): number {
  const silent = new Set(stale.map(({ address }) => address));
  return connection.subflows.filter(
    ({ state, backup, localAddress }) => state === ESTABLISHED && !backup && !silent.has(localAddress),
  ).length;
}

/** Which of the reasons for a single path a connection has; the order is that of the sentences. */
type SinglePathReason = 'fallback' | 'limit' | 'alone';

function whySingle(connection: ConnectionReport, limits: MultipathFacts['limits']): SinglePathReason {
  if (connection.protocol === 'tcp') return 'fallback';
  if ((connection.subflowsMax ?? limits?.subflows) === 0) return 'limit';
  return 'alone';
}

/** BOUNDED: how many targets one sentence names. */
const TARGETS_NAMED_MAX = 3;

function targetsOf(connections: readonly ConnectionReport[]): string {
  const targets = [...new Set(connections.map(({ target }) => target))];
  const named = targets.slice(0, TARGETS_NAMED_MAX).join(', ');
  const more = targets.length - TARGETS_NAMED_MAX;
  return more > 0 ? `${named} and ${more} more` : named;
}

function fallbackSentences(connections: readonly ConnectionReport[]): string[] {
  const byReason = new Map<string, ConnectionReport[]>();
  for (const connection of connections) {
    const reason = connection.fallbackReason ?? 'the server does not speak MPTCP';
    byReason.set(reason, [...(byReason.get(reason) ?? []), connection]);
  }
  return [...byReason].map(
    ([reason, group]) =>
      `${plural(group.length, 'connection')} (${targetsOf(group)}) ${group.length === 1 ? 'is' : 'are'} plain TCP over one path: ${reason}.`,
  );
}

/** What `weft explain` takes; several connections may have one target. */
function nameOf(connection: ConnectionReport | undefined): string {
  const { target = 'CONNECTION', token } = connection ?? {};
  return token === undefined ? target : `0x${token.toString(16)}`;
}

/** Why connections that speak MPTCP have only one subflow. */
function aloneSentence(group: readonly ConnectionReport[]): string {
  return (
    `${plural(group.length, 'MPTCP connection')} (${targetsOf(group)}) ${group.length === 1 ? 'has' : 'have'} one subflow only: ` +
    'the others are not there yet, the server takes no more, or the other paths do not reach it ' +
    `("weft explain ${nameOf(group[0])}" looks closer).`
  );
}

function limitSentence(group: readonly ConnectionReport[]): string {
  return `${plural(group.length, 'MPTCP connection')} (${targetsOf(group)}) may not have a second subflow: the kernel's limit was 0 when it began.`;
}

/** MPTCP_PM_ADDR_MAX of include/net/mptcp: no limit is higher. */
const LIMIT_MAX = 8;

/** Connections that would have more subflows if they were allowed. */
function limitReachedSentences(facts: MultipathFacts): string[] {
  const links = linksInUse(facts);
  const group = facts.connections.filter((connection) => {
    const count = established(connection);
    const limit = connection.subflowsMax ?? Infinity;
    return count > 1 && count < links && count - 1 >= limit && limit < LIMIT_MAX;
  });
  if (group.length === 0) return [];
  return [
    `${plural(group.length, 'connection')} (${targetsOf(group)}) ${group.length === 1 ? 'has' : 'have'} as many subflows as the kernel's limit allows, and ${links} links could be used: weft mptcp limits set subflows ${Math.min(links - 1, LIMIT_MAX)}.`,
  ];
}

function singlePathSentences(facts: MultipathFacts): string[] {
  const groups: Record<SinglePathReason, ConnectionReport[]> = { fallback: [], limit: [], alone: [] };
  for (const connection of facts.connections) {
    if (established(connection) < 2) groups[whySingle(connection, facts.limits)].push(connection);
  }
  return [
    ...fallbackSentences(groups.fallback),
    ...(groups.limit.length > 0 ? [limitSentence(groups.limit)] : []),
    ...(groups.alone.length > 0 ? [aloneSentence(groups.alone)] : []),
  ];
}

/** IPv4 and IPv6 addresses of one link are one way out for a connection. */
function linksInUse({ paths }: MultipathFacts): number {
  return new Set(paths.filter(({ state }) => state === PATH_IN_USE).map(({ link }) => link)).size;
}

/** What on this host keeps every connection on one path; `undefined` when nothing does. */
function hostReason(facts: MultipathFacts): string | undefined {
  const { paths, endpoints, limits } = facts;
  if (!facts.wanted) return 'it was switched off with --no-multipath';
  // Fewer than two ways out, no rights, no MPTCP: whoever decided so knows best why.
  if (facts.mode !== 'multipath') return facts.reason;
  if (limits !== undefined && limits.subflows === 0) {
    return 'the kernel\'s limit of subflows is 0 ("weft mptcp limits show"), so no connection gets a second one';
  }
  if (linksInUse(facts) < 2) {
    const addresses = new Set(endpoints.map(({ address }) => address));
    const without = paths.filter(({ address }) => !addresses.has(address));
    const why = without.find((path) => path.why !== undefined)?.why;
    if (without.length > 0) {
      return `the kernel has no endpoint for ${nameAll(without)}${why === undefined ? '' : ` (${why})`}`;
    }
  }
  return undefined;
}

function staleNotes({ stale = [] }: MultipathFacts): string[] {
  const byReason = new Map<string, StalePath[]>();
  for (const path of stale) {
    const reason = path.why ?? 'no answer';
    byReason.set(reason, [...(byReason.get(reason) ?? []), path]);
  }
  return [...byReason].map(([reason, paths]) => `Nothing comes through ${nameAll(paths)}: ${reason}.`);
}

function pathNotes(facts: MultipathFacts): string[] {
  const byReason = new Map<string, MultipathFacts['paths']>();
  for (const path of facts.paths) {
    if (path.why === undefined) continue;
    const reason = `${path.state}: ${path.why}`;
    byReason.set(reason, [...(byReason.get(reason) ?? []), path]);
  }
  const notes = [...byReason].map(([reason, group]) =>
    group.length === 1 ? `Path ${nameAll(group)} is ${reason}.` : `Paths ${nameAll(group)} are ${reason}.`,
  );
  const backups = facts.paths.filter(({ backup }) => backup);
  if (backups.length > 0 && facts.paths.length > 1) {
    notes.push(
      `${nameAll(backups)} ${backups.length === 1 ? 'is a backup' : 'are backups'}: data goes there only when no other path works.`,
    );
  }
  return notes;
}

/** `3 proxied connections`, `2 of 5 proxied connections`, with the verb that fits. */
function share(count: number, total: number, one: string, many: string): string {
  if (count === total) return `${plural(count, 'proxied connection')} ${count === 1 ? one : many}`;
  return `${count} of ${total} proxied connections ${count === 1 ? one : many}`;
}

export function explainMultipath(facts: MultipathFacts): Explanation {
  const total = facts.connections.length;
  const many = facts.connections.filter((connection) => established(connection) > 1);
  const { stale = [] } = facts;
  const meant = many.filter((connection) => active(connection) > 1);
  const spread = meant.filter((connection) => carrying(connection, stale) > 1);
  const singles = [...singlePathSentences(facts), ...limitReachedSentences(facts)];
  const notes = [...staleNotes(facts), ...pathNotes(facts)];
  if (spread.length > 0) {
    const what = share(
      spread.length,
      total,
      'uses more than one path at once',
      'use more than one path at once',
    );
    return { inUse: true, explanation: [`Multipath is in use: ${what}.`, ...singles, ...notes] };
  }
  if (meant.length > 0) {
    const what = share(meant.length, total, 'goes on', 'go on');
    const answer = `Multipath keeps connections going: ${what} over what is left of its paths.`;
    return { inUse: true, explanation: [answer, ...singles, ...notes] };
  }
  if (many.length > 0) {
    const what = share(many.length, total, 'has', 'have');
    const answer = `Multipath is in use for safety, not for speed: ${what} a backup path that carries data when the first fails.`;
    return { inUse: true, explanation: [answer, ...singles, ...notes] };
  }
  const host = hostReason(facts);
  if (host !== undefined) {
    // It explains every connection; what each of them lacks besides would only distract.
    return { inUse: false, explanation: [`Multipath is not in use: ${host}.`, ...notes] };
  }
  const idle = `no connection goes through the proxy now; the next may use ${plural(linksInUse(facts), 'path')}.`;
  const answer = `Multipath is ready and not in use: ${total === 0 ? idle : 'no proxied connection has a second path.'}`;
  return { inUse: false, explanation: [answer, ...singles, ...notes] };
}
