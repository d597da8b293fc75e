/**
 * What a metric is here: a name, what it means, and a pure function from the facts of one scrape to its samples.
 * metrics.ts makes text of them; docs/metrics.md lists them (test/metrics-docs.test.ts holds the two together).
 *
 * Invariant: labels are of the host's own things (paths, links, tunnels, reasons from fixed tables), never of
 * connections, peers or clients, and each family has a stated bound.
 */
import { printable } from '../../base/index.ts';
import type { Counters } from '../../mptcp/index.ts';
import type { DaemonStatus } from '../../pathmanager/index.ts';
import type { ProxyCounters } from '../../proxy/index.ts';
import type { Overview, PathState } from '../observe/model.ts';

/** What this process uses, as it says itself. */
export interface ProcessFacts {
  /** User and system, all threads. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** Absent where /proc does not tell. */
  readonly openDescriptors?: number;
  /** Seconds since 1970. */
  readonly startedAtSeconds: number;
  /** How long the main loop was busy since the start. */
  readonly loopActiveSeconds: number;
  /** How long a turn of the main loop took when this was asked. */
  readonly loopLagSeconds: number;
}

/** Everything that is read for one scrape. What a process does not have is absent, and so are its metrics. */
export interface MetricFacts {
  readonly overview: Overview;
  readonly process: ProcessFacts;
  readonly kernel: Counters;
  readonly proxy?: ProxyCounters;
  /** `StatusReport.actions` */
  readonly actions?: Readonly<Record<string, number>>;
  readonly daemon?: Pick<DaemonStatus, 'connections' | 'counters' | 'plugins'>;
}

export type Labels = Readonly<Record<string, string>>;

/** A value that is `undefined` is left out: it could not be had. */
export type Sample = readonly [value: number | undefined, labels?: Labels];

export interface Metric {
  /** Those of counters end in `_total`. */
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  /** One line, without quotation marks. */
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: (facts: MetricFacts) => readonly Sample[];
}

/** @param read gives the samples; every one has all of `labels` */
export function gauge(name: string, help: string, labels: readonly string[], read: Metric['read']): Metric {
  return { name, type: 'gauge', help, labels, read };
}

/** @param name ends in `_total` */
export function counter(name: string, help: string, labels: readonly string[], read: Metric['read']): Metric {
  return { name, type: 'counter', help, labels, read };
}

/** A value of a label, from elsewhere: nothing in it ends a line. */
export const label = (text: string): string => printable(text);

/** As a label and a gauge of 0 or 1 for each: exactly one is 1. */
export const PATH_STATES = [
  'active',
  'backup',
  'waiting',
  'stale',
  'down',
] as const satisfies readonly PathState[];

/** Microseconds as the base unit of metrics. */
export const secondsOfUs = (us: number | undefined): number | undefined =>
  us === undefined ? undefined : us / 1e6;
