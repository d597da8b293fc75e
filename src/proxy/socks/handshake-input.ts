/**
 * What a client says before its tunnel is there, message by message.
 *
 * Invariant: after `release` the socket has no listener of ours, and what the client has sent beyond its last message
 * is in the answer or still in the socket.
 */
import type { Socket } from 'node:net';
import type { Parsed } from './parsed.ts';

/** The client is gone, or what it says is no SOCKS. */
export class HandshakeEnded extends Error {
  readonly kind: 'gone' | 'malformed';

  constructor(kind: 'gone' | 'malformed', reason: string) {
    super(reason);
    this.kind = kind;
  }
}

export class HandshakeInput {
  readonly #socket: Socket;
  /** BOUNDED: nothing is read but for a message that somebody waits for, and a message has at most some 500 bytes. */
  #bytes: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #ended = false;
  readonly #onReadable = () => this.#wake?.();
  readonly #onEnd = () => {
    this.#ended = true;
    this.#wake?.();
  };

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('readable', this.#onReadable);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onEnd);
  }

  /** The next message. @throws HandshakeEnded */
  async take<T>(parse: (bytes: Uint8Array) => Parsed<T>): Promise<T> {
    for (;;) {
      const parsed = parse(this.#bytes);
      if (parsed.kind === 'message') {
        this.#bytes = this.#bytes.subarray(parsed.length);
        return parsed.value;
      }
      if (parsed.kind === 'malformed') throw new HandshakeEnded('malformed', parsed.reason);
      if (this.#pull()) continue;
      if (this.#ended) throw new HandshakeEnded('gone', 'the client went away');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** `false`: nothing more has come. What is not taken stays in the socket, and stops the client in the end. */
  #pull(): boolean {
    const chunk = this.#socket.read() as Buffer | null;
    if (chunk === null) return false;
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    return true;
  }

  /** Gives the socket back; the answer is what the client has sent ahead. */
  release(): Buffer {
    this.#socket.off('readable', this.#onReadable);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('close', this.#onEnd);
    return this.#bytes;
  }
}
