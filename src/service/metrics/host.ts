/**
 * Metrics of the host as a whole: the mode, connections, endpoints, limits, the kernel's own MPTCP counters, and how
 * Weft looks at it. Pure.
 *
 * BOUNDED: as many kernel counters as the kernel has, at most 160.
 */
import { describeCounter } from '../../mptcp/index.ts';
import type { Mode } from '../control-api.ts';
import { counter, gauge, label, type Metric, type Sample } from './metric.ts';

export const METRIC_KERNEL_COUNTERS_MAX = 160;

const MODES = ['multipath', 'single-path', 'unprivileged', 'no-mptcp'] as const satisfies readonly Mode[];

/** Those of the supervisor (supervisor-status.ts) that count. */
const ACTIONS = [
  ['looks', 'look'],
  ['kernelMessages', 'kernel-message'],
  ['overruns', 'overrun'],
  ['routesAndRulesChanged', 'route-or-rule-changed'],
  ['endpointsAdded', 'endpoint-added'],
  ['endpointsDeleted', 'endpoint-deleted'],
  ['limitsRaised', 'limits-raised'],
  ['failures', 'failure'],
] as const;

const isGauge = (name: string) => describeCounter(name).gauge;

export const HOST_METRICS: readonly Metric[] = [
  gauge(
    'weft_build_info',
    'Always 1; which Weft this is: its version, and whether it is weft up or the daemon',
    ['version', 'program'],
    ({ overview }) => [[1, { version: label(overview.version), program: overview.program }]],
  ),
  gauge(
    'weft_mode',
    'Whether Weft works in this mode: multipath, single-path, unprivileged or no-mptcp',
    ['mode'],
    ({ overview: { mode } }) =>
      mode === undefined ? [] : MODES.map((name): Sample => [Number(name === mode), { mode: name }]),
  ),
  gauge('weft_multipath_in_use', 'Whether several paths are in use', [], ({ overview }) => [
    [Number(overview.multipath.inUse)],
  ]),
  gauge(
    'weft_connections',
    'Open connections that Weft knows, by what they speak: mptcp (of all programs) or tcp (of the proxy)',
    ['protocol'],
    ({ overview: { totals } }) => [
      [totals.mptcp, { protocol: 'mptcp' }],
      [Math.max(0, totals.connections - totals.mptcp), { protocol: 'tcp' }],
    ],
  ),
  gauge(
    'weft_connections_fallen_back',
    'Open connections that are TCP although MPTCP was wanted',
    [],
    ({ overview }) => [[overview.totals.fallbacks]],
  ),
  gauge(
    'weft_connections_on_several_paths',
    'Open MPTCP connections with two or more subflows that are neither backup nor silent',
    [],
    ({ overview }) => [[overview.totals.severalPaths]],
  ),
  gauge('weft_subflows', 'MPTCP subflows that are open', [], ({ overview }) => [[overview.totals.subflows]]),
  gauge(
    'weft_endpoints',
    'Endpoints of the kernel’s path manager, by whose they are: weft or others',
    ['owner'],
    ({ overview: { endpoints } }) => {
      const ours = endpoints.filter((endpoint) => endpoint.ours).length;
      return [
        [ours, { owner: 'weft' }],
        [endpoints.length - ours, { owner: 'others' }],
      ];
    },
  ),
  gauge(
    'weft_limit_subflows',
    'Subflows beside the first that the kernel allows a connection',
    [],
    ({ overview }) => [[overview.limits?.subflows]],
  ),
  gauge(
    'weft_limit_accepted_addresses',
    'Announced addresses that the kernel accepts for a connection',
    [],
    ({ overview }) => [[overview.limits?.addAddrAccepted]],
  ),
  counter(
    'weft_path_actions_total',
    'What was done about paths since the start, by what it was',
    ['action'],
    ({ actions = {} }) => ACTIONS.map(([name, action]): Sample => [actions[name], { action }]),
  ),
];

export const KERNEL_METRICS: readonly Metric[] = [
  counter(
    'weft_kernel_mptcp_events_total',
    'The kernel’s MPTCP counters of this network namespace (MPTcpExt), by the kernel’s name; weft mptcp counters explains them',
    ['counter', 'group'],
    ({ kernel }) =>
      [...kernel]
        .filter(([name]) => !isGauge(name))
        .slice(0, METRIC_KERNEL_COUNTERS_MAX)
        .map(([name, value]): Sample => [
          value,
          { counter: label(name), group: describeCounter(name).group },
        ]),
  ),
  gauge(
    'weft_kernel_mptcp_established',
    'MPTCP connections that are established in this network namespace, as the kernel counts them (MPCurrEstab)',
    [],
    ({ kernel }) => [[kernel.get('MPCurrEstab')]],
  ),
];

export const OBSERVER_METRICS: readonly Metric[] = [
  counter('weft_samples_total', 'How often Weft has looked at the host’s connections', [], ({ overview }) => [
    [overview.sample],
  ]),
  gauge('weft_sample_seconds', 'How long the last look took', [], ({ overview }) => [
    [overview.sampleMs / 1000],
  ]),
  gauge('weft_sample_interval_seconds', 'How far apart the looks are now', [], ({ overview }) => [
    [overview.sampleIntervalMs / 1000],
  ]),
];

export const PROCESS_METRICS: readonly Metric[] = [
  counter('process_cpu_seconds_total', 'Processor time of this process, all threads', [], ({ process }) => [
    [process.cpuSeconds],
  ]),
  gauge('process_resident_memory_bytes', 'Memory of this process that is in RAM', [], ({ process }) => [
    [process.residentBytes],
  ]),
  gauge('process_open_fds', 'File descriptors that this process has open', [], ({ process }) => [
    [process.openDescriptors],
  ]),
  gauge('process_start_time_seconds', 'When this process started, since 1970', [], ({ process }) => [
    [process.startedAtSeconds],
  ]),
  gauge('weft_heap_used_bytes', 'Memory that JavaScript’s objects take', [], ({ process }) => [
    [process.heapUsedBytes],
  ]),
  counter(
    'weft_event_loop_active_seconds_total',
    'How long the main loop was busy; its growth is the share of a processor',
    [],
    ({ process }) => [[process.loopActiveSeconds]],
  ),
  gauge(
    'weft_event_loop_lag_seconds',
    'How long a turn of the main loop took when this was asked',
    [],
    ({ process }) => [[process.loopLagSeconds]],
  ),
];
