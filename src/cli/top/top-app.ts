/**
 * `weft top` on a terminal: brings readings and keys to the state (state.ts), and its picture (view.ts) to the screen
 * (screen.ts). A source that ends is looked for again, each second, until there is one.
 *
 * Invariants: one request for rows is under way at a time, and none waits behind it but the newest; the terminal is
 * given back whatever ends the program.
 */
import type { ReadStream, WriteStream } from 'node:tty';
import { errorText } from '../../base/index.ts';
import type { ObservedEvent, Overview } from '../../service/index.ts';
import type { Key } from './keys.ts';
import { renderLine } from './line.ts';
import { Screen } from './screen.ts';
import { findRunning, type Readings, type TopSource } from './source.ts';
import { EVENTS_KEPT, type TopState } from './state.ts';
import { picture } from './view.ts';

const RECONNECT_MS = 1000;
/** A source that has told nothing for so long is said to be silent. */
const SILENT_MS = 5000;
const SILENCE_CHECK_MS = 1000;

export interface TopAppOptions {
  readonly input: ReadStream;
  readonly output: WriteStream & { readonly fd: number };
  readonly color: boolean;
  readonly unicode: boolean;
  readonly source: TopSource;
  readonly state: TopState;
}

export class TopApp {
  readonly #options: TopAppOptions;
  readonly #state: TopState;
  readonly #screen: Screen;
  readonly #stop = new AbortController();
  #source: TopSource;
  #exitCode = 0;
  #drawing: NodeJS.Immediate | undefined;
  /** Rows that there is room for, and that were asked for last. */
  #room = 1;
  #askedRoom = 0;
  #asking = false;
  #askAgain = false;
  /** When the source has told something, of the monotonic clock. */
  #toldMs = performance.now();
  /** What came while the picture was held. BOUNDED: one overview, `EVENTS_KEPT` events. */
  #heldOverview: Overview | undefined;
  #heldEvents: ObservedEvent[] = [];

  constructor(options: TopAppOptions) {
    this.#options = options;
    this.#state = options.state;
    this.#source = options.source;
    this.#screen = new Screen({
      input: options.input,
      output: options.output,
      onKey: (key) => this.#handleKey(key),
      onRedraw: () => this.#drawSoon(),
      onEnd: (exitCode) => this.#end(exitCode),
    });
  }

  /** @returns the exit code */
  async run(): Promise<number> {
    const { signal } = this.#stop;
    const ended = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve());
    });
    const silence = setInterval(() => this.#checkSilence(), SILENCE_CHECK_MS);
    this.#screen.open();
    try {
      this.#draw();
      // Whoever ends it does not wait for an answer that is under way.
      await Promise.race([this.#feed(), ended]);
      return this.#exitCode;
    } finally {
      clearInterval(silence);
      clearImmediate(this.#drawing);
      this.#screen.close();
      await this.#source.close();
    }
  }

  #checkSilence(): void {
    const isSilent = performance.now() - this.#toldMs > SILENT_MS;
    if (isSilent === this.#state.isSilent) return;
    this.#state.isSilent = isSilent;
    this.#drawSoon();
  }

  #end(exitCode: number): void {
    this.#exitCode = exitCode;
    this.#stop.abort();
  }

  /** Follows the source, and whoever comes after it, until the end. */
  async #feed(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        this.#state.handleEvents(await this.#source.recentEvents());
        await this.#source.follow(this.#readings, signal);
      } catch (error) {
        // A process that ends while it is asked; that it is lost is shown.
        if (this.#source.kind === 'kernel') throw error;
      }
      if (signal.aborted) return;
      const { name } = this.#source;
      this.#state.source = { name, lostAtMs: Date.now() };
      this.#drawSoon();
      await this.#reconnect();
    }
  }

  async #reconnect(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, RECONNECT_MS);
        signal.addEventListener('abort', () => {
          clearTimeout(timer);
          resolve();
        });
      });
      if (signal.aborted) return;
      try {
        this.#source = await findRunning();
        this.#state.source = { name: this.#source.name };
        return;
      } catch {
        // Not yet; that it is lost stands on the screen.
      }
    }
  }

  readonly #readings: Readings = {
    overview: (overview) => {
      this.#toldMs = performance.now();
      this.#heldOverview = overview;
      if (!this.#state.paused) this.#takeHeld();
    },
    event: (event) => {
      this.#heldEvents.push(event);
      if (this.#heldEvents.length > EVENTS_KEPT) this.#heldEvents.shift();
      if (!this.#state.paused) this.#takeHeld();
    },
    lost: (count) => {
      this.#state.eventsLost += count;
      this.#drawSoon();
    },
  };

  #takeHeld(): void {
    const events = this.#heldEvents;
    this.#heldEvents = [];
    for (const event of events) this.#state.handleEvent(event);
    if (this.#heldOverview !== undefined) {
      this.#state.handleOverview(this.#heldOverview);
      this.#heldOverview = undefined;
      this.#ask();
    }
    this.#drawSoon();
  }

  #handleKey(key: Key): void {
    const wasPaused = this.#state.paused;
    switch (this.#state.handleKey(key, this.#room)) {
      case 'quit':
        return this.#end(0);
      case 'suspend':
        return this.#screen.suspend();
      case 'repaint':
        return this.#screen.repaint();
      case 'ask':
        this.#ask();
        break;
      case 'nothing':
        return undefined;
      default:
    }
    if (wasPaused && !this.#state.paused) this.#takeHeld();
    this.#drawSoon();
    return undefined;
  }

  #ask(): void {
    if (this.#asking) {
      this.#askAgain = true;
      return;
    }
    this.#asking = true;
    void this.#askNow().finally(() => {
      this.#asking = false;
      this.#drawSoon();
      if (!this.#askAgain) return;
      this.#askAgain = false;
      this.#ask();
    });
  }

  async #askNow(): Promise<void> {
    const state = this.#state;
    try {
      const { followed } = state;
      if (followed !== undefined) {
        const detail = await this.#source.connection(followed.id);
        state.handleDetail(followed.id, detail, Date.now());
        return;
      }
      state.keepInView(this.#room);
      this.#askedRoom = this.#room;
      const query = state.query(this.#room);
      state.handlePage(await this.#source.connections(query), query.offset ?? 0);
    } catch (error) {
      // That the source is gone is told by its stream.
      state.trouble = state.source.lostAtMs === undefined ? errorText(error) : undefined;
    }
  }

  /** Once for all that happens in a turn. */
  #drawSoon(): void {
    this.#drawing ??= setImmediate(() => {
      this.#drawing = undefined;
      this.#draw();
    });
  }

  #draw(): void {
    if (this.#stop.signal.aborted) return;
    const { color, unicode } = this.#options;
    // The last column stays free: clearing the rest of a line that fills it would clear its last character.
    const look = { width: Math.max(1, this.#screen.columns - 1), rows: this.#screen.rows, color, unicode };
    const { lines, room } = picture(this.#state, look);
    this.#room = room;
    this.#screen.draw(lines.map((line) => renderLine(line, look)));
    const showsRows = this.#state.view === 'overview' || this.#state.view === 'connections';
    if (showsRows && this.#state.page !== undefined && room !== this.#askedRoom) this.#ask();
  }
}
