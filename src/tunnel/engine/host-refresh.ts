/**
 * When the host is read anew: soon, once for all who ask, and then not again for a while. Not here: the reading, and what
 * follows from it (host-side.ts).
 *
 * Invariant: peers can be the reason, as often as they like, and with many connections it takes long; it never takes more
 * than a part of the time.
 */
import { monotonicMs } from '../../native/index.ts';

/** After the host was read, so many times as long as that took it is not read again, and so long at most. */
const REST = 2;
const REST_MAX_MS = 250;

export class HostRefresh {
  readonly #refresh: () => void;
  #isRequested = false;
  /** The end of the rest. */
  #restedMs = -Infinity;

  constructor(refresh: () => void) {
    this.#refresh = refresh;
  }

  request(): void {
    if (this.#isRequested) return;
    this.#isRequested = true;
    const restMs = this.#restedMs - monotonicMs();
    if (restMs > 0) setTimeout(() => this.#run(), restMs).unref();
    else setImmediate(() => this.#run());
  }

  #run(): void {
    const beganMs = monotonicMs();
    this.#isRequested = false;
    try {
      this.#refresh();
    } finally {
      const nowMs = monotonicMs();
      this.#restedMs = nowMs + Math.min(REST_MAX_MS, (nowMs - beganMs) * REST);
    }
  }
}
