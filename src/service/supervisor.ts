/**
 * The supervisor: keeps routing tables, rules, endpoints and limits in step with the host's links, addresses and
 * routes, from start to stop. This file is the driver; which paths there are is routing's decision, what to do for
 * them supervisor-decision.ts's, how it is done supervisor-host.ts's, when to look supervisor-pace.ts's, and what to
 * tell supervisor-status.ts's.
 *
 * Invariant: the kernel's messages are subscribed to before the first reading, so nothing falls in between.
 */
import { errorText, WeftError } from '../base/index.ts';
import type { Limits } from '../mptcp/index.ts';
import { watchRoutes, type RouteEvent } from '../netlink/index.ts';
import { bearingOf } from './host-view.ts';
import { HostKeeper, type HostCounters, type HostOptions } from './supervisor-host.ts';
import { Pace } from './supervisor-pace.ts';
import { buildStatus, describeNews, IDLE_LOOK, sameKnowledge } from './supervisor-status.ts';
import type { Look, SupervisorActions, SupervisorStatus } from './supervisor-status.ts';

export type { SupervisorActions, SupervisorStatus } from './supervisor-status.ts';

export interface SupervisorOptions extends HostOptions {
  /** Called after every look that changed the status. */
  readonly onChange?: (status: SupervisorStatus) => void;
  /** Of the socket that receives the kernel's messages; for tests of what happens when it overflows. */
  readonly receiveBufferBytes?: number;
}

