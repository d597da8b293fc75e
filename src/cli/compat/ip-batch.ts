/**
 * Runs a batch: commands in order, all in this process and over one netlink socket. `limits show` lines that follow
 * one another are read together, which nobody can tell from reading them one by one, because reading changes
 * nothing; they are carried out before any other command, before more input is waited for, and at the end.
 */
import { errnoText } from '../../native/index.ts';
import { BatchLines, type BatchStep } from './batch.ts';
import type { IpSession } from './ip-session.ts';
import { parseIpWords } from './mptcp-grammar.ts';
import { generalExit, type CommandFailure, type Exit } from './outcome.ts';
import type { Output } from './output.ts';
import { openLines, readLines } from './read-lines.ts';

/** How a command or a batch ended; `undefined`: well. */
export type End = Exit | CommandFailure | undefined;

export interface BatchOptions {
  /** `-` is standard input. */
  readonly path: string;
  /** A command that failed does not end the batch. */
  readonly force: boolean;
  readonly runMonitor: () => Promise<End>;
}

/** BOUNDED: how many readings wait to be done together. */
const MAX_WAITING = 256;

export class IpBatch {
  readonly #session: IpSession;
  readonly #output: Output;
  readonly #options: BatchOptions;
  /** Line numbers of `limits show` that have not been carried out. BOUNDED by MAX_WAITING. */
  #waiting: number[] = [];
  #failed = false;
  /** A line that is known to be nothing but `limits show`, so that it need not be taken apart each time. */
  #knownRead: string | undefined;
  /** Set when the batch is over before its end. */
  #over: Exit | undefined;

  constructor(session: IpSession, output: Output, options: BatchOptions) {
    this.#session = session;
    this.#output = output;
    this.#options = options;
  }

  async run(): Promise<End> {
    const { path } = this.#options;
    const fd = openLines(path);
    if (typeof fd !== 'number') {
      return generalExit(`Cannot open file "${path}" for reading: ${errnoText(fd.errno)}\n`);
    }
    const lines = new BatchLines();
    for (const line of readLines(fd, () => this.#beforeRead())) {
      if (this.#over !== undefined) return this.#over;
      const knownLine = line === this.#knownRead ? lines.passLine() : undefined;
      if (knownLine !== undefined) {
        this.#wait(knownLine);
        continue;
      }
      const step = lines.handleLine(line);
      if (step === undefined) continue;
      const more = this.#runStep(step, line);
      if (more !== undefined) await more;
      if (this.#over !== undefined) return this.#over;
    }
    this.#runWaiting();
    if (this.#over !== undefined) return this.#over;
    const warning = lines.handleEnd();
    if (warning !== undefined) this.#output.error(warning);
    return this.#failed ? generalExit('') : undefined;
  }

  #beforeRead(): void {
    this.#runWaiting();
    this.#output.flush();
  }

  /** A promise only for `monitor`. */
  #runStep(step: BatchStep, line: string): Promise<void> | undefined {
    if (step.kind === 'error') {
      this.#runWaiting();
      this.#over ??= generalExit(step.stderr);
      return undefined;
    }
    const parsed = parseIpWords(step.words, this.#session.linkIndexOf);
    if (parsed.kind === 'request' && parsed.request.kind === 'show-limits') {
      if (!step.continued) this.#knownRead = line;
      this.#wait(step.lineNumber);
      return undefined;
    }
    this.#runWaiting();
    if (this.#over !== undefined) return undefined;
    if (parsed.kind !== 'request') this.#judge(parsed, step.lineNumber);
    else if (parsed.request.kind === 'monitor') {
      return this.#options.runMonitor().then((end) => this.#judge(end, step.lineNumber));
    } else this.#judge(this.#session.run(parsed.request), step.lineNumber);
    return undefined;
  }

  #wait(lineNumber: number): void {
    this.#waiting.push(lineNumber);
    if (this.#waiting.length >= MAX_WAITING) this.#runWaiting();
  }

  #runWaiting(): void {
    const numbers = this.#waiting;
    if (numbers.length === 0) return;
    this.#waiting = [];
    for (const [i, outcome] of this.#session.runShowLimits(numbers.length).entries()) {
      if (outcome.kind === 'text') this.#output.write(outcome.text);
      else this.#judge(outcome, numbers[i] ?? 0);
      if (this.#over !== undefined) return;
    }
  }

  #judge(end: End, lineNumber: number): void {
    if (end === undefined) return;
    if (end.kind === 'exit') {
      this.#over = end;
      return;
    }
    this.#output.error(`${end.stderr}Command failed ${this.#options.path}:${lineNumber}\n`);
    this.#failed = true;
    if (!this.#options.force) this.#over = generalExit('');
  }
}
