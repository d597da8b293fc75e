/**
 * The demonstration: one path alone, then `weft up` and both, one uplink cut in the middle of the download, and
 * brought back. Measures; draws nothing (demo-view.ts does).
 *
 * Phases: build → single → start → both → cut → restored → done (cut and restored are left out on request).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { PauseMeter, RateMeter } from './demo-meter.ts';
import { DemoPhase, type DemoResults, type DemoState, type DemoSummary } from './demo-state.ts';
import { Lab } from './lab.ts';
import { transfer } from './transfer.ts';
import { contentSha256 } from './web-server.ts';
import { PROXY, WeftProcess } from './weft-process.ts';

export interface DemoOptions {
  readonly rateBps: readonly [number, number];
  /** One way. */
  readonly delayMs: readonly [number, number];
  /** Of each phase. */
  readonly seconds: number;
  readonly cut: boolean;
  /** How to start Weft: program and arguments before `up`. */
  readonly weft: readonly string[];
  readonly signal?: AbortSignal;
  /** Called at each sample and each change of phase. */
  readonly onChange?: (state: DemoState) => void;
}

const SAMPLE_MS = 100;
const RATE_WINDOW_MS = 500;
/** BOUNDED: a minute of samples. */
const HISTORY_SAMPLES = 600;
const STEP_MS = 20;
/** Payload in a frame of 1514 bytes, with TCP timestamps and MPTCP's data sequence mapping. */
const PAYLOAD_SHARE = 0.93;
const SEED = 20;

class Demo {
  readonly #options: DemoOptions;
  readonly #lab: Lab;
  readonly #startMs = performance.now();
  readonly #meters = [new RateMeter(RATE_WINDOW_MS), new RateMeter(RATE_WINDOW_MS)];
  readonly #history: number[] = [];
  readonly #pause = new PauseMeter();
  readonly #sampler: NodeJS.Timeout;
  #phase: DemoPhase = DemoPhase.build;
  #results: DemoResults = {};
  #bytes = 0;
  #totalBytes = 0;

