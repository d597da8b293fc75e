/**
 * The driver: applies plans to the kernel. Owner of every rule and route that is Weft's own (numbers.ts) in one
 * network namespace; it needs no memory, because they carry Weft's protocol number, and so it also takes over, or
 * removes, what an earlier process left.
 */
import { AF_INET, errorText } from '../base/index.ts';
import { EEXIST, ENOENT, EPERM, ESRCH } from '../native/index.ts';
import { NetlinkError, RTPROT_WEFT, type RouteNetlink } from '../netlink/index.ts';
import type { HostView } from './host.ts';
import { FIRST_TABLE, TABLE_COUNT } from './numbers.ts';
import type { HostPath } from './paths.ts';
import { describeOperation, planRouting, type RoutingOperation } from './plan.ts';
import type { TableUse } from './path-tables.ts';
import { wantedRouting } from './wanted.ts';

export interface RoutingFailure {
  readonly operation: RoutingOperation;
  /** For the user: what failed and why. */
  readonly text: string;
}

export interface RoutingResult {
  /** The table of each routed address. */
  readonly tables: ReadonlyMap<string, TableUse>;
  /** Destinations that the main table knows and the tables of paths do not; 0 on all but routers. */
  readonly detoursOmitted: number;
  readonly done: readonly RoutingOperation[];
  readonly failures: readonly RoutingFailure[];
}

export class RoutingTables {
  readonly #netlink: RouteNetlink;

  /** @param netlink stays its owner's to close */
  constructor(netlink: RouteNetlink) {
    this.#netlink = netlink;
  }

  /**
   * Whether this process may change routes here, found out by trying to delete a route that cannot exist: the
   * capability counts in the user namespace that owns the network namespace, which no bit of /proc tells.
   */
  mayChange(): boolean {
    try {
      this.#netlink.deleteRoute({
        family: AF_INET,
        table: FIRST_TABLE + TABLE_COUNT - 1,
        protocol: RTPROT_WEFT,
        destination: { address: '192.0.2.1', length: 32 },
      });
      return true;
    } catch (error) {
      if (error instanceof NetlinkError) return error.errno !== EPERM;
      throw error;
    }
  }

  /** Makes routing what `paths` want, from what `view` shows. Goes on after a refusal. */
  apply(paths: readonly HostPath[], view: HostView): RoutingResult {
    const wanted = wantedRouting(paths, view);
    const plan = planRouting(wanted, view);
    const { detoursOmitted, tables } = wanted;
    return { tables, detoursOmitted, ...this.#run(plan) };
  }

  /** Removes every rule and route of Weft's own, of this process or an earlier one. */
  removeAll(): RoutingResult {
    const present = { routes: this.#netlink.routes(), rules: this.#netlink.rules() };
    const plan = planRouting({ routes: [], rules: [] }, present);
    return { tables: new Map(), detoursOmitted: 0, ...this.#run(plan) };
  }

  #run(plan: readonly RoutingOperation[]): { done: RoutingOperation[]; failures: RoutingFailure[] } {
    const done: RoutingOperation[] = [];
    const failures: RoutingFailure[] = [];
    for (const operation of plan) {
      try {
        this.#runOperation(operation);
        done.push(operation);
      } catch (error) {
        if (isAlreadySo(operation, error)) continue;
        failures.push({ operation, text: `${describeOperation(operation)}: ${errorText(error)}` });
      }
    }
    return { done, failures };
  }

  #runOperation(operation: RoutingOperation): void {
    switch (operation.kind) {
      case 'add-route':
        return this.#netlink.addRoute(operation.route);
      case 'replace-route':
        return this.#netlink.addRoute(operation.route, { replace: true });
      case 'add-rule':
        return this.#netlink.addRule(operation.rule);
      case 'delete-rule':
        return this.#netlink.deleteRule(operation.rule);
      case 'delete-route':
        return this.#netlink.deleteRoute(operation.route);
    }
  }
}

/** The kernel was faster: a link's end takes its routes along, between the reading and the deed. */
function isAlreadySo(operation: RoutingOperation, error: unknown): boolean {
  if (!(error instanceof NetlinkError)) return false;
  if (operation.kind === 'add-rule') return error.errno === EEXIST;
  if (operation.kind === 'delete-rule') return error.errno === ENOENT;
  return operation.kind === 'delete-route' && (error.errno === ESRCH || error.errno === ENOENT);
}
