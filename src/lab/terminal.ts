/**
 * Draws lines in place: each picture over the one before, with the cursor hidden. What it hid it shows again on
 * every exit that a process can notice.
 */
import type { WriteStream } from 'node:tty';

const HIDE_CURSOR = '\u001B[?25l';
export const SHOW_CURSOR = '\u001B[?25h';
const CLEAR_TO_END_OF_LINE = '\u001B[K';
const CLEAR_BELOW = '\u001B[J';

export class Painter {
  readonly #stream: WriteStream;
  readonly #onExit = () => this.close();
  #drawn = 0;
  #open = true;

  constructor(stream: WriteStream) {
    this.#stream = stream;
    process.on('exit', this.#onExit);
    stream.write(HIDE_CURSOR);
  }

  /** Characters in a line; the last column stays free, because some terminals wrap after writing it. */
  get width(): number {
    return Math.max(20, this.#stream.columns - 1);
  }

  /** Lines that do not fit on the screen are left out at the end, or the picture could not be drawn over. */
  paint(lines: readonly string[]): void {
    if (!this.#open) return;
    const shown = lines.slice(0, Math.max(1, this.#stream.rows - 1));
    const up = this.#drawn === 0 ? '' : `\u001B[${this.#drawn}A`;
    this.#stream.write(
      `${up}\r${shown.map((line) => `${line}${CLEAR_TO_END_OF_LINE}\n`).join('')}${CLEAR_BELOW}`,
    );
    this.#drawn = shown.length;
  }

  /** The last picture stays. May be called again. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.off('exit', this.#onExit);
    this.#stream.write(SHOW_CURSOR);
  }
}
