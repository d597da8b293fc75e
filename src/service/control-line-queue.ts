/**
 * Lines that wait for one reader of a stream (pure). BOUNDED: when the reader is too far behind, what is new is
 * counted instead of kept, and the reader is given one line that tells how many it has missed, where they were.
 */

/** The line that tells of a gap. */
type LostLine = (count: number, timeMs: number) => string;

const lostLine: LostLine = (count, time) => `${JSON.stringify({ time, kind: 'lost', count })}\n`;

export class LineQueue {
  readonly #maxLength: number;
  readonly #lostLine: LostLine;
  #lines: string[] = [];
  #length = 0;
  #lost = 0;

  /** @param maxLength in UTF-16 units, line ends included */
  constructor(maxLength: number, formatLost: LostLine = lostLine) {
    this.#maxLength = maxLength;
    this.#lostLine = formatLost;
  }

  /** In UTF-16 units. */
  get length(): number {
    return this.#length;
  }

  /** Whether there is something to tell. */
  get isEmpty(): boolean {
    return this.#lines.length === 0 && this.#lost === 0;
  }

  /** @param line with its line end */
  push(line: string): void {
    // After a gap nothing is kept until the gap was told, or it would stand at the wrong place.
    if (this.#lost > 0 || this.#length + line.length > this.#maxLength) {
      this.#lost++;
      return;
    }
    this.#lines.push(line);
    this.#length += line.length;
  }

  /** Everything that waits, and what was missed after it. @param timeMs since 1970 */
  take(timeMs: number): string {
    const lost = this.#lost === 0 ? '' : this.#lostLine(this.#lost, timeMs);
    const text = this.#lines.join('') + lost;
    this.#lines = [];
    this.#length = 0;
    this.#lost = 0;
    return text;
  }
}
