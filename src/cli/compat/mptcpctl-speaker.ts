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

  constructor(line: MptcpctlLine) {
    this.#line = line;
  }

  say(...messages: readonly Message[]): void {
    this.#messages.push(...messages);
    if (!this.#line.json) writeOutput(messages.map((message) => formatMessage(safe(message))).join(''));
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
    if (!json) return ok ? 0 : 1;
    try {
      const failure = error === undefined ? {} : { error: errorText(error), code: errorCode(error) };
      writeOutput(
        `${JSON.stringify({ command, ok, ...this.#facts, messages: this.#messages, ...failure })}\n`,
      );
      return ok ? 0 : 1;
    } catch (cause) {
      // The reader has to go by the exit code.
      if (error === undefined) process.stderr.write(failureText(cause, verbose));
      return 1;
    }
  }
}

/** Names of links may hold anything, and are never obeyed by the terminal. */
const safe = ({ about, text }: Message): Message => ({ about: printable(about), text: printable(text) });

function failureText(error: unknown, verbose: boolean): string {
  const line = formatMessage({ ...STDERR_PREFIX, text: printable(errorText(error)) });
  return verbose && error instanceof Error ? `${line}${error.stack ?? ''}\n` : line;
}
