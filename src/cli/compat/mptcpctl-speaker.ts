/**
 * Where mptcpctl's messages go: lines as they come, or, with --json, one object at the end. What went wrong goes to
 * standard error as well.
 */
import { errorCode, errorText, printable } from '../../base/index.ts';
import { writeMoreOutput, writeOutput } from '../command-result.ts';
import { formatMessage, globally, type Message } from './mptcpctl-messages.ts';
import type { MptcpctlLine } from './mptcpctl-grammar.ts';

const STDERR_PREFIX = globally('');

export class Speaker {
  readonly #line: MptcpctlLine;
  /** UNBOUNDED: a few lines for each link of this host, of one command. */
  readonly #messages: Message[] = [];
  readonly #facts: Record<string, unknown> = {};
  /** Why what was said could not be written, where that is so. */
  #unheard: unknown;

  constructor(line: MptcpctlLine) {
    this.#line = line;
  }

  /** Never throws: what is to be done is done even where nobody can be told. */
  say(...messages: readonly Message[]): void {
    this.#messages.push(...messages);
    if (!this.#line.json) this.#write(messages.map((message) => formatMessage(safe(message))).join(''));
  }

  #write(text: string): void {
    try {
      writeOutput(text);
    } catch (error) {
      this.#unheard ??= error;
    }
  }

  /** A line of its own, also with --json, for a command that goes on. @returns `false`: nobody reads any more */
  sayNow(messages: readonly Message[]): boolean {
    const text = this.#line.json
      ? `${JSON.stringify({ time: Date.now(), messages })}\n`
      : messages.map((message) => formatMessage(safe(message))).join('');
    return writeMoreOutput(text);
  }

  /** For programs, beside the messages. */
  add(facts: Readonly<Record<string, unknown>>): void {
    Object.assign(this.#facts, facts);
  }

  /** @returns the exit code */
  end(ok: boolean, error?: unknown): number {
    const { command, json, verbose } = this.#line;
    if (error !== undefined) process.stderr.write(failureText(error, verbose));
    if (json) {
      const failure = error === undefined ? {} : { error: errorText(error), code: errorCode(error) };
      this.#write(
        `${JSON.stringify({ command, ok, ...this.#facts, messages: this.#messages, ...failure })}\n`,
      );
    }
    if (this.#unheard === undefined) return ok ? 0 : 1;
    // The reader has to go by the exit code.
    if (error === undefined) process.stderr.write(failureText(this.#unheard, verbose));
    return 1;
  }
}

/** Names of links may hold anything, and are never obeyed by the terminal. */
const safe = ({ about, text }: Message): Message => ({ about: printable(about), text: printable(text) });

function failureText(error: unknown, verbose: boolean): string {
  const line = formatMessage({ ...STDERR_PREFIX, text: printable(errorText(error)) });
  return verbose && error instanceof Error ? `${line}${error.stack ?? ''}\n` : line;
}