/** Endpoints, limits and settings change without a message; this is how often they are looked at. */
const PERIOD_MS = 5000;
/** BOUNDED: texts of failures that were logged, so that a lasting one is logged once. */
const MAX_REMEMBERED_FAILURES = 100;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #pace = new Pace();
  #keeper: HostKeeper | undefined;
  #watch: { close(): void } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #period: NodeJS.Timeout | undefined;
  #look: Look = IDLE_LOOK;
  /** Of the time before `stop`. */
  #lastCounters: HostCounters = {
    routesAndRulesChanged: 0,
    endpointsAdded: 0,
    endpointsDeleted: 0,
    limitsRaised: 0,
  };
  #status: SupervisorStatus;
  readonly #loggedFailures = new Set<string>();
  readonly #counts = { looks: 0, kernelMessages: 0, overruns: 0, failures: 0, lastLookMs: 0 };

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#status = buildStatus(IDLE_LOOK, this.#actions());
  }

  /**
   * Subscribes, takes over what an earlier process left, and looks at the host for the first time; what it needs is
   * made when this resolves.
   * @throws WeftError ALREADY_RUNNING when another process manages this network namespace's paths
   */
  start(): Promise<void> {
    // The work is synchronous; the promise is for callers that must not care.
    return new Promise((resolve) => {
      this.#start();
      resolve();
    });
  }

  #start(): void {
    if (this.#keeper !== undefined) throw new WeftError('the supervisor runs already', { code: 'STARTED' });
    const { netns, receiveBufferBytes } = this.#options;
    this.#keeper = new HostKeeper(this.#options);
    try {
      this.#watch = watchRoutes((event) => this.#handleEvent(event), {
        ...(netns === undefined ? {} : { netns }),
        ...(receiveBufferBytes === undefined ? {} : { receiveBufferBytes }),
      });
      this.#pace.handleEvent('host', performance.now());
      this.#runLook();
    } catch (error) {
      this.#close();
      throw error;
    }
    this.#period = setInterval(() => {
      this.#pace.handleEvent('host', performance.now());
      this.#schedule();
    }, PERIOD_MS).unref();
  }

  #handleEvent(event: RouteEvent): void {
    this.#counts.kernelMessages++;
    if (event.kind === 'overrun') {
      this.#counts.overruns++;
      const text = 'the kernel dropped messages about links and routes; everything is read anew';
      this.#options.logger.warn({}, text);
    }
    this.#pace.handleEvent(event.kind === 'overrun' ? 'host' : bearingOf(event), performance.now());
    this.#schedule();
  }

  #schedule(): void {
    const { dueMs } = this.#pace;
    if (dueMs === undefined || this.#keeper === undefined) return;
    clearTimeout(this.#timer);
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) {
      this.#timer = setTimeout(() => this.#runLook(), Math.ceil(waitMs));
      return;
    }
    // After the messages that are waiting in the socket, of which there are usually several.
    this.#immediate ??= setImmediate(() => {
      this.#immediate = undefined;
      this.#runLook();
    });
  }

  /** One look at the host, with all that follows from it. */
  #runLook(): void {
    const keeper = this.#keeper;
    if (keeper === undefined) return;
    const startMs = performance.now();
    let changed = false;
    try {
      const result = keeper.look();
      this.#look = result.look;
      ({ changed } = result);
      this.#reportFailures(result.failures);
    } catch (error) {
      // The next look, at the latest the periodic one, tries again.
      this.#reportFailures([`the host's paths could not be brought up to date: ${errorText(error)}`]);
    }
    const endMs = performance.now();
    this.#counts.looks++;
    this.#counts.lastLookMs = endMs - startMs;
    const wasContested = this.#pace.contested;
    this.#pace.handleLook(startMs, endMs, changed);
    if (this.#pace.contested && !wasContested) {
      this.#options.logger.warn({}, 'another program keeps removing or changing Weft’s rules or routes');
    }
    this.#publish();
    this.#schedule();
  }

  #reportFailures(failures: readonly string[]): void {
    this.#counts.failures += failures.length;
    if (failures.length === 0) this.#loggedFailures.clear();
    for (const text of failures) {
      if (this.#loggedFailures.has(text)) continue;
      if (this.#loggedFailures.size < MAX_REMEMBERED_FAILURES) this.#loggedFailures.add(text);
      this.#options.logger.warn({}, text);
    }
  }

  #actions(): SupervisorActions {
    return { ...this.#counts, ...(this.#keeper?.counters ?? this.#lastCounters) };
  }

  #publish(): void {
    const before = this.#status;
    const after = buildStatus(this.#look, this.#actions());
    this.#status = after;
    for (const { fields, level, text } of describeNews(before, after)) {
      this.#options.logger[level](fields, text);
    }
    if (!sameKnowledge(before, after)) this.#options.onChange?.(after);
  }

  /** Whether this process may change the host; not before the start. */
  get mayChange(): boolean {
    return this.#keeper?.privileged ?? false;
  }

  /**
   * Makes a link's paths backup or normal until the end, also on connections that are open.
   * @throws WeftError `NO_SUCH_LINK`
   */
  setBackup(link: string, backup: boolean): void {
    const { found, links } = this.#look;
    if (!links.some(({ name }) => name === link)) {
      const names = [...new Set(found.map(({ linkName }) => linkName))].join(', ');
      throw new WeftError(`there is no link "${link}"`, {
        code: 'NO_SUCH_LINK',
        hint: names === '' ? 'there are no paths' : `links with paths are: ${names}`,
      });
    }
    this.#keeper?.setBackup(link, backup);
    this.lookNow();
  }

  /** Sets limits for a user, who knows better from then on. @throws NetlinkError */
  setLimits(limits: Partial<Limits>): void {
    this.#keeper?.setLimits(limits);
  }

  /** Looks at once, without a message of the kernel. Harmless when not started. */
  lookNow(): void {
    this.#pace.handleEvent('host', performance.now());
    this.#runLook();
  }

  /** As of the last look. */
  status(): SupervisorStatus {
    return { ...this.#status, actions: this.#actions() };
  }

  /**
   * Removes exactly what was made and puts the limits back. Harmless when not started.
   * @throws WeftError CLEANUP when something could not be removed; the next start tries again
   */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#stop();
      resolve();
    });
  }

  #stop(): void {
    const keeper = this.#keeper;
    if (keeper === undefined) return;
    const failures = keeper.undo();
    this.#close();
    this.#look = IDLE_LOOK;
    this.#status = buildStatus(IDLE_LOOK, this.#actions());
    if (failures.length === 0) return;
    throw new WeftError(`not everything could be removed from the host: ${failures.join('; ')}`, {
      code: 'CLEANUP',
      hint: 'the next "weft up" tries again',
    });
  }

  #close(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    clearInterval(this.#period);
    this.#immediate = undefined;
    this.#watch?.close();
    this.#watch = undefined;
    this.#lastCounters = this.#keeper?.counters ?? this.#lastCounters;
    this.#keeper?.close();
    this.#keeper = undefined;
  }
}
