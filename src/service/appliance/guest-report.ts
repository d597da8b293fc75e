/**
 * What `weft status --json` would say inside the appliance's guest (pure), cut to what fits into one line of the agent's.
 */
import { LINE_MAX_BYTES } from '../../appliance/index.ts';
import { API_VERSION, type ProxyReport, type StatusReport } from '../control-api.ts';
import { countEndToEnd } from '../end-to-end.ts';
import { explainMultipath } from '../explain.ts';
import type { SupervisorStatus } from '../supervisor.ts';

export interface GuestFacts extends Pick<
  StatusReport,
  'version' | 'upForMs' | 'connections' | 'connectionsOmitted'
> {
  readonly proxyAddresses: readonly string[];
  readonly multipath: boolean;
  readonly counters: ProxyReport['counters'];
  /** `undefined`: connections are to be plain TCP. */
  readonly supervised: SupervisorStatus | undefined;
}

/** Of a proxy that is to use plain TCP. */
const UNSUPERVISED: Pick<
  StatusReport,
  'mode' | 'reason' | 'paths' | 'ignoredLinks' | 'endpoints' | 'actions'
> = {
  mode: 'single-path',
  reason: 'connections are to be plain TCP',
  paths: [],
  ignoredLinks: [],
  endpoints: [],
  actions: {},
};

/** BOUNDED: of the connections in a report, so that the answer with it fits into a line. */
const REPORT_MAX_CHARACTERS = LINE_MAX_BYTES / 4;

/** The report with as many of the newest connections as fit. */
function fitted(report: StatusReport): StatusReport {
  let { connections } = report;
  while (connections.length > 0 && JSON.stringify(connections).length > REPORT_MAX_CHARACTERS) {
    connections = connections.slice(Math.ceil(connections.length / 2));
  }
  const omitted = report.connections.length - connections.length;
  return { ...report, connections, connectionsOmitted: report.connectionsOmitted + omitted };
}

export function buildGuestReport(facts: GuestFacts): StatusReport {
  const { connections, connectionsOmitted, counters, multipath, proxyAddresses, upForMs, version } = facts;
  const { actions, ...host } = facts.supervised ?? UNSUPERVISED;
  const seen = { ...host, connections, connectionsOmitted };
  return fitted({
    apiVersion: API_VERSION,
    version,
    pid: process.pid,
    upForMs,
    backend: { kind: 'native', why: 'this is the appliance' },
    ...seen,
    actions: { ...actions },
    proxy: { addresses: proxyAddresses, allowRemote: true, multipath, counters },
    multipath: {
      ...explainMultipath({ ...seen, wanted: multipath }),
      endToEnd: countEndToEnd(connections),
    },
  });
}
