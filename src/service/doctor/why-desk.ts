/**
 * Answers "why": for the host, or for one connection that an observer knows. Collects the facts when asked and lets the
 * pure parts judge them; the page, the control call and `weft explain` all ask here.
 *
 * Invariant: however often it is asked, the host is looked at once a second at most, and its packet filter, which costs
 * most, twice a minute.
 */
import { inNamespace } from '../../native/index.ts';
import { withDaemon } from './ask-running.ts';
import { collectFirewall } from './collect-firewall.ts';
import { collectFacts } from './collect.ts';
import type { PeerQuestion } from './collect-peer.ts';
import { explainConnection } from './explain-connection.ts';
import { explainHost } from './explain-host.ts';
import type { FirewallFacts, HostFacts, RunningFact } from './facts.ts';
import { findConnection, type ConnectionSource } from '../observe/find-connection.ts';
import type { WhyQuery, WhyReport } from '../observe/api.ts';
import type { ConnectionDetail, ObservedEvent, Overview, RecentEvents } from '../observe/model.ts';

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

/** Remembers an answer for a while. */
class Fresh<T> {
  readonly #forMs: number;
  #value: T | undefined;
  #untilMs = -Infinity;

  constructor(forMs: number) {
    this.#forMs = forMs;
  }

  get(make: () => T): T {
    if (this.#value === undefined || performance.now() > this.#untilMs) {
      this.#value = make();
      this.#untilMs = performance.now() + this.#forMs;
    }
    return this.#value;
  }
}

/** A token as events have it: a number, or hexadecimal text. */
function isToken(value: string | number | boolean, token: number): boolean {
  if (typeof value === 'number') return value === token;
  return typeof value === 'string' && Number.parseInt(value.replace(/^(0x|m)/i, ''), 16) === token;
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
  readonly #firewall = new Fresh<FirewallFacts>(FIREWALL_FRESH_MS);
  readonly #host = new Fresh<HostFacts>(HOST_FRESH_MS);

  constructor(options: WhyDeskOptions) {
    this.#options = options;
  }

  /** @throws WeftError `NO_SUCH_CONNECTION`; `AMBIGUOUS` */
  async answer({ connection }: WhyQuery): Promise<WhyReport> {
    const { observer } = this.#options;
    if (connection === undefined) {
      return explainHost(await withDaemon(this.#host.get(() => this.#collect())));
    }
    // First, so that a name that nobody has costs nothing.
    const detail = findConnection(observer, connection);
    const facts = this.#collect({
      address: detail.remoteAddress,
      port: detail.remotePort,
      ...(detail.token === undefined ? {} : { token: detail.token }),
      events: eventsOf(detail.token, observer.recentEvents()),
    });
    return explainConnection(await withDaemon(facts), this.#again(detail));
  }

  /** As it is now that the facts were read, where it is still there. */
  #again(detail: ConnectionDetail): ConnectionDetail {
    try {
      return this.#options.observer.connection(detail.id);
    } catch {
      return detail;
    }
  }

  #running(overview: Overview): RunningFact | undefined {
    if (overview.program !== 'up') return undefined;
    return { pid: overview.pid, mode: overview.mode ?? 'single-path', ...this.#options.about?.() };
  }

  #collect(peer?: PeerQuestion): HostFacts {
    const { netns, observer } = this.#options;
    const overview = observer.overview();
    const work = () =>
      collectFacts(this.#running(overview), {
        observedPaths: overview.paths,
        firewall: this.#firewall.get(collectFirewall),
        ...(peer === undefined ? {} : { peer }),
      });
    return netns === undefined ? work() : inNamespace(netns, work);
  }
}
