/**
 * What an observer is told where no Weft keeps the paths in order: by the path-management daemon, or by `weft top` on a
 * host where nothing of Weft runs. Everything is the kernel's own; nothing is changed, no rights are needed.
 *
 * Invariant: links, addresses, routes and endpoints are read anew at most once in a while, however often it is asked,
 * so that a host with a million routes can be looked at too.
 */
import { AF_INET } from '../../base/index.ts';
import {
  EndpointFlag,
  PathManager,
  type Endpoint,
  type EndpointFlagName,
  type Limits,
} from '../../mptcp/index.ts';
import { RouteNetlink } from '../../netlink/index.ts';
import { findPaths, RoutingTables, uplinkCount, type HostPath } from '../../routing/index.ts';
import type { EndpointReport, PathReport } from '../control-api.ts';
import { readHostView } from '../host-view.ts';
import type { HostReading, ObserverSources } from './sources.ts';

export interface KernelSourcesOptions {
  /** The package's. */
  readonly version: string;
  /** Default: `top`. */
  readonly program?: ObserverSources['program'];
  /** File of the network namespace; default is this process's own. */
  readonly netns?: string;
}

const FRESH_MS = 1000;
/** One part of the time at most goes into reading the host. */
const COST_SHARE = 1 / 50;

const FLAG_NAMES = Object.keys(EndpointFlag) as EndpointFlagName[];

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

function reportEndpoint(endpoint: Endpoint, nameOf: (index: number) => string | undefined): EndpointReport {
  const link = endpoint.linkIndex === 0 ? undefined : nameOf(endpoint.linkIndex);
  return {
    id: endpoint.id,
    address: endpoint.address,
    port: endpoint.port,
    flags: FLAG_NAMES.filter((name) => (endpoint.flags & EndpointFlag[name]) !== 0),
    ours: false,
    ...(link === undefined ? {} : { link }),
  };
}

function reportPath(path: HostPath, endpoint: EndpointReport | undefined): PathReport {
  const { address, defaultRoute, family, linkName, state, why } = path;
  const gateway = defaultRoute?.gateway;
  return {
    link: linkName,
    address,
    family: family === AF_INET ? 4 : 6,
    backup: endpoint?.flags.includes('backup') ?? false,
    state: state === 'usable' ? 'active' : state,
    ...(why === undefined ? {} : { why }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(endpoint === undefined ? {} : { endpointId: endpoint.id }),
  };
}

/** What keeps connections from a second subflow, as far as a glance tells (pure); "why" looks closer. */
export function explainKernel(facts: {
  readonly uplinks: number;
  readonly endpoints: readonly EndpointReport[];
  readonly limits?: Limits;
}): string[] {
  const { endpoints, limits, uplinks } = facts;
  if (limits === undefined) return ['This kernel has no MPTCP, or none that can be asked.'];
  const sentences: string[] = [];
  if (uplinks < 2) sentences.push('This host has fewer than two ways out.');
  if (limits.subflows === 0) {
    sentences.push('The kernel’s limit of subflows is 0, so no connection gets a second one.');
  } else if (!endpoints.some(({ flags }) => flags.includes('subflow') || flags.includes('fullmesh'))) {
    sentences.push(
      'No endpoint is there to begin subflows from: a connection gets a second one only when the other end announces or begins it.',
    );
  }
  return sentences;
}

export function kernelSources(options: KernelSourcesOptions): ObserverSources {
  const { netns, program = 'top', version } = options;
  const where = netns === undefined ? {} : { netns };
  const netlink = RouteNetlink.open(where);
  const manager = attempt(() => PathManager.open(where));
  const mayChange = attempt(() => new RoutingTables(netlink).mayChange()) ?? false;
  let reading: HostReading | undefined;
  let dueMs = -Infinity;
  /** The soonest that the cost allows. */
  let soonestMs = -Infinity;

  const read = (): HostReading => {
    const view = readHostView(netlink);
    const found = findPaths(view);
    const nameOf = (index: number) => view.links.find((link) => link.index === index)?.name;
    const endpoints = (attempt(() => manager?.endpoints()) ?? []).map((item) => reportEndpoint(item, nameOf));
    const limits = attempt(() => manager?.limits());
    return {
      paths: found.paths.map((path) =>
        reportPath(
          path,
          endpoints.find(({ address, port }) => address === path.address && port === 0),
        ),
      ),
      ignoredLinks: found.ignoredLinks.map(({ name, why }) => ({ link: name, why })),
      endpoints,
      explanation: explainKernel({
        uplinks: uplinkCount(found.paths),
        endpoints,
        ...(limits === undefined ? {} : { limits }),
      }),
      mayChange,
      ...(limits === undefined ? {} : { limits }),
    };
  };

  return {
    program,
    version,
    host() {
      const startMs = performance.now();
      if (reading === undefined || startMs >= dueMs) {
        reading = read();
        const endMs = performance.now();
        soonestMs = endMs + (endMs - startMs) / COST_SHARE;
        dueMs = Math.max(soonestMs, endMs + FRESH_MS);
      }
      return reading;
    },
    handleChange() {
      dueMs = soonestMs;
    },
    proxied: () => [],
    proxyAddresses: () => [],
    close() {
      netlink.close();
      manager?.close();
    },
  };
}
