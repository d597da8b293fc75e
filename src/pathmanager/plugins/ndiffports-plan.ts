/**
 * ndiffports (pure): several subflows between the two addresses that the connection began with, from different
 * ports, so that routers which spread connections by their ports spread one connection.
 */
import { IDLE_PLAN, isOwnHost, type Planner } from './subflow-plan.ts';

export interface NdiffportsChoice {
  /** The first one included. */
  readonly subflows: number;
  /** Also for connections that were accepted here. */
  readonly server: boolean;
}

export function ndiffportsPlanner({ subflows, server }: NdiffportsChoice): Planner {
  return (connection, locals) => {
    // The peer may ask not to be joined at the address that the connection began with, and this plugin has no other.
    if (connection.denyJoinId0 || (connection.serverSide && !server) || isOwnHost(connection, locals)) {
      return undefined;
    }
    const local = locals.find((one) => one.address === connection.local.address);
    if (local === undefined) return undefined;
    const wanted = [{ local, remote: connection.remote, remoteId: 0, count: subflows, backup: false }];
    return { ...IDLE_PLAN, wanted, maximum: subflows, reestablish: true };
  };
}
