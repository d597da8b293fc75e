/** Metrics of the path-management daemon (`weft daemon`, `mptcpd`). Pure. BOUNDED: the first 64 plugins. */
import type { PluginState, PluginStatus } from '../../pathmanager/index.ts';
import { counter, gauge, label, type Metric, type MetricFacts, type Sample } from './metric.ts';

export const METRIC_PLUGINS_MAX = 64;

type DaemonFacts = NonNullable<MetricFacts['daemon']>;

const ofDaemon =
  (read: (daemon: DaemonFacts) => readonly Sample[]): Metric['read'] =>
  ({ daemon }) =>
    daemon === undefined ? [] : read(daemon);

const one = (read: (daemon: DaemonFacts) => number) => ofDaemon((daemon) => [[read(daemon)]]);

const PLUGIN_STATES = ['loading', 'running', 'failed', 'ended'] as const satisfies readonly PluginState[];

function callbackSamples({ callbacks, name }: PluginStatus): Sample[] {
  const plugin = label(name);
  return [
    [callbacks.delivered, { plugin, result: 'delivered' }],
    [callbacks.failed, { plugin, result: 'failed' }],
    [callbacks.late, { plugin, result: 'late' }],
    [callbacks.dropped, { plugin, result: 'dropped' }],
  ];
}

export const DAEMON_METRICS: readonly Metric[] = [
  gauge(
    'weft_daemon_connections',
    'MPTCP connections that the daemon follows',
    [],
    one(({ connections }) => connections),
  ),
  counter(
    'weft_daemon_mptcp_events_total',
    'Events of the kernel’s path manager that were read',
    [],
    one(({ counters }) => counters.mptcpEvents),
  ),
  counter(
    'weft_daemon_mptcp_events_dispatched_total',
    'Of these, those that went to a plugin',
    [],
    one(({ counters }) => counters.dispatched),
  ),
  counter(
    'weft_daemon_mptcp_events_unmatched_total',
    'Of these, those of connections that no plugin is bound to',
    [],
    one(({ counters }) => counters.unmatched),
  ),
  counter(
    'weft_daemon_overruns_total',
    'How often the kernel dropped messages because they were not read fast enough, by socket: mptcp or network',
    ['socket'],
    ofDaemon(({ counters }) => [
      [counters.mptcpOverruns, { socket: 'mptcp' }],
      [counters.networkOverruns, { socket: 'network' }],
    ]),
  ),
  counter(
    'weft_daemon_resynchronisations_total',
    'How often all connections were read anew',
    [],
    one(({ counters }) => counters.resynchronisations),
  ),
  gauge(
    'weft_daemon_plugins',
    'Plugins, by how they do: loading, running, failed or ended',
    ['state'],
    ofDaemon(({ plugins }) =>
      PLUGIN_STATES.map((state): Sample => [
        plugins.filter((plugin) => plugin.state === state).length,
        { state },
      ]),
    ),
  ),
  counter(
    'weft_daemon_plugin_callbacks_total',
    'Callbacks of a plugin: delivered, failed (threw), late (over the time budget), dropped (too far behind)',
    ['plugin', 'result'],
    ofDaemon(({ plugins }) => plugins.slice(0, METRIC_PLUGINS_MAX).flatMap(callbackSamples)),
  ),
];
