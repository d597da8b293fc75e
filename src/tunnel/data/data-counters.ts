/**
 * The counter blocks of the data plane as plain objects, for status, events and metrics. Layouts: protocol.ts. Reading
 * takes no lock: each field is exact, fields of one block may be a few packets apart.
 */
import {
  InboundCounter,
  InboundPathCounter,
  InboundTotal,
  OutboundCounter,
  OutboundPathCounter,
  OutboundTotal,
  pathField,
} from './protocol.ts';

type Counts<Layout> = { readonly [Name in keyof Layout]: number };

export interface PathCounters {
  readonly sent: Counts<typeof OutboundPathCounter>;
  readonly received: Counts<typeof InboundPathCounter>;
}

/** Counts since the connection was set for the first time; `…Ms` are times of `monotonicMs()`, 0: never. */
export interface ConnectionCounters {
  readonly sent: Counts<typeof OutboundCounter>;
  readonly received: Counts<typeof InboundCounter>;
  /** In the order of the paths' indexes. */
  readonly paths: readonly PathCounters[];
}

export interface TotalCounters {
  readonly sent: Counts<typeof OutboundTotal>;
  readonly received: Counts<typeof InboundTotal>;
}

function readFields<Layout extends Readonly<Record<string, number>>>(
  block: Float64Array,
  layout: Layout,
  at: number,
): Counts<Layout> {
  const entries = Object.entries(layout).map(([name, field]) => [name, block[at + field] ?? 0] as const);
  return Object.fromEntries(entries) as Counts<Layout>;
}

/** `outbound`, `inbound`: blocks of the connection; `paths`: how many it has. */
export function readConnectionCounters(
  outbound: Float64Array,
  inbound: Float64Array,
  paths: number,
): ConnectionCounters {
  return {
    sent: readFields(outbound, OutboundCounter, 0),
    received: readFields(inbound, InboundCounter, 0),
    paths: Array.from({ length: paths }, (_, path) => readPathCounters(outbound, inbound, path)),
  };
}

/** Those of one path. */
export function readPathCounters(outbound: Float64Array, inbound: Float64Array, path: number): PathCounters {
  return {
    sent: readFields(outbound, OutboundPathCounter, pathField(path, 0)),
    received: readFields(inbound, InboundPathCounter, pathField(path, 0)),
  };
}

/** Of all connections together: the threads' global blocks. */
export function readTotalCounters(outbound: Float64Array, inbound: Float64Array): TotalCounters {
  return { sent: readFields(outbound, OutboundTotal, 0), received: readFields(inbound, InboundTotal, 0) };
}
