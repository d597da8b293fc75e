/**
 * Live data for many readers in HTTP answers that do not end: the overview at once and after each look at the host,
 * and events as they happen. As Server-Sent Events for who accepts them (a browser's EventSource), as JSON lines else.
 *
 *   event: overview            {"event":"overview","data":{…}}
 *   data: {…}                  {"event":"event","data":{…}}
 *                              {"event":"lost","data":{"count":3}}    events that a slow reader has missed
 *
 * Invariants: BOUNDED: a reader that does not read holds its queue of events, the newest overview and one write of
 * both; a reader that left holds nothing; the source is listened to only while somebody reads; no reader delays
 * another. Each thing is made into text once for all of them.
 *
 * Reference: HTML, section 9.2 (server-sent events).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Refusal } from '../control-failure.ts';
import { LineQueue } from '../control-line-queue.ts';
import type { ObservedEvent, Overview } from './model.ts';

/** What the feed needs of an observer. */
export interface LiveSource {
  overview(): Overview;
  /** Calls back after each look, until the returned function is called. */
  onSample(listener: () => void): () => void;
  watch(listener: (event: ObservedEvent) => void): () => void;
}

/** What a line, or an event of the stream, carries. */
export type LiveMessage =
  | { readonly event: 'overview'; readonly data: Overview }
  | { readonly event: 'event'; readonly data: ObservedEvent }
  | { readonly event: 'lost'; readonly data: { readonly count: number } };

/** BOUNDED: some thousand events. */
const QUEUE_MAX_LENGTH = 1 << 20;
/** BOUNDED: those of the page and of the control socket together. */
const READERS_MAX = 32;
/** How long a browser waits before it connects again. */
const RETRY_MS = 1000;

type Format = (event: LiveMessage['event'], json: string) => string;

const asLine: Format = (event, json) => `{"event":"${event}","data":${json}}\n`;
// JSON has no line ends, so one field is enough.
const asServerSentEvent: Format = (event, json) => `event: ${event}\ndata: ${json}\n\n`;

const wantsServerSentEvents = ({ headers }: IncomingMessage): boolean =>
  (headers.accept ?? '').includes('text/event-stream');

class Reader {
  readonly #response: ServerResponse;
  readonly #format: Format;
  readonly #events: LineQueue;
  /** The newest; those before it that could not be written are of no use any more. */
  #overview: string | undefined;
  /** What was written last is still on its way. */
  #blocked = false;

  constructor(response: ServerResponse, format: Format) {
    this.#response = response;
    this.#format = format;
    this.#events = new LineQueue(QUEUE_MAX_LENGTH, (count) => format('lost', JSON.stringify({ count })));
    response.on('drain', () => {
      this.#blocked = false;
      this.flush();
    });
  }

  setOverview(json: string): void {
    this.#overview = json;
  }

  pushEvent(json: string): void {
    this.#events.push(this.#format('event', json));
  }

  flush(): void {
    if (this.#blocked || this.#response.writableEnded) return;
    let text = this.#events.isEmpty ? '' : this.#events.take(0);
    if (this.#overview !== undefined) text += this.#format('overview', this.#overview);
    this.#overview = undefined;
    if (text !== '') this.#blocked = !this.#response.write(text);
  }

  end(): void {
    this.#response.end();
  }
}

export class LiveFeed {
  readonly #source: LiveSource;
  /** BOUNDED: `READERS_MAX`. */
  readonly #readers = new Set<Reader>();
  #unwatch: (() => void) | undefined;
  #flushing: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(source: LiveSource) {
    this.#source = source;
  }

  /** How many read now. */
  get readers(): number {
    return this.#readers.size;
  }

  /**
   * Answers with the stream, from now on.
   * @throws Refusal `TOO_MANY`
   */
  open(request: IncomingMessage, response: ServerResponse): void {
    if (this.#closed || this.#readers.size >= READERS_MAX) {
      throw new Refusal(503, 'TOO_MANY', 'too many are reading live data already');
    }
    const isForBrowser = wantsServerSentEvents(request);
    // It may be silent for a while; the socket tells when the reader leaves.
    response.socket?.setTimeout(0);
    response.writeHead(200, {
      'content-type': isForBrowser ? 'text/event-stream' : 'application/x-ndjson',
      'cache-control': 'no-store',
      connection: 'close',
    });
    const reader = new Reader(response, isForBrowser ? asServerSentEvent : asLine);
    this.#readers.add(reader);
    response.on('close', () => this.#remove(reader));
    if (isForBrowser) response.write(`retry: ${RETRY_MS}\n\n`);
    this.#watch();
    reader.setOverview(JSON.stringify(this.#source.overview()));
    reader.flush();
  }

  #watch(): void {
    if (this.#unwatch !== undefined) return;
    const endSamples = this.#source.onSample(() => this.#handleSample());
    const endEvents = this.#source.watch((event) => this.#handleEvent(event));
    this.#unwatch = () => {
      endSamples();
      endEvents();
    };
  }

  #remove(reader: Reader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 0) return;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  #handleSample(): void {
    const json = JSON.stringify(this.#source.overview());
    for (const reader of this.#readers) {
      reader.setOverview(json);
      reader.flush();
    }
  }

  #handleEvent(event: ObservedEvent): void {
    const json = JSON.stringify(event);
    for (const reader of this.#readers) reader.pushEvent(json);
    // Once for all events of a turn.
    this.#flushing ??= setImmediate(() => {
      this.#flushing = undefined;
      for (const reader of this.#readers) reader.flush();
    });
  }

  /** Ends every reader's stream, and takes no more. */
  close(): void {
    this.#closed = true;
    clearImmediate(this.#flushing);
    for (const reader of this.#readers) reader.end();
  }
}
