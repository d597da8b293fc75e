/**
 * The rules of the plugin `policy` and which of them a connection falls under (pure). policy-file.ts reads them,
 * policy-plan.ts turns one into subflows.
 *
 * Invariant: the first rule decides that matches; while it is not known whose a connection is, nothing is decided
 * that depends on it.
 */
import { inPrefix, type Prefix } from '../../base/index.ts';
import { matchesPattern } from '../network/interface-rules.ts';
import type { ConnectionState, SocketOwner } from './subflow-plan.ts';

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Every list that is there has to hold one that fits. */
export interface PolicyConditions {
  /** Address of the other end. */
  readonly to?: readonly Prefix[];
  /** Of the service: the other end's, or this host's for connections that were accepted here. */
  readonly port?: readonly PortRange[];
  readonly uid?: readonly number[];
  /** Patterns of control groups (v2 paths), which stand for the groups below them too. */
  readonly cgroup?: readonly string[];
  readonly side?: 'client' | 'server';
}

export interface PolicyRule extends PolicyConditions {
  readonly name: string;
  /** Where it stands in the file. */
  readonly line: number;
  /** Patterns of link names, the preferred first; `!` before one excludes. Absent: all. */
  readonly interfaces?: readonly string[];
  /** Patterns of links whose subflows are backup. */
  readonly backup: readonly string[];
  /** Between each pair of addresses. */
  readonly subflows: number;
  readonly maximum: number;
  readonly reestablish: boolean;
  readonly announce: boolean;
  /** Absent: for connections that were begun here. */
  readonly create?: boolean;
}

export interface Policy {
  readonly rules: readonly PolicyRule[];
  readonly firstRetryMs: number;
  readonly longestRetryMs: number;
}

type Subject = Pick<ConnectionState, 'local' | 'remote' | 'serverSide'>;

/** The group itself, or one that it lies in. */
function inGroup(cgroup: string, pattern: string): boolean {
  for (let path = cgroup; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
    if (matchesPattern(pattern, path)) return true;
  }
  return pattern === '/';
}

function matchesSubject(rule: PolicyConditions, { local, remote, serverSide }: Subject): boolean {
  const port = serverSide ? local.port : remote.port;
  return (
    (rule.side === undefined || (rule.side === 'server') === serverSide) &&
    (rule.to === undefined || rule.to.some((prefix) => inPrefix(remote.address, prefix))) &&
    (rule.port === undefined || rule.port.some(({ first, last }) => port >= first && port <= last))
  );
}

function matchesOwner(rule: PolicyConditions, { uid, cgroup }: SocketOwner): boolean {
  return (
    (rule.uid === undefined || (uid !== undefined && rule.uid.includes(uid))) &&
    (rule.cgroup === undefined ||
      (cgroup !== undefined && rule.cgroup.some((pattern) => inGroup(cgroup, pattern))))
  );
}

const asksForOwner = (rule: PolicyConditions) => rule.uid !== undefined || rule.cgroup !== undefined;

/** `unknown`: it depends on whose the connection is. `undefined`: no rule is for it. */
export function ruleFor(
  rules: readonly PolicyRule[],
  subject: Subject,
  owner?: SocketOwner,
): PolicyRule | 'unknown' | undefined {
  for (const rule of rules) {
    if (!matchesSubject(rule, subject)) continue;
    if (!asksForOwner(rule)) return rule;
    if (owner === undefined) return 'unknown';
    if (matchesOwner(rule, owner)) return rule;
  }
  return undefined;
}

/** How much a link is preferred, 0 most; `undefined`: it may not carry subflows. */
export function preferenceOf(patterns: readonly string[] | undefined, link: string): number | undefined {
  if (patterns === undefined) return 0;
  if (patterns.some((pattern) => pattern.startsWith('!') && matchesPattern(pattern.slice(1), link))) {
    return undefined;
  }
  const allowed = patterns.filter((pattern) => !pattern.startsWith('!'));
  // Only exceptions: everything else.
  if (allowed.length === 0) return patterns.length === 0 ? undefined : 0;
  const at = allowed.findIndex((pattern) => matchesPattern(pattern, link));
  return at < 0 ? undefined : at;
}
