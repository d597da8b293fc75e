/**
 * Tells when this host's links, addresses and routes have changed and then been quiet for a moment, once for each
 * burst of the kernel's messages. The last message of a burst always counts.
 */
import { watchRoutes } from '../netlink/index.ts';
import { bearingOf } from './host-view.ts';

/** After the last message of a burst. */
const QUIET_MS = 200;
/** BOUNDED: a host that is never quiet is looked at this often. */
const MAX_WAIT_MS = 2000;

/** When to look, from when messages came (pure). */
export class TrailingDebounce {
  #firstMs: number | undefined;
  #lastMs = 0;

  handleEvent(nowMs: number): void {
    this.#firstMs ??= nowMs;
    this.#lastMs = nowMs;
  }

  /** `undefined`: nothing happened since the last look. */
  get dueMs(): number | undefined {
    if (this.#firstMs === undefined) return undefined;
    return Math.min(this.#lastMs + QUIET_MS, this.#firstMs + MAX_WAIT_MS);
  }

  handleLook(): void {
    this.#firstMs = undefined;
  }
}

/** Where there are no such messages (macOS). */
const POLL_MS = 2000;

function poll(handle: () => void): { close(): void } {
  const timer = setInterval(handle, POLL_MS);
  return { close: () => clearInterval(timer) };
}

/** Calls back after each burst, until closed. Needs no privilege. Messages that were lost count as one. */
export function watchHostChanges(handle: () => void): { close(): void } {
  if (process.platform !== 'linux') return poll(handle);
  const debounce = new TrailingDebounce();
  let timer: NodeJS.Timeout | undefined;
  const schedule = () => {
    clearTimeout(timer);
    const { dueMs } = debounce;
    if (dueMs === undefined) return;
    const waitMs = Math.max(0, Math.ceil(dueMs - performance.now()));
    timer = setTimeout(() => {
      debounce.handleLook();
      handle();
    }, waitMs);
  };
  const watch = watchRoutes((event) => {
    if (event.kind !== 'overrun' && bearingOf(event) !== 'host') return;
    debounce.handleEvent(performance.now());
    schedule();
  });
  return {
    close: () => {
      clearTimeout(timer);
      watch.close();
    },
  };
}
