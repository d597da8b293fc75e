/**
 * Answers "why": for the host, or for one connection that an observer knows. Collects the facts when asked and lets the
 * pure parts judge them; the page, the control call and `weft explain` all ask here.
 *
 * Invariant: however often it is asked, looking at the host takes a fiftieth of the time at most: reading a million
 * routes is not repeated each second, and neither is listing a packet filter.
 */
import { inNamespace } from '../../native/index.ts';
import type { WhyQuery, WhyReport } from '../observe/api.ts';
import { findConnection, type ConnectionSource } from '../observe/find-connection.ts';
import type { ConnectionDetail, ObservedEvent, Overview, RecentEvents } from '../observe/model.ts';
import { askRunning, withDaemon } from './ask-running.ts';
import { collectFirewallLater } from './collect-firewall.ts';
import { collectFacts, withPeer } from './collect.ts';
import { explainConnection } from './explain-connection.ts';
import { explainHost } from './explain-host.ts';
import type { FirewallFacts, HostFacts, RunningFact } from './facts.ts';

/** What is asked of an observer. */
export interface WhyObserver extends ConnectionSource {
  overview(): Overview;
  recentEvents(): RecentEvents;
}

export interface WhyDeskOptions {
  readonly observer: WhyObserver;
  /** What the process knows of itself beside what its observer tells. */
  readonly about?: () => Pick<RunningFact, 'multipath' | 'backend'>;
  /** File of the network namespace to look at; default is this process's own. */
  readonly netns?: string;
}

const HOST_FRESH_MS = 1000;
const FIREWALL_FRESH_MS = 30_000;
const RUNNING_FRESH_MS = 10_000;
/** One part of the time at most goes into looking. */
const COST_SHARE = 1 / 50;

/** Remembers an answer for a while, and for longer the more it cost. */
class Fresh<T> {
  readonly #forMs: number;
  #value: T | undefined;
  #untilMs = -Infinity;

  constructor(forMs: number) {
    this.#forMs = forMs;
  }

  get(make: () => T): T {
    const startMs = performance.now();
    if (this.#value !== undefined && startMs < this.#untilMs) return this.#value;
    this.#value = make();
    const endMs = performance.now();
    this.#untilMs = endMs + Math.max(this.#forMs, (endMs - startMs) / COST_SHARE);
    return this.#value;
  }
}

/** A token as events have it: hexadecimal text, or a number. */
function isToken(value: string | number | boolean, token: number): boolean {
  if (typeof value === 'number') return value === token;
  return typeof value === 'string' && Number.parseInt(value.replace(/^0x/i, ''), 16) === token;
}

function eventsOf(token: number | undefined, { events }: RecentEvents): ObservedEvent[] {
  if (token === undefined) return [];
  return events.filter(({ fields, kind }) => {
    const value = fields['token'];
    return kind === 'mptcp' && value !== undefined && isToken(value, token);
  });
}

export class WhyDesk {
  readonly #options: WhyDeskOptions;
  readonly #firewall = new Fresh<Promise<FirewallFacts>>(FIREWALL_FRESH_MS);
  readonly #host = new Fresh<HostFacts>(HOST_FRESH_MS);
  readonly #other = new Fresh<Promise<RunningFact | undefined>>(RUNNING_FRESH_MS);

  constructor(options: WhyDeskOptions) {
    this.#options = options;
  }

  /** @throws WeftError `NO_SUCH_CONNECTION`; `AMBIGUOUS` */
  async answer({ connection }: WhyQuery): Promise<WhyReport> {
    const { observer } = this.#options;
    // First, so that a name that nobody has costs nothing.
    const detail = connection === undefined ? undefined : findConnection(observer, connection);
    const running = await this.#running(observer.overview());
    const firewall = await this.#firewall.get(() => this.#inside(collectFirewallLater));
    const host = await withDaemon(this.#host.get(() => this.#inside(() => this.#collect(running, firewall))));
    // What an observer sees costs nothing, and is not to be older than what the page shows beside it.
    const facts = { ...host, observedPaths: observer.overview().paths };
    return detail === undefined ? explainHost(facts) : this.#explain(facts, detail);
  }

  #explain(host: HostFacts, detail: ConnectionDetail): WhyReport {
    const { observer } = this.#options;
    // A token of the appliance's kernel means nothing to this one.
    const token = detail.id.startsWith('m') ? detail.token : undefined;
    const question = {
      address: detail.remoteAddress,
      port: detail.remotePort,
      ...(token === undefined ? {} : { token }),
      events: eventsOf(token, observer.recentEvents()),
    };
    const facts = this.#inside(() => withPeer(host, question));
    return explainConnection(facts, detail);
  }

  /** This process, or whichever Weft runs beside it. */
  #running({ mode, pid, program }: Overview): Promise<RunningFact | undefined> {
    if (program !== 'up') return this.#other.get(askRunning);
    return Promise.resolve({ pid, mode: mode ?? 'single-path', ...this.#options.about?.() });
  }

  #collect(running: RunningFact | undefined, firewall: FirewallFacts): HostFacts {
    return collectFacts(running, { firewall });
  }

  #inside<T>(work: () => T): T {
    const { netns } = this.#options;
    return netns === undefined ? work() : inNamespace(netns, work);
  }
}
