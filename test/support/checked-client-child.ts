/**
 * A program with many tunnels through a proxy, all of them with checked traffic (checked-traffic.ts):
 * `checked-client-child.mjs JSON`, the options below. Says on standard output, a line of JSON each:
 *
 *   {"open": N}      N tunnels are open, the first round of each has come through whole, or it has failed
 *   {"result": …}    after a line came on standard input: every tunnel has ended; see CheckedResult
 */
import { once, setMaxListeners } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { CheckedReplies, numbersFrom, POOL_BYTES, type Round } from './checked-traffic.ts';
import { enterTunnel, type Entrance } from './tunnel-entrance.ts';

export interface CheckedClientOptions {
  readonly proxy: { readonly address: string; readonly port: number };
  readonly target: { readonly address: string; readonly port: number };
  /** In turn. */
  readonly entrances: readonly Entrance[];
  readonly tunnels: number;
  /** Tunnels being opened at the same time. */
  readonly opening: number;
  readonly largestUp: number;
  readonly largestDown: number;
  /** Each tunnel rests that long at most between two rounds, half of it on average. */
  readonly restMs: number;
  readonly seed: number;
}

export interface CheckedResult {
  readonly tunnels: number;
  readonly rounds: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** The first few of what went wrong. */
  readonly problems: readonly string[];
  readonly failed: number;
}

const options = JSON.parse(process.argv[2] ?? '{}') as CheckedClientOptions;
const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);

/** Ends the rests. UNBOUNDED listeners: one for each tunnel. */
const stop = new AbortController();
setMaxListeners(0, stop.signal);
const total = { rounds: 0, bytesUp: 0, bytesDown: 0 };
const problems: string[] = [];

function randomRound(random: (limit: number) => number): Round {
  // Small ones are many, and the largest occurs.
  const size = (largest: number) => Math.ceil(largest ** (random(1000) / 1000));
  const replyBytes = size(options.largestDown);
  const payloadBytes = size(options.largestUp);
  return {
    replyBytes,
    payloadBytes,
    replyAt: random(POOL_BYTES - replyBytes),
    payloadAt: random(POOL_BYTES - payloadBytes),
  };
}

/** One tunnel from its first round to its end. Throws what is wrong. */
class CheckedTunnel {
  readonly #socket: Socket;
  readonly replies = new CheckedReplies();
  readonly #random: (limit: number) => number;
  #settle: (() => void) | undefined;

  constructor(socket: Socket, seed: number) {
    this.#socket = socket;
    this.#random = numbersFrom(seed);
    socket.on('data', (bytes) => {
      this.replies.handleBytes(bytes);
      this.#settle?.();
    });
    socket.once('end', () => {
      this.replies.handleEnd();
      this.#settle?.();
    });
    socket.once('close', () => this.#settle?.());
  }

  async run(onFirst: () => void): Promise<void> {
    try {
      for (let round = 0; round === 0 || !stop.signal.aborted; round++) {
        this.#socket.write(this.replies.begin(randomRound(this.#random)));
        await this.#whole();
        total.rounds++;
        if (round === 0) onFirst();
        if (!stop.signal.aborted) await rest(this.#random(options.restMs));
      }
      this.replies.beginEnd();
      this.#socket.end();
      await this.#whole();
      if (!this.#socket.readableEnded) await once(this.#socket, 'end');
    } finally {
      total.bytesUp += this.replies.bytesSent;
      total.bytesDown += this.replies.bytesReceived;
      this.#socket.destroy();
    }
  }

  /** Resolves when everything asked for has come. */
  async #whole(): Promise<void> {
    const { replies } = this;
    while (replies.outstanding > 0 && replies.problem === undefined && !this.#socket.destroyed) {
      await new Promise<void>((resolve) => {
        this.#settle = resolve;
      });
    }
    if (replies.problem !== undefined) throw new Error(replies.problem);
    if (replies.outstanding > 0) throw new Error(`closed with ${replies.outstanding} replies missing`);
  }
}

async function rest(ms: number): Promise<void> {
  await sleep(ms, undefined, { signal: stop.signal }).catch(() => {});
}

let opened = 0;
function noteOpened(): void {
  opened++;
  if (opened === options.tunnels) say({ open: opened });
}

async function openAndRun(number: number, onFirst: () => void): Promise<() => Promise<void>> {
  const socket = connect({
    ...options.proxy,
    host: options.proxy.address,
    allowHalfOpen: true,
    noDelay: true,
  });
  socket.on('error', () => {});
  await once(socket, 'connect');
  await enterTunnel(socket, options.entrances[number % options.entrances.length]!, options.target);
  const tunnel = new CheckedTunnel(socket, options.seed + number);
  return () => tunnel.run(onFirst);
}

createInterface({ input: process.stdin }).once('line', () => {
  stop.abort();
});
const running: Promise<void>[] = [];
let next = 0;
async function openSome(): Promise<void> {
  for (let number = next++; number < options.tunnels; number = next++) {
    let isOpen = false;
    const noteOpen = () => {
      if (!isOpen) noteOpened();
      isOpen = true;
    };
    const noteFailure = (error: Error) => {
      problems.push(`tunnel ${number}: ${error.message}`);
      // Who waits for all of them is not to wait for this one.
      noteOpen();
    };
    try {
      const run = await openAndRun(number, noteOpen);
      running.push(run().catch(noteFailure));
    } catch (error) {
      noteFailure(error as Error);
    }
  }
}
await Promise.all(Array.from({ length: options.opening }, openSome));
await Promise.all(running);
const result: CheckedResult = {
  tunnels: options.tunnels,
  ...total,
  problems: problems.slice(0, 20),
  failed: problems.length,
};
say({ result });
process.exit(0);
