/**
 * What the demo knows at one moment, as plain data: the drawing, the plain lines and the JSON lines are made of it.
 */

export const DemoPhase = {
  build: 'build',
  single: 'single',
  start: 'start',
  both: 'both',
  cut: 'cut',
  restored: 'restored',
  done: 'done',
} as const;
export type DemoPhase = (typeof DemoPhase)[keyof typeof DemoPhase];

export interface DemoUplink {
  readonly name: string;
  /** What the link lets through, each way. */
  readonly capacityBps: number;
  /** One way. */
  readonly delayMs: number;
  /** What arrives at the client now, headers included. */
  readonly rateBps: number;
  readonly cut: boolean;
}

export interface DemoResults {
  /** The first uplink alone, plain TCP, no proxy. Payload, as all rates here. */
  readonly singleBps?: number;
  /** Through `weft up`, over both. */
  readonly bothBps?: number;
  /** The longest time without data after the cut. */
  readonly stallMs?: number;
  /** Payload rate while the first uplink was cut. */
  readonly cutBps?: number;
  /** From the end of the cut until the first uplink carried data again. */
  readonly backAfterMs?: number;
}

export interface DemoState {
  readonly phase: DemoPhase;
  readonly elapsedMs: number;
  readonly uplinks: readonly DemoUplink[];
  /** Sum of the uplinks' rates over time, one value for each sample, oldest first. BOUNDED by the demo. */
  readonly historyBps: readonly number[];
  readonly download: { readonly bytes: number; readonly totalBytes: number } | undefined;
  readonly results: DemoResults;
}

/** What the demo found. */
export interface DemoSummary extends DemoResults {
  readonly singleBps: number;
  readonly bothBps: number;
  readonly ratio: number;
  readonly totalBytes: number;
  readonly sha256: string;
  /** `false`: bytes were lost, doubled or exchanged. */
  readonly intact: boolean;
  /** Of the download through the proxy, as frames that arrived at the client. */
  readonly uplinks: readonly { readonly name: string; readonly receivedBytes: number }[];
}

/**
 * `undefined`, or why the result is not what Weft promises: the download is not intact, or both uplinks together
 * gave less than half of what the second should add, or more than there is.
 */
export function judgeSummary(
  summary: Pick<DemoSummary, 'intact' | 'ratio'>,
  capacitiesBps: readonly number[],
): string | undefined {
  if (!summary.intact) return 'the download is not intact: its SHA-256 is wrong';
  const sum = capacitiesBps.reduce((total, value) => total + value, 0);
  const possible = sum / (capacitiesBps[0] ?? sum);
  if (summary.ratio < 1 + (possible - 1) / 2) {
    return `both uplinks gave only ${summary.ratio.toFixed(2)} times one; ${possible.toFixed(2)} times is possible`;
  }
  if (summary.ratio > possible * 1.25) {
    return `both uplinks gave ${summary.ratio.toFixed(2)} times one, which cannot be: ${possible.toFixed(2)} is possible`;
  }
  return undefined;
}
