/**
 * The metrics of one process as text: `GET /metrics`. Reads what is counted anyway when it is asked, keeps nothing,
 * and does no work for each connection.
 *
 * References: OpenMetrics 1.0.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/); Prometheus's text format
 * 0.0.4, for readers that ask for nothing newer.
 */
import { readdirSync } from 'node:fs';
import type { OpenMetricsContentType, Registry as PromRegistry } from 'prom-client';
import { readCounters, type Counters } from '../../mptcp/index.ts';
import { DAEMON_METRICS } from './daemon.ts';
import { HOST_METRICS, KERNEL_METRICS, OBSERVER_METRICS, PROCESS_METRICS } from './host.ts';
import type { Metric, MetricFacts, ProcessFacts } from './metric.ts';
import { LINK_METRICS, PATH_METRICS, TUNNEL_METRICS } from './paths.ts';
import { Counter, Gauge, Registry } from './prom-client.ts';
import { PROXY_METRICS } from './proxy.ts';

/** In the order in which they are written. */
export const METRICS: readonly Metric[] = [
  ...HOST_METRICS,
  ...PATH_METRICS,
  ...LINK_METRICS,
  ...TUNNEL_METRICS,
  ...PROXY_METRICS,
  ...DAEMON_METRICS,
  ...KERNEL_METRICS,
  ...OBSERVER_METRICS,
  ...PROCESS_METRICS,
];

/** Where the facts come from; each is asked once for each scrape. */
export interface MetricsSources {
  readonly overview: () => MetricFacts['overview'];
  /** `weft up` */
  readonly proxy?: () => MetricFacts['proxy'];
  /** `StatusReport.actions` of `weft up` */
  readonly actions?: () => MetricFacts['actions'];
  /** The daemon's status. */
  readonly daemon?: () => MetricFacts['daemon'];
  /** Default: those of this network namespace. */
  readonly kernel?: () => Counters;
}

export interface MetricsAnswer {
  /** For the header `content-type`. */
  readonly contentType: string;
  readonly body: string;
}

const OPEN_METRICS = Registry.OPENMETRICS_CONTENT_TYPE;
const PLAIN_TEXT = Registry.PROMETHEUS_CONTENT_TYPE;

type AnyRegistry = PromRegistry<OpenMetricsContentType> | PromRegistry;

/** OpenMetrics, unless the reader asks only for the older text format. */
function chooseContentType(accept: string | undefined): typeof OPEN_METRICS | typeof PLAIN_TEXT {
  if (accept === undefined || accept.includes('application/openmetrics-text')) return OPEN_METRICS;
  return accept.includes('text/plain') ? PLAIN_TEXT : OPEN_METRICS;
}

function newRegistry(contentType: typeof OPEN_METRICS | typeof PLAIN_TEXT): AnyRegistry {
  if (contentType === PLAIN_TEXT) return new Registry();
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(contentType);
  return registry;
}

/** prom-client puts the `_total` of OpenMetrics' counters there by itself. */
const registeredName = ({ name, type }: Metric, contentType: string) =>
  type === 'counter' && contentType === OPEN_METRICS ? name.replace(/_total$/, '') : name;

function addMetric(registry: AnyRegistry, metric: Metric, facts: MetricFacts): void {
  const samples = metric.read(facts).filter(([value]) => value !== undefined && Number.isFinite(value));
  // A family without values says nothing.
  if (samples.length === 0) return;
  const options = {
    name: registeredName(metric, registry.contentType),
    help: metric.help,
    labelNames: metric.labels,
    registers: [registry],
  };
  if (metric.type === 'counter') {
    const counter = new Counter(options);
    for (const [value = 0, labels = {}] of samples) counter.inc(labels, Math.max(0, value));
    return;
  }
  const gauge = new Gauge(options);
  for (const [value = 0, labels = {}] of samples) gauge.set(labels, value);
}

/**
 * The facts as text. A registry for each scrape, because labels of paths that are gone are to be gone too.
 * @param accept of the request's header `accept`
 */
export async function formatMetrics(facts: MetricFacts, accept?: string): Promise<MetricsAnswer> {
  const contentType = chooseContentType(accept);
  const registry = newRegistry(contentType);
  for (const metric of METRICS) addMetric(registry, metric, facts);
  return { contentType, body: await registry.metrics() };
}

function countDescriptors(): number | undefined {
  try {
    // The reading itself has one open.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return undefined;
  }
}

async function readProcess(): Promise<ProcessFacts> {
  const askedMs = performance.now();
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
  const loopLagSeconds = (performance.now() - askedMs) / 1000;
  const { system, user } = process.cpuUsage();
  const { heapUsed, rss } = process.memoryUsage();
  const openDescriptors = countDescriptors();
  return {
    cpuSeconds: (system + user) / 1e6,
    residentBytes: rss,
    heapUsedBytes: heapUsed,
    ...(openDescriptors === undefined ? {} : { openDescriptors }),
    startedAtSeconds: performance.timeOrigin / 1000,
    loopActiveSeconds: performance.eventLoopUtilization().active / 1000,
    loopLagSeconds,
  };
}

function readKernel({ kernel = readCounters }: MetricsSources): Counters {
  try {
    return kernel();
  } catch {
    // /proc may be closed to us; the other metrics are worth having.
    return new Map();
  }
}

export class Metrics {
  readonly #sources: MetricsSources;
  /** Of each format: those who ask at the same time share an answer. BOUNDED: two formats. */
  readonly #underWay = new Map<string, Promise<MetricsAnswer>>();

  constructor(sources: MetricsSources) {
    this.#sources = sources;
  }

  /** @param accept the request's header `accept`; decides between OpenMetrics and the older text format */
  render(accept?: string): Promise<MetricsAnswer> {
    const format = chooseContentType(accept);
    const underWay = this.#underWay.get(format);
    if (underWay !== undefined) return underWay;
    const answer = this.#render(format).finally(() => this.#underWay.delete(format));
    this.#underWay.set(format, answer);
    return answer;
  }

  async #render(accept: string): Promise<MetricsAnswer> {
    const process = await readProcess();
    const [proxy, actions, daemon] = [
      this.#sources.proxy?.(),
      this.#sources.actions?.(),
      this.#sources.daemon?.(),
    ];
    const facts: MetricFacts = {
      overview: this.#sources.overview(),
      process,
      kernel: readKernel(this.#sources),
      ...(proxy === undefined ? {} : { proxy }),
      ...(actions === undefined ? {} : { actions }),
      ...(daemon === undefined ? {} : { daemon }),
    };
    return formatMetrics(facts, accept);
  }
}
