/**
 * The driver: reads links and addresses of one network namespace when the kernel says that something changed, and
 * tells what follows from it. The decisions are network-model.ts's.
 *
 * When it reads: at once when the waiting messages have been taken, so that an address is an endpoint a moment later;
 * but at most half of the time, however fast messages come; and every few seconds, because of some changes (an IPv4
 * route that goes with its next hop) the kernel says nothing. Messages about routes cause a reading only while the
 * settings need routes, and only those that can change the answer: a host with a full internet table stays idle.
 *
 * Invariant: links are read before addresses and routes. That waits for the change under way (RTNL), so that what
 * a message told is in the tables when they are read.
 */
import { errorText, inPrefix, type Family, type Logger } from '../../base/index.ts';
import {
  RouteNetlink,
  watchRoutes,
  type NetlinkSocketOptions,
  type RouteEvent,
  type RouteSubject,
} from '../../netlink/index.ts';
import type { InterfaceEvent, LocalAddressEvent } from '../plugin-api.ts';
import { lookUpDefaultRoute, probeOf } from './default-route.ts';
import { NetworkModel, needRoutes, type NetworkChange } from './network-model.ts';
import {
  localAddresses,
  type DefaultRoute,
  type LocalAddress,
  type MonitoredInterface,
  type NetworkSettings,
} from './network-state.ts';

export interface NetworkMonitorOptions extends NetworkSettings, NetlinkSocketOptions {
  readonly logger: Logger;
  /** Between readings when nothing is heard. Default 5 s. */
  readonly periodMs?: number;
}

/** Called one after another, synchronously. What they throw is an uncaught exception. */
export interface NetworkHandlers {
  newInterface(event: InterfaceEvent): void;
  updateInterface(event: InterfaceEvent): void;
  deleteInterface(event: InterfaceEvent): void;
  newLocalAddress(event: LocalAddressEvent): void;
  deleteLocalAddress(event: LocalAddressEvent): void;
  /** A reading is over, whether it showed anything new or not. */
  changed(): void;
  /** The kernel dropped messages; a reading follows at once. */
  overrun(): void;
}

export interface NetworkMonitorCounters {
  readonly readings: number;
  readonly failedReadings: number;
  readonly routeLookups: number;
  readonly overruns: number;
}

const PERIOD_MS = 5000;
/** After a reading that failed. */
const RETRY_MS = 200;

export class NetworkMonitor {
  readonly #socket: NetlinkSocketOptions;
  readonly #periodMs: number;
  readonly #logger: Logger;
  readonly #netlink: RouteNetlink;
  readonly #model: NetworkModel;
  #settings: NetworkSettings;
  #handlers: NetworkHandlers | undefined;
  #watch: { close(): void } | undefined;
  #watchesRoutes = false;
  /** A message came that can mean something. */
  #stale = false;
  #restUntilMs = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #toldFailure = '';
  #readings = 0;
  #failedReadings = 0;
  #routeLookups = 0;
  #overruns = 0;

