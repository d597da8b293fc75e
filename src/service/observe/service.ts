/**
 * The observation of a process: an Observer with the calls, the live stream, the actions and the metrics on it, for
 * the control socket and the page. The process holds one of these; what it stands on is loaded when it begins, so it
 * costs nothing before the process is ready.
 *
 * Invariants: whatever fails here is logged and tried again, and never becomes the process's failure; after `stop`
 * nothing of it runs; every action is an event and a line of the log, also one that was refused.
 */
import type { RequestListener } from 'node:http';
import { errorCode, errorText, WeftError, type Logger } from '../../base/index.ts';
import { queryValues } from '../control-arguments.ts';
import type { FeedSource } from '../control-event-feed.ts';
import type { ControlRoute } from '../control-request.ts';
import { loadPart } from '../load-part.ts';
import type { WhyDesk, WhyDeskOptions } from '../doctor/index.ts';
import type { Metrics, MetricsSources } from '../metrics/index.ts';
import type { ActionAnswer, ActionApi, ObserveApi, WebApi, WebReport, WhyQuery, WhyReport } from './api.ts';
import { ACTION_CALLS, LIVE_PATH, OBSERVE_CALLS } from './calls.ts';
import type { ActionOrigin, HostControl } from './host-control.ts';
import type { LiveFeed } from './live-feed.ts';
import type { ObservedEvent, PathReading } from './model.ts';
import type { Observer } from './observer.ts';
import type { ObserverSources } from './sources.ts';

export interface ObservationOptions {
  /** Called once for each beginning. */
  readonly sources: () => Promise<ObserverSources>;
  readonly control: HostControl;
  /** What answers to "why" take from the process. */
  readonly about?: NonNullable<WhyDeskOptions['about']>;
  /** What the metrics tell beside what is observed. */
  readonly metrics?: Omit<MetricsSources, 'overview'>;
  readonly logger: Logger;
  /** File of the network namespace to look at; default is this process's own. */
  readonly netns?: string;
}

interface Running {
  readonly observer: Observer;
  readonly feed: LiveFeed;
}

interface Watcher {
  readonly listener: (event: ObservedEvent) => void;
  /** Absent until the host is observed. */
  end: (() => void) | undefined;
}

export const METRICS_PATH = '/metrics';

/** The process is ready, and has told so, before this begins. A call that comes earlier does not wait for it. */
const BEGIN_AFTER_MS = 250;
const RETRY_MS = 10_000;

/** How an action is called in events, and in sentences. */
const ACTIONS: Readonly<Record<keyof ActionApi, { readonly event: string; readonly words: string }>> = {
  addEndpoint: { event: 'endpoint-added', words: 'add an endpoint' },
  changeEndpoint: { event: 'endpoint-changed', words: 'change an endpoint' },
  removeEndpoint: { event: 'endpoint-removed', words: 'remove an endpoint' },
  setLimits: { event: 'limits-set', words: 'set limits' },
  setPath: { event: 'path-set', words: 'change a path' },
  setTunnelPath: { event: 'tunnel-path-set', words: "change a tunnel's path" },
};

const WHO: Readonly<Record<ActionOrigin, string>> = { page: 'the page', socket: 'the command line' };

