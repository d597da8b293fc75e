/**
 * The terminal while a full-screen command has it: the alternate screen, raw keys, lines that are written only when they
 * have changed.
 *
 * Invariant: what `open` changed, `close` changes back, and it happens on every end that a process can notice: a key,
 * SIGINT, SIGTERM, SIGHUP, SIGQUIT, an exception, a terminal that is gone; and before the process is stopped by Ctrl-Z.
 *
 * References: xterm's control sequences (ctlseqs), termios(3), "Job control" of credentials(7) and tty_ioctl(4).
 */
import { writeSync } from 'node:fs';
import { constants } from 'node:os';
import type { ReadStream, WriteStream } from 'node:tty';
import { releaseGoneTerminals } from '../../native/index.ts';
import { KeyReader, type Key } from './keys.ts';

/** The alternate screen, cleared; no cursor; no automatic line ends. */
const ENTER = '\u001B[?1049h\u001B[?25l\u001B[?7l\u001B[H\u001B[2J';
const LEAVE = '\u001B[0m\u001B[?7h\u001B[?25h\u001B[?1049l';
const CLEAR = '\u001B[H\u001B[2J';
const CLEAR_TO_END_OF_LINE = '\u001B[K';

const END_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

export interface ScreenOptions {
  readonly input: ReadStream;
  /** A terminal on standard output. */
  readonly output: WriteStream & { readonly fd: number };
  readonly onKey: (key: Key) => void;
  /** The size is another, or the picture is gone: it is to be drawn anew. */
  readonly onRedraw: () => void;
  /** @param exitCode 128 and the number of the signal; 0 when the terminal is gone */
  readonly onEnd: (exitCode: number) => void;
}

export class Screen {
  readonly #options: ScreenOptions;
  readonly #keys = new KeyReader();
  /** What stands on the screen. */
  #drawn: readonly string[] = [];
  #open = false;

  constructor(options: ScreenOptions) {
    this.#options = options;
  }

  get columns(): number {
    return this.#options.output.columns;
  }

  get rows(): number {
    return this.#options.output.rows;
  }

  open(): void {
    const { input, output } = this.#options;
    process.on('exit', this.#restore);
    process.on('exit', releaseGoneTerminals);
    for (const signal of END_SIGNALS) process.on(signal, this.#handleEndSignal);
    process.on('SIGTSTP', this.#handleStopSignal);
    process.on('SIGCONT', this.#handleContinue);
    output.on('resize', this.#handleResize);
    output.on('error', this.#handleGone);
    input.on('error', this.#handleGone);
    input.on('end', this.#handleGone);
    input.on('data', this.#handleData);
    this.#enter();
    input.resume();
  }

  /** May be called again. */
  close(): void {
    const { input, output } = this.#options;
    this.#restore();
    process.off('exit', this.#restore);
    for (const signal of END_SIGNALS) process.off(signal, this.#handleEndSignal);
    process.off('SIGTSTP', this.#handleStopSignal);
    process.off('SIGCONT', this.#handleContinue);
    output.off('resize', this.#handleResize);
    input.off('data', this.#handleData);
    input.off('end', this.#handleGone);
    // Listeners for errors, and that of the exit for a terminal that is gone, stay: it may go now.
    input.pause();
  }

  #enter(): void {
    this.#open = true;
    this.#drawn = [];
    this.#setRaw(true);
    this.#options.output.write(ENTER);
  }

  readonly #restore = (): void => {
    if (!this.#open) return;
    this.#open = false;
    this.#setRaw(false);
    try {
      // Not through the stream: at the end of the process nothing that waits would be written.
      writeSync(this.#options.output.fd, LEAVE);
    } catch {
      // The terminal is gone.
    }
  };

  #setRaw(raw: boolean): void {
    try {
      this.#options.input.setRawMode(raw);
    } catch {
      // The terminal is gone; its end is told by an event.
    }
  }

  readonly #handleEndSignal = (signal: NodeJS.Signals): void => {
    this.#options.onEnd(128 + constants.signals[signal]);
  };

  readonly #handleGone = (): void => {
    this.#options.onEnd(0);
  };

  readonly #handleStopSignal = (): void => this.suspend();

  readonly #handleContinue = (): void => {
    // Whoever had the terminal meanwhile may have left it in any state, so it is set anew whatever we know of it.
    this.#setRaw(false);
    this.#enter();
    this.#options.onRedraw();
  };

  readonly #handleResize = (): void => {
    if (!this.#open) return;
    this.repaint();
  };

  readonly #handleData = (bytes: Buffer): void => {
    for (const key of this.#keys.read(bytes)) this.#options.onKey(key);
  };

  /** Gives the terminal back and stops the process, until SIGCONT. */
  suspend(): void {
    this.#restore();
    // Not SIGTSTP: that one is caught here, and the kernel ignores it in a session whose shell has left.
    process.kill(process.pid, 'SIGSTOP');
  }

  /** Draws everything anew with the next picture, which is asked for. */
  repaint(): void {
    this.#drawn = [];
    this.#options.output.write(CLEAR);
    this.#options.onRedraw();
  }

  /** @param lines from the top; what is beyond the last row is left out. They are not wider than the screen. */
  draw(lines: readonly string[]): void {
    if (!this.#open) return;
    const shown = lines.slice(0, this.rows);
    let text = '';
    for (let row = 0; row < Math.max(shown.length, this.#drawn.length); row++) {
      const line = shown[row] ?? '';
      if (line !== this.#drawn[row]) text += `\u001B[${row + 1};1H${line}${CLEAR_TO_END_OF_LINE}`;
    }
    this.#drawn = shown;
    if (text !== '') this.#options.output.write(text);
  }
}
