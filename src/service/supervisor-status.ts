/**
 * The supervisor's knowledge as `weft status` shows it (pure), and what changed between two of them in words.
 */
import { AF_INET } from '../base/index.ts';
import { EndpointFlag, type Endpoint, type EndpointFlagName, type Limits } from '../mptcp/index.ts';
import type { Link } from '../netlink/index.ts';
import type { EndpointUse } from '../pathmanager/index.ts';
import type { HostPath, IgnoredLink as RoutingIgnoredLink, TableUse } from '../routing/index.ts';
import type { EndpointReport, IgnoredLink, Mode, PathReport } from './control-api.ts';
import type { Decision } from './supervisor-decision.ts';

/** What the supervisor did since its start. */
export interface SupervisorActions {
  readonly looks: number;
  readonly kernelMessages: number;
  /** How often the kernel dropped messages, and everything was read anew. */
  readonly overruns: number;
  readonly routesAndRulesChanged: number;
  readonly endpointsAdded: number;
  readonly endpointsDeleted: number;
  readonly limitsRaised: number;
  readonly failures: number;
  readonly lastLookMs: number;
}

export interface SupervisorStatus {
  readonly mode: Mode;
  /** Why, in words. */
  readonly reason: string;
  readonly paths: readonly PathReport[];
  readonly ignoredLinks: readonly IgnoredLink[];
  readonly endpoints: readonly EndpointReport[];
  /** Absent without MPTCP in the kernel. */
  readonly limits?: Limits;
  /** What the kernel takes at most for a limit; known once it refused more. */
  readonly limitsMaximum?: number;
  readonly actions: SupervisorActions;
}

/** What one look at the host brought. */
export interface Look {
  readonly decision: Decision;
  readonly found: readonly HostPath[];
  readonly ignoredLinks: readonly RoutingIgnoredLink[];
  readonly links: readonly Link[];
  readonly tables: ReadonlyMap<string, TableUse>;
  readonly uses: readonly EndpointUse[];
  readonly endpoints: readonly Endpoint[];
  readonly ownIds: ReadonlySet<number>;
  /** Names given with --backup. */
  readonly backup: readonly string[];
  readonly limits?: Limits;
  readonly limitsMaximum?: number;
}

export const IDLE_LOOK: Look = {
  decision: { mode: 'single-path', reason: 'the host is not looked after', engaged: false, paths: [] },
  found: [],
  ignoredLinks: [],
  links: [],
  tables: new Map(),
  uses: [],
  endpoints: [],
  ownIds: new Set(),
  backup: [],
};

const WHY_IDLE: Readonly<Record<Mode, string>> = {
  multipath: 'no endpoint could be made for it, and the log says why',
  'single-path': 'it waits for a second path',
  unprivileged: 'only programs that ask for it by address use it, because Weft may not change this host',
  'no-mptcp': 'connections do not use several paths without MPTCP',
};

/** The path that the host itself prefers, of each family: traffic takes it whatever Weft does. */
export function preferredPaths(found: readonly HostPath[]): Set<HostPath> {
  const best = new Map<number, HostPath>();
  for (const path of found) {
    if (path.state !== 'usable') continue;
    const known = best.get(path.family);
    const metric = path.defaultRoute?.metric ?? 0;
    if (known === undefined || metric < (known.defaultRoute?.metric ?? 0)) best.set(path.family, path);
  }
  return new Set(best.values());
}

function stateOf(
  path: HostPath,
  look: Look,
  use: EndpointUse | undefined,
  preferred: boolean,
): { readonly state: string; readonly why?: string } {
  if (path.state !== 'usable')
    return { state: path.state, ...(path.why === undefined ? {} : { why: path.why }) };
  if (use !== undefined && use.state !== 'missing' && use.why === undefined) return { state: 'active' };
  const why = use?.why ?? WHY_IDLE[look.decision.mode];
  // The preferred path carries connections with or without an endpoint.
  return preferred && look.decision.paths.length === 0 ? { state: 'active' } : { state: 'waiting', why };
}

