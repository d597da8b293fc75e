/** A stream of JSON lines from a control socket as it comes, cut into lines. */
import type { IncomingMessage } from 'node:http';
import { WeftError } from '../base/index.ts';

/** BOUNDED: far above the longest line. */
const LINE_MAX_LENGTH = 16 << 20;

export class ControlLineStream {
  readonly #incoming: IncomingMessage;
  readonly #name: string;

  /** @param name who tells, as sentences name it: `the daemon` */
  constructor(incoming: IncomingMessage, name: string) {
    this.#incoming = incoming;
    this.#name = name;
    incoming.setEncoding('utf8');
  }

  /**
   * Whole lines of JSON without their ends, as many at a time as came. Ends when the other end ends or after `close`.
   * @throws WeftError `TOO_LARGE`
   */
  async *lines(): AsyncGenerator<readonly string[]> {
    let rest = '';
    try {
      for await (const text of this.#incoming as AsyncIterable<string>) {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        if (rest.length > LINE_MAX_LENGTH) {
          throw new WeftError(`a line of ${this.#name} is too long`, { code: 'TOO_LARGE' });
        }
        if (lines.length > 0) yield lines;
      }
    } catch (error) {
      // A process that was killed, or `close`: the stream is over.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ECONNRESET' && code !== 'ERR_STREAM_PREMATURE_CLOSE' && !this.#incoming.destroyed)
        throw error;
      if (error instanceof WeftError) throw error;
    }
  }

  close(): void {
    this.#incoming.destroy();
  }
}
