/**
 * service/metrics: the numbers of a running Weft for Prometheus and its like. To be imported when the first scrape
 * comes, not at start: it loads prom-client.
 */
export type { MetricFacts } from './metric.ts';
export { formatMetrics, Metrics, METRICS, type MetricsAnswer, type MetricsSources } from './metrics.ts';
export { REASONS } from './reasons.ts';
