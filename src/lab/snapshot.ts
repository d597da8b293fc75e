/**
 * What the kernel holds for one network namespace, as lines of text, and what changed between two looks: how tests
 * show that nothing is left behind. Names instead of indexes, so that a link made again is the same link.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { listNamespaces } from '../native/index.ts';
import { RouteNetlink, type Link, type Route, type Rule } from '../netlink/index.ts';
import { PathManager } from '../mptcp/index.ts';

/** Sorted lines, each beginning with its kind: `link lo …`, `endpoint 1 …`, `process node`. */
export type Snapshot = readonly string[];

export interface SnapshotOptions {
  /** File of the namespace to look at; default is this thread's. */
  readonly netns?: string;
}

const IFF_UP = 1;

function formatPrefix(prefix: { readonly address: string; readonly length: number } | undefined): string {
  return prefix === undefined ? 'default' : `${prefix.address}/${prefix.length}`;
}

function linkLine(link: Link): string {
  const state = (link.flags & IFF_UP) === 0 ? 'down' : 'up';
  return `link ${link.name} ${link.kind ?? ''} ${state} mtu ${link.mtuBytes}`;
}

function routeLine(route: Route, nameOf: (index: number | undefined) => string): string {
  const via = route.gateway === undefined ? '' : ` via ${route.gateway}`;
  const source = route.preferredSource === undefined ? '' : ` src ${route.preferredSource}`;
  const hops = (route.nextHops ?? []).map((hop) => ` nexthop ${hop.gateway ?? ''} ${nameOf(hop.linkIndex)}`);
  return (
    `route ${route.family} table ${route.table} type ${route.type} ${formatPrefix(route.destination)}${via}` +
    ` dev ${nameOf(route.linkIndex)} proto ${route.protocol} metric ${route.priority ?? 0}${source}${hops.join('')}`
  );
}

function ruleLine(rule: Rule): string {
  return (
    `rule ${rule.family} ${rule.priority} from ${formatPrefix(rule.source)} to ${formatPrefix(rule.destination)}` +
    ` table ${rule.table} proto ${rule.protocol} iif ${rule.inputLink ?? ''} oif ${rule.outputLink ?? ''}` +
    ` mark ${rule.mark ?? 0}`
  );
}

function pathManagerLines(options: SnapshotOptions): string[] {
  const manager = PathManager.open(options);
  try {
    const { addAddrAccepted, subflows } = manager.limits();
    return [
      `limits add_addr_accepted ${addAddrAccepted} subflows ${subflows}`,
      ...manager
        .endpoints()
        .map((e) => `endpoint ${e.id} ${e.address} port ${e.port} flags ${e.flags} link ${e.linkIndex}`),
    ];
  } finally {
    manager.close();
  }
}

/** Descendants of this process, with their program names. One that ends while it is read is left out. */
function processLines(pid: number | 'self' = 'self'): string[] {
  const lines: string[] = [];
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim();
      for (const child of children === '' ? [] : children.split(' ')) {
        lines.push(`process ${child} ${readFileSync(`/proc/${child}/comm`, 'utf8').trim()}`);
        lines.push(...processLines(Number(child)));
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return lines;
}

/** Looks once. Throws NetlinkError when the kernel refuses to tell. */
export function takeSnapshot(options: SnapshotOptions = {}): Snapshot {
  const netlink = RouteNetlink.open(options);
  try {
    const links = netlink.links();
    const nameOf = (index: number | undefined) =>
      links.find((link) => link.index === index)?.name ?? String(index ?? '');
    return [
      ...links.map(linkLine),
      ...netlink
        .addresses()
        .map((a) => `address ${a.address}/${a.prefixLength} dev ${nameOf(a.linkIndex)} flags ${a.flags}`),
      ...netlink.routes().map((route) => routeLine(route, nameOf)),
      ...netlink.rules().map(ruleLine),
      ...pathManagerLines(options),
      ...listNamespaces().map((name) => `namespace ${name}`),
      ...processLines(),
    ].sort();
  } finally {
    netlink.close();
  }
}

/** `+ line` for what appeared, `- line` for what went; empty when both are the same. */
export function diffSnapshots(before: Snapshot, after: Snapshot): string[] {
  const changes: string[] = [];
  // Lines may occur more than once, so they are counted.
  const counts = new Map<string, number>();
  for (const line of before) counts.set(line, (counts.get(line) ?? 0) - 1);
  for (const line of after) counts.set(line, (counts.get(line) ?? 0) + 1);
  for (const [line, count] of counts) {
    for (let i = 0; i < Math.abs(count); i++) changes.push(`${count > 0 ? '+' : '-'} ${line}`);
  }
  return changes;
}
