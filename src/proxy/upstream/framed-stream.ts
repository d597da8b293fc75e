/**
 * A tunnel's stream between two Wefts: frames (frames.ts) over a TLS connection. To who uses it, the bytes without
 * them; its `end` means that the other side has said so, and whatever else the connection ends by is an error.
 *
 *   our direction ended     the end's word is written; TLS stays open, so that its end is never the tunnel's word
 *   both have ended         TLS ends in order; what does not follow within LINGER_MS is reset
 *   anything else           the connection is destroyed, and this stream with an error
 *
 * Invariant: the connection is this stream's from the constructor on, and has closed when this stream closes. BOUNDED:
 * it holds `TLS_HIGH_WATER_BYTES` of each direction and one read or write more.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { END_FRAME, FrameReader, framesOf } from './frames.ts';
import { TLS_HIGH_WATER_BYTES } from './tls-settings.ts';

/** The other side ends at once when it has heard our end; it may have lost its network. */
const LINGER_MS = 2000;

type Done = (error?: Error | null) => void;

function failure(text: string, code: string): Error {
  return Object.assign(new Error(text), { code });
}

export class FramedStream extends Duplex {
  readonly #connection: Socket;
  readonly #reader = new FrameReader();
  #saidEnd = false;
  #heardEnd = false;
  /** Payload, as a socket counts. */
  bytesRead = 0;
  bytesWritten = 0;

  /** @param connection positioned at the first frame; nobody else reads or writes it from now on */
  constructor(connection: Socket) {
    super({ highWaterMark: TLS_HIGH_WATER_BYTES });
    // A connection that breaks while nobody holds this stream harms nobody.
    this.on('error', () => {});
    this.#connection = connection;
    connection.on('data', (bytes: Buffer) => this.#handleBytes(bytes));
    connection.once('error', (error) => this.destroy(error));
    // One that comes after the tunnel's end concerns nobody.
    connection.on('error', () => {});
    connection.once('end', () => this.#handleConnectionEnd());
    connection.once('close', () => this.#handleConnectionEnd());
    connection.on('timeout', () => this.emit('timeout'));
    // What happened before is not told again.
    if (connection.destroyed || connection.readableEnded) process.nextTick(() => this.#handleConnectionEnd());
  }

  #handleBytes(bytes: Buffer): void {
    if (this.destroyed) return;
    const payload = this.#reader.handleBytes(bytes);
    if (payload === undefined) {
      this.destroy(failure('the other end of the tunnel sent something else than frames', 'EPROTO'));
      return;
    }
    let hasRoom = true;
    for (const piece of payload) {
      this.bytesRead += piece.length;
      hasRoom = this.push(piece);
    }
    if (this.#reader.isEnded && !this.#heardEnd) {
      this.#heardEnd = true;
      this.push(null);
      // Behind the end's word nothing comes but TLS's own end, which is to be seen.
      if (this.#saidEnd) this.#connection.end();
    } else if (!hasRoom) {
      this.#connection.pause();
    }
  }

  #handleConnectionEnd(): void {
    if (this.#saidEnd && this.#heardEnd) return;
    this.destroy(failure('the other end of the tunnel went away before its end', 'ECONNRESET'));
  }

  override _read(): void {
    this.#connection.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send([chunk], done);
  }

  override _writev(items: { chunk: Buffer }[], done: Done): void {
    this.#send(
      items.map(({ chunk }) => chunk),
      done,
    );
  }

  #send(chunks: readonly Buffer[], done: Done): void {
    const pieces = framesOf(chunks);
    const last = pieces.pop();
    if (last === undefined) {
      done();
      return;
    }
    for (const chunk of chunks) this.bytesWritten += chunk.length;
    const connection = this.#connection;
    connection.cork();
    for (const piece of pieces) connection.write(piece);
    connection.write(last, done);
    connection.uncork();
  }

  override _final(done: Done): void {
    this.#saidEnd = true;
    if (this.#heardEnd) this.#connection.end(END_FRAME, () => done());
    else this.#connection.write(END_FRAME, done);
  }

  override _destroy(error: Error | null, done: Done): void {
    const connection = this.#connection;
    if (connection.closed) {
      done(error);
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    connection.once('close', () => {
      clearTimeout(timer);
      done(error);
    });
    if (error !== null || !this.#saidEnd || !this.#heardEnd) {
      connection.destroy();
      return;
    }
    timer = setTimeout(() => connection.destroy(), LINGER_MS);
    timer.unref();
    connection.resume();
  }

  // What http.Agent does with a socket.

  setTimeout(ms: number, onTimeout?: () => void): this {
    if (onTimeout !== undefined) this.once('timeout', onTimeout);
    this.#connection.setTimeout(ms);
    return this;
  }

  setKeepAlive(isWanted?: boolean, initialDelayMs?: number): this {
    this.#connection.setKeepAlive(isWanted, initialDelayMs);
    return this;
  }

  setNoDelay(isWanted?: boolean): this {
    this.#connection.setNoDelay(isWanted);
    return this;
  }

  ref(): this {
    this.#connection.ref();
    return this;
  }

  unref(): this {
    this.#connection.unref();
    return this;
  }
}