  /** Needs no privilege. @throws WeftError when the kernel gives no netlink socket */
  constructor(options: NetworkMonitorOptions) {
    const { logger, netns, notify, periodMs = PERIOD_MS, receiveBufferBytes, rules } = options;
    this.#socket = {
      ...(netns === undefined ? {} : { netns }),
      ...(receiveBufferBytes === undefined ? {} : { receiveBufferBytes }),
    };
    this.#periodMs = periodMs;
    this.#logger = logger;
    this.#settings = { notify, rules };
    this.#model = new NetworkModel(this.#settings);
    this.#netlink = RouteNetlink.open(netns === undefined ? {} : { netns });
  }

  get counters(): NetworkMonitorCounters {
    return {
      readings: this.#readings,
      failedReadings: this.#failedReadings,
      routeLookups: this.#routeLookups,
      overruns: this.#overruns,
    };
  }

  /** Reads the host, tells what is there (`newLocalAddress`, if `existing` is set), and follows it from then on. */
  start(handlers: NetworkHandlers): void {
    this.#handlers = handlers;
    this.#openWatch();
    this.read();
  }

  /** Follows other settings from now on: what they change is told as if the host had changed. */
  configure({ notify, rules }: NetworkSettings): void {
    this.#settings = { notify, rules };
    this.#model.configure(this.#settings);
    if (this.#handlers === undefined) return;
    if (needRoutes(this.#settings) !== this.#watchesRoutes) this.#openWatch();
    this.read();
  }

  /** Every interface that is ready, with what becomes of each of its addresses. */
  interfaces(): readonly MonitoredInterface[] {
    return this.#model.interfaces;
  }

  /** The addresses that may have endpoints, in the order in which they were announced. */
  localAddresses(): readonly LocalAddress[] {
    return localAddresses(this.#model.interfaces);
  }

  close(): void {
    this.#handlers = undefined;
    this.#watch?.close();
    clearTimeout(this.#timer);
    this.#netlink.close();
  }

  #openWatch(): void {
    this.#watchesRoutes = needRoutes(this.#settings);
    const subjects: RouteSubject[] = ['link', 'address'];
    if (this.#watchesRoutes) subjects.push('route', 'rule');
    const old = this.#watch;
    this.#watch = watchRoutes((event) => this.#handleEvent(event), {
      ...this.#socket,
      subjects,
      onDrained: () => this.#readWhenStale(),
    });
    old?.close();
  }

  #handleEvent(event: RouteEvent): void {
    if (event.kind === 'overrun') {
      this.#overruns++;
      this.#handlers?.overrun();
    }
    if (event.kind !== 'route') {
      this.#stale = true;
      return;
    }
    const { destination, family } = event.route;
    if (destination === undefined || inPrefix(probeOf(family), destination)) this.#stale = true;
  }

  #readWhenStale(): void {
    if (!this.#stale) return;
    const restMs = this.#restUntilMs - performance.now();
    if (restMs <= 0) this.read();
    else this.#readIn(restMs);
  }

  #readIn(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.read(), delayMs);
    this.#timer.unref();
  }

  /** Reads the host now, and tells what is new. */
  read(): void {
    const handlers = this.#handlers;
    if (handlers === undefined) return;
    this.#stale = false;
    const beginMs = performance.now();
    let changes: readonly NetworkChange[];
    try {
      changes = this.#takeReading();
      // What is done about it does not count: removing an endpoint takes the kernel longer than a reading does.
      const endMs = performance.now();
      this.#restUntilMs = endMs + (endMs - beginMs);
      this.#toldFailure = '';
    } catch (error) {
      this.#failedReadings++;
      this.#tellFailure(errorText(error));
      this.#readIn(RETRY_MS);
      return;
    }
    for (const change of changes) if (this.#handlers !== undefined) deliver(change, handlers);
    if (this.#handlers === undefined) return;
    handlers.changed();
    // A handler may have called for a reading of its own, or closed.
    if (this.#handlers !== undefined) this.#readIn(this.#periodMs);
  }

  #takeReading(): NetworkChange[] {
    this.#readings++;
    const links = this.#netlink.links();
    const addresses = this.#netlink.addresses();
    const asked = new Map<string, DefaultRoute | undefined>();
    const defaultRoute = (linkIndex: number, family: Family, source?: string) => {
      const key = `${linkIndex} ${family} ${source ?? ''}`;
      if (!asked.has(key)) {
        this.#routeLookups++;
        asked.set(key, lookUpDefaultRoute(this.#netlink, linkIndex, family, source));
      }
      return asked.get(key);
    };
    return this.#model.handleReading({ links, addresses, defaultRoute });
  }

  /** Once, until a reading succeeds or fails otherwise. */
  #tellFailure(why: string): void {
    if (why === this.#toldFailure) return;
    this.#toldFailure = why;
    this.#logger.warn({}, `the host's links and addresses cannot be read, will try again: ${why}`);
  }
}

function deliver(change: NetworkChange, handlers: NetworkHandlers): void {
  switch (change.kind) {
    case 'newInterface':
    case 'updateInterface':
    case 'deleteInterface':
      handlers[change.kind]({ interface: change.interface });
      break;
    case 'newLocalAddress':
    case 'deleteLocalAddress':
      handlers[change.kind]({ interface: change.interface, address: change.address });
      break;
    default:
      change satisfies never;
  }
}
