/**
 * Questions and answers over a stream of JSON lines, for QEMU's monitor and for the guest's agent: each question has a
 * number, its answer has the same, everything else is an event. The two differ only in their words (qmp.ts, agent.ts).
 *
 * Invariant: every question is settled: by its answer, by its deadline, or by the stream's end.
 */
import type { Duplex } from 'node:stream';
import { WeftError } from '../../base/index.ts';
import { LineReader } from '../guest/agent-lines.ts';

type Fields = Record<string, unknown>;

export interface LineCallsOptions {
  /** For errors: `the guest`, `QEMU`. */
  readonly who: string;
  /** The question's line, without its end. */
  readonly formatCall: (id: number, call: Fields) => string;
  /** What an answer says: its result, or why there is none. */
  readonly readAnswer: (
    answer: Fields,
    call: Fields,
  ) => { readonly result: unknown } | { readonly error: WeftError };
  /** What is no answer. */
  readonly onEvent: (event: Fields) => void;
  /** Once, when nothing more can be asked. */
  readonly onEnd?: (why: string) => void;
  readonly lineMaxBytes?: number;
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
  readonly call: Fields;
}

/** BOUNDED: questions without an answer yet. */
const WAITING_MAX = 100;

export class LineCalls {
  readonly #stream: Duplex;
  readonly #options: LineCallsOptions;
  readonly #reader: LineReader;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #end: string | undefined;

  /** The stream is this object's from now on. */
  constructor(stream: Duplex, options: LineCallsOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#reader =
      options.lineMaxBytes === undefined ? new LineReader() : new LineReader(options.lineMaxBytes);
    stream.on('data', (bytes: Buffer) => this.#handleBytes(bytes));
    stream.on('error', (error) => this.#finish(error.message));
    stream.on('close', () => this.#finish('the connection ended'));
    stream.on('end', () => this.#finish('the connection ended'));
  }

  /** Why nothing more can be asked; `undefined` while it can. */
  get ended(): string | undefined {
    return this.#end;
  }

  #handleBytes(bytes: Buffer): void {
    for (const message of this.#reader.handleBytes(bytes)) this.#handleMessage(message);
    if (this.#reader.problem !== undefined) this.#finish(this.#reader.problem);
  }

  #handleMessage(message: Fields): void {
    const { id } = message;
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (typeof id !== 'number' || waiting === undefined) {
      // An answer that comes after its deadline is nobody's.
      if (typeof id !== 'number') this.#options.onEvent(message);
      return;
    }
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    const answer = this.#options.readAnswer(message, waiting.call);
    if ('error' in answer) waiting.reject(answer.error);
    else waiting.resolve(answer.result);
  }

  /**
   * Asks. `send` replaces the writing of the line, for questions with a descriptor.
   * @throws WeftError `ENDED`, `TIMEOUT`, `BUSY`; what `readAnswer` makes of a refusal
   */
  call(call: Fields, timeoutMs: number, send?: (line: Uint8Array) => void): Promise<unknown> {
    const { formatCall, who } = this.#options;
    if (this.#end !== undefined) {
      return Promise.reject(new WeftError(`${who} cannot be asked: ${this.#end}`, { code: 'ENDED' }));
    }
    if (this.#waiting.size >= WAITING_MAX) {
      return Promise.reject(
        new WeftError(`${who} has ${WAITING_MAX} questions to answer first`, { code: 'BUSY' }),
      );
    }
    const id = this.#nextId++;
    const line = Buffer.from(`${formatCall(id, call)}\n`);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        const text = `${who} did not answer within ${timeoutMs} ms`;
        reject(new WeftError(text, { code: 'TIMEOUT' }));
      }, timeoutMs);
      this.#waiting.set(id, { resolve, reject, timer, call });
      try {
        if (send === undefined) this.#stream.write(line);
        else send(line);
      } catch (error) {
        this.#waiting.delete(id);
        clearTimeout(timer);
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  #finish(why: string): void {
    if (this.#end !== undefined) return;
    this.#end = why;
    const { onEnd, who } = this.#options;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new WeftError(`${who} did not answer: ${why}`, { code: 'ENDED' }));
    }
    this.#waiting.clear();
    this.#stream.destroy();
    onEnd?.(why);
  }

  /** Harmless when done before. */
  close(): void {
    this.#finish('it was closed');
  }
}
