/**
 * Reads the host's links and addresses when the kernel says that something changed, and tells when they differ. The
 * messages are never believed one by one (docs/decisions/0003): each only causes a reading, at once at first, then at
 * most half of the time, once more a moment after the last, and every few seconds.
 *
 * Routes are followed only as far as they can matter: default routes (gateways) and routes of Weft's own protocol.
 * So a host with a full Internet table stays idle.
 */
import { errorText, type Logger } from '../../base/index.ts';
import { monotonicMs } from '../../native/index.ts';
import {
  RouteNetlink,
  RTPROT_WEFT,
  watchRoutes,
  type NetlinkSocketOptions,
  type RouteEvent,
} from '../../netlink/index.ts';
import { LinkView } from './link-view.ts';

const PERIOD_MS = 5000;
/** Between two readings: messages come in bursts of some milliseconds. */
const QUIET_MS = 10;
/** After the last message: some are sent before the deed is done. */
const ONCE_MORE_MS = 60;

export interface LinkWatchOptions extends NetlinkSocketOptions {
  readonly logger: Logger;
  /**
   * Links or addresses differ from the last view, or a route that matters was touched, or the period is over
   * (`isPeriodic`). Routes and settings are to be looked at anew each time.
   */
  readonly onChange: (view: LinkView, change: LinkChangeKind) => void;
  /** Default 5 s. */
  readonly periodMs?: number;
}

export type LinkChangeKind = 'links' | 'routes' | 'period';

function isRelevant(event: RouteEvent): boolean {
  if (event.kind !== 'route') return true;
  const { destination, protocol } = event.route;
  return destination === undefined || destination.length <= 1 || protocol === RTPROT_WEFT;
}

export class LinkWatch {
  readonly #options: LinkWatchOptions;
  readonly #netlink: RouteNetlink;
  #view: LinkView;
  #signature = '';
  #watch: { close(): void } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Infinity;
  #lastReadMs = -Infinity;
  #routesTouched = false;
  #heard = false;
  #toldFailure = '';

  private constructor(options: LinkWatchOptions, netlink: RouteNetlink) {
    this.#options = options;
    this.#netlink = netlink;
    this.#view = new LinkView([], []);
  }

  /** Reads once, so that `view` is there; `onChange` is called for what comes after. */
  static start(options: LinkWatchOptions): LinkWatch {
    const socket = options.netns === undefined ? {} : { netns: options.netns };
    const watch = new LinkWatch(options, RouteNetlink.open(socket));
    try {
      watch.#watch = watchRoutes((event) => watch.#handleEvent(event), {
        ...socket,
        subjects: ['link', 'address', 'route'],
        onDrained: () => watch.#schedule(),
      });
      watch.#read();
    } catch (error) {
      watch.close();
      throw error;
    }
    watch.#schedule();
    return watch;
  }

  /** As last read. */
  get view(): LinkView {
    return this.#view;
  }

  /** Reads now; for who has just changed a link. Does not call `onChange`, and the next reading does not either. */
  readNow(): LinkView {
    this.#read();
    return this.#view;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#watch?.close();
    this.#watch = undefined;
    this.#netlink.close();
  }

  #handleEvent(event: RouteEvent): void {
    if (event.kind !== 'overrun' && !isRelevant(event)) return;
    if (event.kind === 'route') this.#routesTouched = true;
    this.#heard = true;
    this.#dueMs = Math.min(this.#dueMs, this.#lastReadMs + QUIET_MS);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#watch === undefined) return;
    const nowMs = monotonicMs();
    const dueMs = Math.min(this.#dueMs, this.#lastReadMs + (this.#options.periodMs ?? PERIOD_MS));
    if (dueMs <= nowMs) {
      this.#look();
      return;
    }
    this.#timer = setTimeout(() => this.#look(), Math.ceil(dueMs - nowMs));
  }

  #look(): void {
    const isPeriodic = this.#dueMs === Infinity;
    const heard = this.#heard;
    const routesTouched = this.#routesTouched;
    this.#heard = false;
    this.#routesTouched = false;
    this.#dueMs = Infinity;
    const before = this.#signature;
    if (this.#tryRead()) {
      if (heard) this.#dueMs = this.#lastReadMs + ONCE_MORE_MS;
      const changed = before !== this.#signature;
      if (changed || routesTouched || isPeriodic) {
        this.#options.onChange(this.#view, changed ? 'links' : routesTouched ? 'routes' : 'period');
      }
    } else {
      this.#dueMs = monotonicMs() + ONCE_MORE_MS;
    }
    this.#schedule();
  }

  #tryRead(): boolean {
    try {
      this.#read();
      this.#toldFailure = '';
      return true;
    } catch (error) {
      const text = errorText(error);
      if (text !== this.#toldFailure) this.#options.logger.warn({}, `the links cannot be read: ${text}`);
      this.#toldFailure = text;
      return false;
    }
  }

  #read(): void {
    // Links before addresses: listing links waits for the change that is under way (RTNL).
    const links = this.#netlink.links();
    const view = new LinkView(links, this.#netlink.addresses());
    this.#lastReadMs = monotonicMs();
    this.#view = view;
    this.#signature = JSON.stringify(view.links);
  }
}
