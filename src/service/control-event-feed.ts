/**
 * One stream of events for many readers, as JSON lines in HTTP answers that do not end. It listens to its source only
 * while somebody reads, makes each line once for all of them, and writes once a turn of the loop.
 *
 * Invariants: BOUNDED: a reader holds at most its queue and one write of that size; a reader that left holds nothing;
 * no reader delays the source or another reader.
 */
import type { ServerResponse } from 'node:http';
import { LineQueue } from './control-line-queue.ts';

export interface FeedEvent {
  /** In milliseconds since 1970. */
  readonly time: number;
  readonly kind: string;
}

export interface FeedSource {
  /** Tells what happens from now on. @returns ends it */
  watch(listener: (event: FeedEvent) => void): () => void;
}

/** BOUNDED: some 16,000 events, which is half a second of 10,000 connections a second. */
const QUEUE_MAX_LENGTH = 4 << 20;
/** BOUNDED: with the queues, 128 MiB when all of them stand still. */
const READERS_MAX = 16;
/** What is written before the end of a turn in which very much happens. */
const WRITE_EARLY_LENGTH = 128 << 10;

class Reader {
  readonly #response: ServerResponse;
  readonly #kinds: ReadonlySet<string> | undefined;
  readonly #queue = new LineQueue(QUEUE_MAX_LENGTH);
  /** What was written last is still on its way. */
  #blocked = false;

  constructor(response: ServerResponse, kinds: ReadonlySet<string> | undefined) {
    this.#response = response;
    this.#kinds = kinds;
    response.on('drain', () => {
      this.#blocked = false;
      this.flush();
    });
  }

  wants(kind: string): boolean {
    return this.#kinds?.has(kind) ?? true;
  }

  push(line: string): void {
    this.#queue.push(line);
    if (this.#queue.length > WRITE_EARLY_LENGTH) this.flush();
  }

  flush(): void {
    if (this.#blocked || this.#queue.isEmpty) return;
    this.#blocked = !this.#response.write(this.#queue.take(Date.now()));
  }

  end(): void {
    this.flush();
    this.#response.end();
  }
}

export class EventFeed {
  readonly #source: FeedSource;
  /** BOUNDED: `READERS_MAX`. */
  readonly #readers = new Set<Reader>();
  #unwatch: (() => void) | undefined;
  #flushing = false;

  constructor(source: FeedSource) {
    this.#source = source;
  }

  get isFull(): boolean {
    return this.#readers.size >= READERS_MAX;
  }

  /** Answers with the stream, from now on. @param kinds absent: all */
  open(response: ServerResponse, kinds: ReadonlySet<string> | undefined): void {
    // The stream may be silent for days; the socket tells when the reader leaves.
    response.socket?.setTimeout(0);
    response.writeHead(200, {
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
      connection: 'close',
    });
    const reader = new Reader(response, kinds);
    this.#readers.add(reader);
    response.on('close', () => this.#remove(reader));
    this.#unwatch ??= this.#source.watch((event) => this.#handleEvent(event));
    // Its first line says that nothing is missed from here on.
    if (reader.wants('listening'))
      reader.push(`${JSON.stringify({ time: Date.now(), kind: 'listening' })}\n`);
    reader.flush();
    response.flushHeaders();
  }

  #remove(reader: Reader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 0) return;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  #handleEvent(event: FeedEvent): void {
    let line: string | undefined;
    for (const reader of this.#readers) {
      if (!reader.wants(event.kind)) continue;
      line ??= `${JSON.stringify(event)}\n`;
      reader.push(line);
    }
    if (line === undefined || this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      for (const reader of this.#readers) reader.flush();
    });
  }

  /** Ends every reader's stream. */
  close(): void {
    for (const reader of this.#readers) reader.end();
  }
}
