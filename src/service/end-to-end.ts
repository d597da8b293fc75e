/** Counts what was really seen on connections that are open now (pure). */
import type { ConnectionReport, EndToEndReport } from './control-api.ts';

const established = ({ subflows }: ConnectionReport) =>
  subflows.filter(({ state }) => state === 'established').length;

export function countEndToEnd(connections: readonly ConnectionReport[]): EndToEndReport {
  const mptcp = connections.filter(({ protocol }) => protocol === 'mptcp');
  return {
    connections: connections.length,
    mptcp: mptcp.length,
    severalPaths: mptcp.filter((connection) => established(connection) > 1).length,
  };
}
