/**
 * fullmesh (pure): every local address with every address of the peer, and again when a subflow ends. Connections
 * that were accepted here are left to the other end, unless asked for: servers usually cannot reach their clients.
 */
import { IDLE_PLAN, isOwnHost, meshOf, type Planner } from './subflow-plan.ts';

export interface FullmeshChoice {
  /** Also for connections that were accepted here. */
  readonly server: boolean;
  /** Subflows of a connection in all. */
  readonly maximum: number;
}

export function fullmeshPlanner({ server, maximum }: FullmeshChoice): Planner {
  return (connection, locals) => {
    if (isOwnHost(connection, locals)) return undefined;
    // Left to the other end, but it is told of addresses that are lost.
    if (connection.serverSide && !server) return IDLE_PLAN;
    const wanted = meshOf(connection, locals, { count: 1, backup: () => false });
    return { ...IDLE_PLAN, wanted, maximum, reestablish: true };
  };
}
