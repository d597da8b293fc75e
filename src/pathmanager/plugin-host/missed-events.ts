/**
 * What a plugin was not told because it was too far behind (pure): enough to bring it up to date later, no more.
 *
 * Invariant: BOUNDED by the connections that there are and those that the plugin knew when it fell behind: one that
 * began and ended meanwhile is forgotten.
 */
import type { PluginCallbackName, SubflowClosedEvent } from '../plugin-api.ts';

/** BOUNDED: subflows whose end is remembered for one connection. */
const MAX_ENDS = 64;

export interface MissedConnection {
  readonly token: number;
  /** The plugin has not been told of it at all. */
  readonly unknown: boolean;
  /** The one that the plugin knew has ended; there may be a new one of the same token. */
  readonly closed: boolean;
  readonly subflowEnds: readonly SubflowClosedEvent[];
}

interface Missed {
  readonly unknown: boolean;
  closed: boolean;
  readonly subflowEnds: SubflowClosedEvent[];
}

export class MissedEvents {
  readonly #connections = new Map<number, Missed>();

  get size(): number {
    return this.#connections.size;
  }

  note(callback: PluginCallbackName, argument: object | undefined): void {
    if (argument === undefined || !('token' in argument)) return;
    const { token } = argument;
    if (typeof token !== 'number') return;
    let missed = this.#connections.get(token);
    if (missed === undefined) {
      missed = { unknown: callback === 'newConnection', closed: false, subflowEnds: [] };
      this.#connections.set(token, missed);
    }
    if (callback === 'connectionClosed') {
      if (missed.unknown) this.#connections.delete(token);
      else missed.closed = true;
    } else if (callback === 'subflowClosed' && missed.subflowEnds.length < MAX_ENDS) {
      missed.subflowEnds.push(argument as SubflowClosedEvent);
    }
  }

  /** All that was missed; nothing is remembered from then on. */
  take(): MissedConnection[] {
    const all = [...this.#connections].map(([token, missed]) => Object.assign({ token }, missed));
    this.#connections.clear();
    return all;
  }
}
