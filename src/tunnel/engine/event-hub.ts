/**
 * Who watches the tunnel, and the last troubles.
 *
 * Invariant: a listener that throws costs neither the others nor the tunnel anything.
 */
import { errorText, type Logger } from '../../base/index.ts';
import type { EventBody } from './surroundings.ts';
import type { TunnelEvent } from './types.ts';

const TROUBLES_MAX = 32;

export class EventHub {
  readonly #logger: Logger;
  /** BOUNDED by who watches: one for each. */
  readonly #listeners = new Set<(event: TunnelEvent) => void>();
  /** BOUNDED: `TROUBLES_MAX`. */
  readonly #troubles: string[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** The latest last. */
  get troubles(): readonly string[] {
    return this.#troubles;
  }

  emit(event: EventBody): void {
    const whole = { atMs: Date.now(), ...event } as TunnelEvent;
    if (event.kind === 'trouble' || event.kind === 'failure') this.#remember(event.text);
    for (const listener of this.#listeners) {
      try {
        listener(whole);
      } catch (error) {
        this.#logger.error({ error: errorText(error) }, 'a listener of the tunnel threw');
      }
    }
  }

  /** Calls `listener` for each event until the returned function is called. */
  watch(listener: (event: TunnelEvent) => void): () => void {
    // One function may be given twice.
    const own = (event: TunnelEvent) => listener(event);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  clear(): void {
    this.#listeners.clear();
  }

  #remember(text: string): void {
    this.#logger.warn({}, text);
    this.#troubles.push(text);
    if (this.#troubles.length > TROUBLES_MAX) this.#troubles.shift();
  }
}