  constructor(lab: Lab, options: DemoOptions) {
    this.#lab = lab;
    this.#options = options;
    this.#sampler = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  #state(): DemoState {
    const { rateBps, delayMs } = this.#options;
    return {
      phase: this.#phase,
      elapsedMs: performance.now() - this.#startMs,
      uplinks: this.#lab.uplinks.map((uplink, i) => ({
        name: uplink.name,
        capacityBps: rateBps[i] ?? 0,
        delayMs: delayMs[i] ?? 0,
        rateBps: this.#meters[i]?.rateBps ?? 0,
        cut: uplink.isCut,
      })),
      historyBps: this.#history,
      download: this.#totalBytes === 0 ? undefined : { bytes: this.#bytes, totalBytes: this.#totalBytes },
      results: this.#results,
    };
  }

  #sample(): void {
    const nowMs = performance.now();
    let sumBps = 0;
    for (const [i, { receivedBytes }] of this.#lab.linkBytes().entries()) {
      this.#meters[i]?.add(nowMs, receivedBytes);
      sumBps += this.#meters[i]?.rateBps ?? 0;
    }
    this.#history.push(sumBps);
    if (this.#history.length > HISTORY_SAMPLES) this.#history.shift();
    this.#options.onChange?.(this.#state());
  }

  #enter(phase: DemoPhase, results: DemoResults = {}): void {
    this.#phase = phase;
    this.#results = { ...this.#results, ...results };
    this.#options.onChange?.(this.#state());
  }

  #wait(seconds: number): Promise<void> {
    const { signal } = this.#options;
    return sleep(seconds * 1000, undefined, signal === undefined ? {} : { signal });
  }

  #onData = (bytes: number): void => {
    this.#bytes += bytes;
    this.#pause.data(performance.now());
  };

  /** Payload rate over `seconds` after the first data, without the beginning, when slow start is not over. */
  async #measure(seconds: number): Promise<number> {
    while (this.#bytes === 0) await this.#wait(STEP_MS / 1000);
    const warmUp = Math.min(1, seconds / 3);
    await this.#wait(warmUp);
    const [fromMs, fromBytes] = [performance.now(), this.#bytes];
    await this.#wait(seconds - warmUp);
    return ((this.#bytes - fromBytes) * 8000) / (performance.now() - fromMs);
  }

  /** The first uplink alone: what a program gets that knows nothing of Weft. */
  async #runSingle(): Promise<void> {
    this.#enter(DemoPhase.single);
    const stop = new AbortController();
    const [first] = this.#lab.uplinks;
    const download = transfer({
      node: this.#lab.node('client'),
      address: this.#lab.serverAddress,
      // More than the link can carry in the time.
      path: '/bytes/100000000000000',
      signal: stop.signal,
      onData: this.#onData,
      ...(first === undefined ? {} : { localAddress: first.address }),
    });
    try {
      const measured = this.#measure(this.#options.seconds);
      const singleBps = await Promise.race([measured, failureOf(download)]);
      this.#enter(DemoPhase.start, { singleBps });
    } finally {
      stop.abort();
      await download.catch(() => {});
    }
  }

  async #runBoth(): Promise<DemoSummary> {
    const { seconds, cut, rateBps } = this.#options;
    const cutSeconds = cut ? seconds : 0;
    const restoredSeconds = cut ? seconds * 1.5 : 0;
    const [one, both] = [rateBps[1], rateBps[0] + rateBps[1]];
    this.#bytes = 0;
    this.#totalBytes = Math.round(
      ((both * (seconds + restoredSeconds) + one * cutSeconds) / 8) * PAYLOAD_SHARE,
    );
    const before = this.#lab.linkBytes();
    this.#enter(DemoPhase.both);
    const download = transfer({
      node: this.#lab.node('client'),
      address: this.#lab.serverAddress,
      path: `/bytes/${this.#totalBytes}?seed=${SEED}`,
      proxy: PROXY,
      onData: this.#onData,
      ...(this.#options.signal === undefined ? {} : { signal: this.#options.signal }),
    });
    const failed = failureOf(download);
    const bothBps = await Promise.race([this.#measure(seconds * 0.9), failed]);
    this.#results = { ...this.#results, bothBps };
    if (cut) await Promise.race([this.#runCut(cutSeconds), failed]);
    const result = await download;
    const after = this.#lab.linkBytes();
    this.#enter(DemoPhase.done);
    const { singleBps = Number.NaN } = this.#results;
    return {
      ...this.#results,
      singleBps,
      bothBps,
      ratio: bothBps / singleBps,
      totalBytes: result.bytes,
      sha256: result.sha256,
      intact: result.bytes === this.#totalBytes && result.sha256 === contentSha256(this.#totalBytes, SEED),
      uplinks: after.map(({ name, receivedBytes }, i) => ({
        name,
        receivedBytes: receivedBytes - (before[i]?.receivedBytes ?? 0),
      })),
    };
  }

  async #runCut(seconds: number): Promise<void> {
    const uplink = this.#lab.uplink(0);
    this.#pause.begin(performance.now());
    uplink.cut();
    this.#enter(DemoPhase.cut);
    const cutBps = await this.#measure(seconds);
    const stallMs = this.#pause.longestMs(performance.now());
    const carried = uplink.received.bytes;
    uplink.restore();
    this.#enter(DemoPhase.restored, { stallMs, cutBps });
    const restoredMs = performance.now();
    // More than the few frames of a handshake or a probe.
    const back = () => uplink.received.bytes > carried + 100_000;
    while (!back() && this.#bytes < this.#totalBytes) await this.#wait(STEP_MS / 1000);
    if (back()) this.#results = { ...this.#results, backAfterMs: performance.now() - restoredMs };
  }

  async run(): Promise<DemoSummary> {
    await this.#runSingle();
    const { signal, weft } = this.#options;
    await WeftProcess.start(this.#lab, { command: weft, ...(signal === undefined ? {} : { signal }) });
    return this.#runBoth();
  }

  stop(): void {
    clearInterval(this.#sampler);
  }
}

/** Never resolves; rejects when the download does, also when that is long after. */
function failureOf(download: Promise<unknown>): Promise<never> {
  return new Promise((_resolve, reject) => {
    download.catch(reject);
  });
}

/** Builds a lab, runs the demonstration in it and removes it, whatever happens. */
export async function runDemo(options: DemoOptions): Promise<DemoSummary> {
  const lab = await Lab.twoUplinks({ rateBps: options.rateBps, delayMs: options.delayMs });
  const demo = new Demo(lab, options);
  try {
    return await demo.run();
  } finally {
    demo.stop();
    await lab.close();
  }
}
