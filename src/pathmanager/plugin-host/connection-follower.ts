/**
 * Follows the MPTCP connections of a network namespace: the kernel's events as they come, and a reading of all
 * connections at the start and whenever events were lost.
 *
 * Invariant: after a loss the table is right again as soon as the messages that waited are taken. A reading is not made
 * before that: a waiting message may tell of a connection whose end is among what was lost.
 */
import { errorText, type Logger } from '../../base/index.ts';
import { EventType, watchMptcpEvents, type MptcpEvent } from '../../mptcp/index.ts';
import { EPERM, SystemError } from '../../native/index.ts';
import type { NetlinkSocketOptions } from '../../netlink/index.ts';
import type { DaemonNews, ResyncReport } from '../daemon-status.ts';
import type { Dispatcher, DispatchTarget } from './dispatcher.ts';
import { callbackArgument, callbackOf } from './event-decode.ts';
import { readHostConnections } from './host-reading.ts';
import { planResync } from './resync.ts';

/** When messages come without a pause, a reading is made all the same, and another one later. */
const LONGEST_STALE_MS = 2000;

export interface FollowerOptions {
  readonly logger: Logger;
  readonly dispatcher: Dispatcher<DispatchTarget>;
  /** Its receive buffer is for tests. */
  readonly socket: NetlinkSocketOptions;
  /** Whether somebody watches, so that news are worth making. */
  readonly isWatched: () => boolean;
  readonly onNews: (news: DaemonNews) => void;
}

export const NOTHING_FOUND: ResyncReport = {
  connectionsOpened: 0,
  connectionsClosed: 0,
  connectionsEstablished: 0,
  subflowsOpened: 0,
  subflowsClosed: 0,
};

export class ConnectionFollower {
  readonly #options: FollowerOptions;
  readonly #logger: Logger;
  #events: { close(): void } | undefined;
  /** When the first loss was seen that no reading has made good. */
  #staleSinceMs: number | undefined;
  #restUntilMs = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  events = 0;
  overruns = 0;
  resynchronisations = 0;
  adopted = NOTHING_FOUND;
  recovered = NOTHING_FOUND;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  /** Whether the kernel lets this process hear events. */
  get listening(): boolean {
    return this.#events !== undefined;
  }

  /** Listens, then tells of the connections that there are. Without CAP_NET_ADMIN it only says so. */
  start(): void {
    const { socket } = this.#options;
    try {
      this.#events = watchMptcpEvents(
        {
          onEvent: (event) => this.#handleEvent(event),
          onOverrun: () => this.#handleOverrun(),
          onDrained: (empty) => this.#handleDrained(empty),
        },
        socket,
      );
    } catch (error) {
      if (!(error instanceof SystemError) || error.errno !== EPERM) throw error;
      this.#logger.error(
        { code: error.code },
        'mptcp_events: Operation not permitted; plugins are told nothing of connections — run with CAP_NET_ADMIN',
      );
      return;
    }
    this.adopted = this.#read('start') ?? NOTHING_FOUND;
  }

  #handleEvent(event: MptcpEvent): void {
    this.events++;
    const news = this.#options.dispatcher.handleEvent(event);
    if (news && this.#options.isWatched()) this.#tell(event, false);
  }

  #tell(event: MptcpEvent, adopted: boolean): void {
    const name = callbackOf(event.type);
    if (name === undefined) return;
    const data = callbackArgument(event, name, adopted);
    this.#options.onNews({ kind: 'mptcp', event: name, data });
  }

  #handleOverrun(): void {
    this.overruns++;
    this.#staleSinceMs ??= performance.now();
    this.#options.onNews({ kind: 'overrun', socket: 'mptcp' });
  }

  #handleDrained(empty: boolean): void {
    if (this.#staleSinceMs === undefined) return;
    const now = performance.now();
    if (!empty && now - this.#staleSinceMs < LONGEST_STALE_MS) return;
    const restMs = this.#restUntilMs - now;
    if (restMs <= 0) this.#resynchronise(empty);
    else if (this.#timer === undefined) {
      this.#timer = setTimeout(() => this.#resynchronise(empty), restMs);
      this.#timer.unref();
    }
  }

  /** At most half of the time, however fast events are lost. */
  #resynchronise(complete: boolean): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#events === undefined) return;
    const beganMs = performance.now();
    const report = this.#read('overrun');
    const endMs = performance.now();
    this.#restUntilMs = endMs + (endMs - beganMs);
    this.#staleSinceMs = complete && report !== undefined ? undefined : endMs;
    if (report === undefined) return;
    this.resynchronisations++;
    this.recovered = sum(this.recovered, report);
    this.#logger.warn(
      { ...report, overruns: this.overruns },
      `the kernel dropped MPTCP events; found by reading all connections: ${reportText(report)}`,
    );
  }

  /** Brings the table to what the host has. `undefined` when it could not be read; the next event tries again. */
  #read(cause: 'start' | 'overrun'): ResyncReport | undefined {
    const { dispatcher, isWatched, onNews, socket } = this.#options;
    try {
      const plan = planResync(dispatcher.connections, readHostConnections(socket.netns));
      for (const event of plan.events) {
        const news = dispatcher.handleEvent(event, true);
        const token = event.token ?? 0;
        if (event.type === EventType.created && plan.withoutFirst.has(token)) {
          dispatcher.connections.forgetFirstSubflow(token);
        }
        if (news && isWatched()) this.#tell(event, true);
      }
      onNews({ kind: 'resynchronised', cause, report: plan.report });
      return plan.report;
    } catch (error) {
      this.#logger.error({ error }, `read the connections of the host: ${errorText(error)}`);
      return undefined;
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#events?.close();
    this.#events = undefined;
  }
}

function sum(a: ResyncReport, b: ResyncReport): ResyncReport {
  return {
    connectionsOpened: a.connectionsOpened + b.connectionsOpened,
    connectionsClosed: a.connectionsClosed + b.connectionsClosed,
    connectionsEstablished: a.connectionsEstablished + b.connectionsEstablished,
    subflowsOpened: a.subflowsOpened + b.subflowsOpened,
    subflowsClosed: a.subflowsClosed + b.subflowsClosed,
  };
}

function reportText(report: ResyncReport): string {
  return [
    `${report.connectionsOpened} connections begun`,
    `${report.connectionsEstablished} established`,
    `${report.connectionsClosed} ended`,
    `${report.subflowsOpened} subflows begun`,
    `${report.subflowsClosed} ended`,
  ].join(', ');
}
