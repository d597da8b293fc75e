/**
 * Shows the demo: as a picture in a terminal, as plain lines, or as JSON lines. Chooses; demo-view.ts draws.
 */
import type { WriteStream } from 'node:tty';
import { DemoPhase, type DemoState, type DemoSummary } from './demo-state.ts';
import { drawDemo, phaseTitle, plainLine, summaryLines } from './demo-view.ts';
import { Painter } from './terminal.ts';

export interface ReporterOptions {
  readonly json: boolean;
  readonly plain: boolean;
  readonly stream: WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const PLAIN_STEP_MS = 1000;

/** The locale's character set, as setlocale(3) finds it: the first of these that is set decides. */
function knowsUnicode(env: ReporterOptions['env']): boolean {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  return /utf-?8/i.test(locale);
}

export class DemoReporter {
  readonly #options: ReporterOptions;
  readonly #painter: Painter | undefined;
  #phase: DemoPhase = DemoPhase.build;
  #nextLineMs = 0;

  constructor(options: ReporterOptions) {
    this.#options = options;
    const { json, plain, stream, env } = options;
    const drawable = stream.isTTY && env['TERM'] !== 'dumb' && !json && !plain;
    this.#painter = drawable ? new Painter(stream) : undefined;
  }

  #line(text: string): void {
    this.#options.stream.write(`${text}\n`);
  }

  show(state: DemoState): void {
    if (this.#painter !== undefined) {
      const { env } = this.#options;
      const color = env['NO_COLOR'] === undefined || env['NO_COLOR'] === '';
      this.#painter.paint(drawDemo(state, { width: this.#painter.width, color, unicode: knowsUnicode(env) }));
    } else if (this.#options.json) this.#showJson(state);
    else this.#showPlain(state);
  }

  #showJson(state: DemoState): void {
    const { historyBps: _history, ...sample } = state;
    this.#line(JSON.stringify({ type: 'sample', ...sample }));
  }

  #showPlain(state: DemoState): void {
    if (state.phase !== this.#phase) {
      this.#phase = state.phase;
      this.#line(phaseTitle(state.phase));
    }
    if (state.elapsedMs < this.#nextLineMs) return;
    this.#nextLineMs = state.elapsedMs + PLAIN_STEP_MS;
    this.#line(plainLine(state));
  }

  /** @param verdict why the result is not what was promised, if so */
  finish(summary: DemoSummary, verdict: string | undefined): void {
    this.close();
    if (this.#options.json) {
      this.#line(
        JSON.stringify({ type: 'summary', ...summary, ...(verdict === undefined ? {} : { verdict }) }),
      );
      return;
    }
    this.#line('');
    for (const line of summaryLines(summary)) this.#line(line);
    if (verdict !== undefined) this.#line(`\n${verdict}`);
  }

  /** Gives the terminal back as it was. May be called again. */
  close(): void {
    this.#painter?.close();
  }
}