function reportPath(path: HostPath, look: Look, preferred: boolean): PathReport {
  const use = look.uses.find((item) => item.address === path.address);
  const table = look.tables.get(path.address)?.table;
  const gateway = path.defaultRoute?.gateway;
  return {
    link: path.linkName,
    address: path.address,
    family: path.family === AF_INET ? 4 : 6,
    backup: use?.backup ?? look.backup.includes(path.linkName),
    ...stateOf(path, look, use, preferred),
    ...(preferred ? { preferred } : {}),
    ...(gateway === undefined ? {} : { gateway }),
    ...(table === undefined ? {} : { table }),
    ...(use?.id === undefined || use.state === 'missing' ? {} : { endpointId: use.id }),
  };
}

function reportEndpoint(endpoint: Endpoint, look: Look): EndpointReport {
  const link = look.links.find((item) => item.index === endpoint.linkIndex)?.name;
  const names = Object.keys(EndpointFlag) as EndpointFlagName[];
  return {
    id: endpoint.id,
    address: endpoint.address,
    port: endpoint.port,
    flags: names.filter((name) => (endpoint.flags & EndpointFlag[name]) !== 0),
    ours: look.ownIds.has(endpoint.id),
    ...(link === undefined ? {} : { link }),
  };
}

export function buildStatus(look: Look, actions: SupervisorActions): SupervisorStatus {
  const preferred = preferredPaths(look.found);
  const { limits, limitsMaximum } = look;
  return {
    mode: look.decision.mode,
    reason: look.decision.reason,
    paths: look.found.map((path) => reportPath(path, look, preferred.has(path))),
    ignoredLinks: look.ignoredLinks.map(({ name, why }) => ({ link: name, why })),
    endpoints: look.endpoints.map((endpoint) => reportEndpoint(endpoint, look)),
    actions,
    ...(limits === undefined ? {} : { limits }),
    ...(limitsMaximum === undefined ? {} : { limitsMaximum }),
  };
}

/** Something to tell in the log. */
export interface News {
  readonly level: 'info' | 'warn';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly text: string;
}

const keyOf = (path: PathReport) => `${path.link} ${path.address}`;

function describePath(path: PathReport): News {
  const { address, endpointId, gateway, link, state, table, why } = path;
  const name = `path ${link} ${address}`;
  const fields = { link, address, state };
  if (state !== 'active')
    return { level: 'info', fields, text: `${name} is ${state}: ${why ?? 'no reason known'}` };
  const via = gateway === undefined ? '' : ` via ${gateway}`;
  const parts = [
    ...(table === undefined ? [] : [`table ${table}`]),
    ...(endpointId === undefined ? [] : [`endpoint ${endpointId}`]),
    ...(path.backup ? ['backup'] : []),
  ];
  const made = parts.length === 0 ? '' : ` (${parts.join(', ')})`;
  return { level: 'info', fields, text: `${name}${via} is in use${made}` };
}

/** The reason without its details, which the news of the paths tell. */
const gistOf = (status: SupervisorStatus) => status.reason.split(';')[0];

/** What a person would want to be told, the reason last. */
export function describeNews(before: SupervisorStatus, after: SupervisorStatus): News[] {
  const news: News[] = [];
  const known = new Map(before.paths.map((path) => [keyOf(path), describePath(path).text]));
  for (const path of after.paths) {
    const item = describePath(path);
    if (known.get(keyOf(path)) !== item.text) news.push(item);
    known.delete(keyOf(path));
  }
  for (const path of before.paths) {
    if (!known.has(keyOf(path))) continue;
    const { address, link } = path;
    news.push({
      level: 'info',
      fields: { link, address, state: 'gone' },
      text: `path ${link} ${address} is gone`,
    });
  }
  if (before.mode !== after.mode || (after.mode !== 'multipath' && gistOf(before) !== gistOf(after))) {
    const level = after.mode === 'multipath' ? 'info' : 'warn';
    news.push({ level, fields: { mode: after.mode }, text: `${after.mode}: ${after.reason}` });
  }
  return news;
}

/** Whether two states tell the same, apart from the counts. */
export function sameKnowledge(a: SupervisorStatus, b: SupervisorStatus): boolean {
  return knowledge(a) === knowledge(b);
}

function knowledge(status: SupervisorStatus): string {
  const { endpoints, ignoredLinks, limits, mode, paths, reason } = status;
  return JSON.stringify([mode, reason, paths, ignoredLinks, endpoints, limits]);
}
