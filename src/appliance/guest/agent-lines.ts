/**
 * The lines of protocol.ts as bytes (pure): messages become one line each, and bytes that come in any pieces become
 * messages again. For both ends.
 *
 * Invariant: a reader that returned a problem has ended; what comes later is not read. Bytes before the first line
 * that parses are no problem: a host may open the port in the middle of a line of an earlier conversation.
 */
import { LINE_MAX_BYTES, type GuestMessage, type HostRequest } from './protocol.ts';

const NEWLINE = 0x0a;

export function emitLine(message: HostRequest | GuestMessage): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(message)}\n`);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export class LineReader {
  readonly #maxBytes: number;
  /** BOUNDED by `maxBytes`: pieces of a line whose end has not come. */
  #pieces: Uint8Array[] = [];
  #held = 0;
  #begun = false;
  #problem: string | undefined;

  constructor(maxBytes = LINE_MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Why reading has ended; `undefined` while it goes on. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** @returns the objects of all lines that these bytes complete, in order */
  handleBytes(bytes: Uint8Array): Record<string, unknown>[] {
    const found: Record<string, unknown>[] = [];
    let from = 0;
    while (this.#problem === undefined) {
      const end = bytes.indexOf(NEWLINE, from);
      const piece = bytes.subarray(from, end < 0 ? bytes.length : end);
      this.#held += piece.length;
      if (this.#held >= this.#maxBytes) {
        this.#end(`a line is longer than ${this.#maxBytes} bytes`);
        break;
      }
      // The caller may use its buffer again; a Buffer's own `slice` would not copy.
      if (piece.length > 0) this.#pieces.push(new Uint8Array(piece));
      if (end < 0) break;
      const value = this.#takeLine();
      if (value !== undefined) found.push(value);
      from = end + 1;
    }
    return found;
  }

  #takeLine(): Record<string, unknown> | undefined {
    const line = Buffer.concat(this.#pieces).toString('utf8').trim();
    this.#pieces = [];
    this.#held = 0;
    if (line === '') return undefined;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      // Told below.
    }
    if (isRecord(value)) {
      this.#begun = true;
      return value;
    }
    if (this.#begun) this.#end(`a line is no JSON object: ${JSON.stringify(line.slice(0, 80))}`);
    return undefined;
  }

  #end(problem: string): void {
    this.#problem = problem;
    this.#pieces = [];
    this.#held = 0;
  }
}