export class Observation implements FeedSource {
  readonly #options: ObservationOptions;
  readonly #logger: Logger;
  #running: Promise<Running> | undefined;
  #observer: Observer | undefined;
  /** UNBOUNDED: as many as read; the feed bounds its readers. */
  readonly #watchers = new Set<Watcher>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #toldFailure: string | undefined;
  #whyDesk: WhyDesk | undefined;
  #metrics: Metrics | undefined;
  #web: (() => Promise<WebReport> | WebReport) | undefined;
  /** What is answered beside the calls, by path. */
  readonly routes: ReadonlyMap<string, ControlRoute> = new Map([
    [LIVE_PATH, (...parts: Parameters<ControlRoute>) => this.#openLive(...parts)],
    [METRICS_PATH, (...parts: Parameters<ControlRoute>) => this.#sendMetrics(...parts)],
  ]);

  constructor(options: ObservationOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  /** Begins in the background. */
  start(): void {
    this.#beginAfter(BEGIN_AFTER_MS);
  }

  #beginAfter(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#whenRunning().catch(() => {}), delayMs).unref();
  }

  /** @throws WeftError `NOT_STARTED` when the host cannot be observed now */
  #whenRunning(): Promise<Running> {
    if (this.#stopped) {
      return Promise.reject(new WeftError('Weft is ending', { code: 'NOT_STARTED' }));
    }
    this.#running ??= this.#begin().catch((error: unknown) => {
      this.#running = undefined;
      this.#tellFailure(error);
      this.#beginAfter(RETRY_MS);
      throw new WeftError(`this host cannot be observed: ${errorText(error)}`, {
        code: 'NOT_STARTED',
        hint: 'it is tried again',
        cause: error,
      });
    });
    return this.#running;
  }

  async #begin(): Promise<Running> {
    const { logger, netns, sources } = this.#options;
    const [{ Observer }, { LiveFeed }] = await loadPart(() =>
      Promise.all([import('./observer.ts'), import('./live-feed.ts')]),
    );
    const from = await sources();
    const observer = new Observer({
      sources: from,
      logger,
      ...(netns === undefined ? {} : { netns }),
    });
    try {
      await observer.start();
    } catch (error) {
      from.close?.();
      throw error;
    }
    if (this.#stopped) {
      await observer.stop();
      throw new WeftError('Weft is ending', { code: 'NOT_STARTED' });
    }
    this.#observer = observer;
    for (const watcher of this.#watchers) watcher.end = observer.watch(watcher.listener);
    this.#toldFailure = undefined;
    return { observer, feed: new LiveFeed(observer) };
  }

  /** A lasting failure once. */
  #tellFailure(error: unknown): void {
    const text = errorText(error);
    if (this.#stopped || text === this.#toldFailure) return;
    this.#toldFailure = text;
    this.#logger.warn({ err: error }, `this host is not observed: ${text}`);
  }

  /** Something on the host has changed: the next look comes at once. */
  lookNow(): void {
    this.#observer?.lookNow();
  }

  /** Paths through which nothing comes although it should; none before it has begun. */
  stalePaths(): readonly PathReading[] {
    return this.#observer?.stalePaths() ?? [];
  }

  /** The page's address, for those who ask over the control socket. */
  tellWeb(report: () => Promise<WebReport> | WebReport): void {
    this.#web = report;
  }

  /** Tells what happens from now on, as soon as the host can be observed. @returns ends it */
  watch(listener: (event: ObservedEvent) => void): () => void {
    const watcher: Watcher = { listener, end: this.#observer?.watch(listener) };
    this.#watchers.add(watcher);
    if (this.#observer === undefined) void this.#whenRunning().catch(() => {});
    return () => {
      this.#watchers.delete(watcher);
      watcher.end?.();
    };
  }

  /** The calls, for somebody who comes from there. */
  api(origin: ActionOrigin): ObserveApi & ActionApi {
    const look = async <T>(work: (observer: Observer) => T): Promise<T> =>
      work((await this.#whenRunning()).observer);
    const act = (name: keyof ActionApi, work: (actions: ActionApi) => Promise<ActionAnswer>) =>
      this.#act(origin, name, work);
    return {
      overview: () => look((observer) => observer.overview()),
      history: (query) => look((observer) => observer.history(query)),
      connections: (query) => look((observer) => observer.connections(query)),
      connection: ({ id }) => look((observer) => observer.connection(id)),
      recentEvents: () => look((observer) => observer.recentEvents()),
      why: (query) => this.#why(query),
      addEndpoint: (action) => act('addEndpoint', (actions) => actions.addEndpoint(action)),
      changeEndpoint: (action) => act('changeEndpoint', (actions) => actions.changeEndpoint(action)),
      removeEndpoint: (action) => act('removeEndpoint', (actions) => actions.removeEndpoint(action)),
      setLimits: (action) => act('setLimits', (actions) => actions.setLimits(action)),
      setPath: (action) => act('setPath', (actions) => actions.setPath(action)),
      setTunnelPath: (action) => act('setTunnelPath', (actions) => actions.setTunnelPath(action)),
    };
  }

  /** The calls of the control socket: those of the page, and where the page is. */
  get socketApi(): ObserveApi & ActionApi & WebApi {
    return { ...this.api('socket'), web: async () => (await this.#web?.()) ?? { served: false } };
  }

  /** Calls, live stream and metrics as one listener, for the page's server. */
  async listener(origin: ActionOrigin): Promise<RequestListener> {
    const { controlRequestListener } = await loadPart(() => import('../control-request.ts'));
    return controlRequestListener({
      calls: { ...OBSERVE_CALLS, ...ACTION_CALLS },
      api: this.api(origin),
      routes: this.routes,
    });
  }

  async #act(
    origin: ActionOrigin,
    name: keyof ActionApi,
    work: (actions: ActionApi) => Promise<ActionAnswer>,
  ): Promise<ActionAnswer> {
    const { HostActions } = await loadPart(() => import('./actions.ts'));
    const { control, netns } = this.#options;
    const { event, words } = ACTIONS[name];
    const by = WHO[origin];
    // So that it becomes an event; what cannot be observed can be changed all the same.
    await this.#whenRunning().catch(() => {});
    try {
      const answer = await work(new HostActions(control, netns));
      const { command, text } = answer;
      this.#logger.info({ by: origin, command }, `asked for by ${by}: ${text}`);
      this.#record(event, text, { by: origin, command });
      return answer;
    } catch (error) {
      const text = `refused to ${words}: ${errorText(error)}`;
      this.#logger.warn({ by: origin }, `asked for by ${by}: ${text}`);
      this.#record('refused', text, { by: origin, action: event, code: errorCode(error) });
      throw error;
    } finally {
      this.lookNow();
    }
  }

  #record(event: string, text: string, fields: ObservedEvent['fields']): void {
    this.#observer?.record({ kind: 'action', event, text, fields });
  }

  async #why(query: WhyQuery): Promise<WhyReport> {
    const { observer } = await this.#whenRunning();
    const { WhyDesk } = await loadPart(() => import('../doctor/index.ts'));
    const { about, netns } = this.#options;
    this.#whyDesk ??= new WhyDesk({
      observer,
      ...(about === undefined ? {} : { about }),
      ...(netns === undefined ? {} : { netns }),
    });
    return this.#whyDesk.answer(query);
  }

  async #openLive(...[request, response, query]: Parameters<ControlRoute>): Promise<void> {
    queryValues(query, []);
    const { feed } = await this.#whenRunning();
    if (!response.destroyed) feed.open(request, response);
  }

  async #sendMetrics(...[request, response]: Parameters<ControlRoute>): Promise<void> {
    const { observer } = await this.#whenRunning();
    const { Metrics } = await loadPart(() => import('../metrics/index.ts'));
    this.#metrics ??= new Metrics({ ...this.#options.metrics, overview: () => observer.overview() });
    const { body, contentType } = await this.#metrics.render(request.headers.accept);
    const bytes = Buffer.from(body);
    response.writeHead(200, { 'content-type': contentType, 'content-length': bytes.length });
    response.end(bytes);
  }

  /** Ends streams and looks. Never rejects; may be called again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const running = await this.#running?.catch(() => {});
    this.#observer = undefined;
    running?.feed.close();
    try {
      await running?.observer.stop();
    } catch (error) {
      this.#logger.warn({ err: error }, `the end of the observation: ${errorText(error)}`);
    }
  }
}
