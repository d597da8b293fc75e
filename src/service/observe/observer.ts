/**
 * Observes the host: looks at links, paths, connections and subflows again and again, remembers what it needs to tell
 * rates, states and history, and lists what happens. What one look is made of, in order:
 *
 *   kernel's connections → the proxy's → subflows (socket-look) → rates (connection-table) → links → silence → paths
 *   (path-book) → history → events → listeners
 *
 * Pace: each half second while somebody watches, four times as often while connections carry data over several paths,
 * of which one may fall silent, else every two seconds; at once when a link has changed; never more than a twentieth of a
 * processor's time. Listeners hear of it each half second at most, and at once when a path or a link has changed.
 *
 * Invariants: a look that fails is logged once, and the next one is made all the same; what it tells is plain data;
 * after `stop` it holds nothing open. Memory: with 2,000 connections about 5 MB, with PATHS_KEPT_MAX paths 3 MB of
 * history, and 2,000 events.
 */
import { errorText, type Logger } from '../../base/index.ts';
import { RouteNetlink } from '../../netlink/index.ts';
import { AddressBook } from './address-book.ts';
import { noSuchConnection, readDetail, readPage, type Now } from './connection-list.ts';
import { ConnectionTable } from './connection-table.ts';
import { EventList } from './event-list.ts';
import { EventWatch } from './event-watch.ts';
import { PathHistoryBook } from './history.ts';
import { compareHost } from './host-changes-told.ts';
import { LinkMeter } from './link-meter.ts';
import type {
  ConnectionDetail,
  ConnectionPage,
  ConnectionQuery,
  History,
  HistoryQuery,
  ObservedEvent,
  Overview,
  PathReading,
  RecentEvents,
} from './model.ts';
import { CostMeter, Pace } from './pace.ts';
import { PathBook, readPath, type PathChange } from './path-book.ts';
import { readOverview } from './overview.ts';
import { ProgramNames } from './program-names.ts';
import type { ConnectionRecord, SubflowRecord } from './records.ts';
import { isWorthWatching, judgeSilence, msUntilMissing, noteArrivals } from './silence.ts';
import { SocketLook } from './socket-look.ts';
import type { HostReading, ObserverOptions, ObserverSources } from './sources.ts';
import { TunnelWatch } from './tunnel-watch.ts';

/** BOUNDED: texts of failures that were logged. */
const FAILURES_REMEMBERED_MAX = 100;

interface Opened {
  readonly netlink: RouteNetlink;
  readonly addresses: AddressBook;
  readonly sockets: SocketLook;
}

export class Observer {
  readonly #sources: ObserverSources;
  readonly #logger: Logger;
  readonly #netns: { readonly netns?: string };
  readonly #table = new ConnectionTable();
  readonly #links = new LinkMeter();
  readonly #paths = new PathBook();
  readonly #history = new PathHistoryBook();
  readonly #names = new ProgramNames();
  readonly #pace = new Pace();
  readonly #meter = new CostMeter();
  readonly #events: EventList;
  readonly #watch: EventWatch;
  readonly #tunnels: TunnelWatch | undefined;
  /** UNBOUNDED: as many as listen; those who let others listen bound theirs. */
  readonly #listeners = new Set<() => void>();
  readonly #loggedFailures = new Set<string>();
  #opened: Opened | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #host: HostReading | undefined;
  #lastLookMs = 0;
  #windowStartMs = 0;
  #wallMs = 0;
  #sampleMs = 0;
  #overview: Overview | undefined;

  constructor(options: ObserverOptions) {
    const { logger, netns, sources } = options;
    this.#sources = sources;
    this.#logger = logger;
    this.#netns = netns === undefined ? {} : { netns };
    this.#events = new EventList(logger);
    this.#watch = new EventWatch({
      ...this.#netns,
      logger,
      onEvent: (event) => this.#events.add(event),
      admitsMptcpEvent: (time) => this.#events.admits('mptcp', time),
      onMptcpEvent: (event) => this.#events.addAdmitted(event),
      onNetworkChange: () => this.#handleNetworkChange(),
    });
    // Tunnels are found by this process's own namespace.
    const here = netns === undefined;
    this.#tunnels = here ? new TunnelWatch((event) => this.#events.add(event)) : undefined;
  }

  /**
   * Looks for the first time; there is something to tell when this resolves.
   * @throws SystemError where the kernel cannot be asked about links
   */
  async start(): Promise<void> {
    if (this.#opened !== undefined) return;
    const netlink = RouteNetlink.open(this.#netns);
    const sockets = new SocketLook(this.#sources, this.#netns);
    this.#opened = { netlink, addresses: new AddressBook(netlink), sockets };
    this.#watch.start();
    await this.#runLook();
  }

  /** May be called again, and without a start. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#watch.stop();
    this.#names.stop();
    this.#opened?.sockets.close();
    this.#opened?.netlink.close();
    if (this.#opened !== undefined) this.#sources.close?.();
    this.#opened = undefined;
    this.#listeners.clear();
    await Promise.resolve();
  }

  // ── looking ──

  #schedule(): void {
    clearTimeout(this.#timer);
    // A look under way says when the next one is due, when it has ended.
    if (this.#opened === undefined || this.#isLooking) return;
    const waitMs = this.#pace.dueMs(this.#listeners.size > 0) - performance.now();
    this.#timer = setTimeout(() => void this.#runLook(), Math.max(0, Math.ceil(waitMs)));
    // Nobody waits for a look that nobody sees.
    if (this.#listeners.size === 0) this.#timer.unref();
  }

  #handleNetworkChange(): void {
    this.#opened?.addresses.invalidate();
    this.#sources.handleChange?.();
    this.lookNow();
  }

  /** The next look comes at once, or as soon as the pace allows. */
  lookNow(): void {
    this.#pace.hurry();
    this.#schedule();
  }

  async #runLook(): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined || this.#isLooking) return;
    this.#isLooking = true;
    const startMs = performance.now();
    this.#pace.begin();
    let isTold = false;
    try {
      await opened.sockets.read(this.#meter, () => this.#opened === opened);
      if (this.#opened === opened) isTold = this.#meter.run(() => this.#look(opened, performance.now()));
      this.#loggedFailures.clear();
    } catch (error) {
      this.#reportFailure(`a look at the host failed: ${errorText(error)}`);
    }
    this.#isLooking = false;
    if (this.#opened !== opened) return;
    this.#sampleMs = this.#meter.take();
    this.#pace.handleLook(startMs, performance.now(), this.#sampleMs);
    this.#overview = undefined;
    this.#schedule();
    if (!isTold) return;
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (error) {
        this.#reportFailure(`somebody who listens to looks failed: ${errorText(error)}`);
      }
    }
  }

  #reportFailure(text: string): void {
    if (this.#loggedFailures.has(text)) return;
    if (this.#loggedFailures.size < FAILURES_REMEMBERED_MAX) this.#loggedFailures.add(text);
    this.#logger.warn({}, text);
  }

  /** @returns whether it is time to tell of it */
  #look(opened: Opened, nowMs: number): boolean {
    const wallMs = Date.now();
    const isFirst = this.#table.look === 0;
    const sinceMs = nowMs - this.#windowStartMs;
    const windowMs = !isFirst && this.#pace.endsWindow(sinceMs) ? sinceMs : 0;
    const elapsedMs = isFirst ? 0 : nowMs - this.#lastLookMs;
    opened.sockets.fill(this.#table, this.#host?.paths ?? [], nowMs, windowMs);
    this.#readLinks(opened, nowMs, windowMs);
    const host = this.#sources.host();
    const changes = this.#judgePaths(host, nowMs, elapsedMs, windowMs);
    if (windowMs > 0) this.#history.add(wallMs, windowMs, this.#paths.paths());
    if (isFirst || windowMs > 0) this.#windowStartMs = nowMs;
    this.#lastLookMs = nowMs;
    this.#wallMs = wallMs;
    this.#tell(host, changes, wallMs);
    this.#host = host;
    this.#tunnels?.look(nowMs, this.#listeners.size > 0);
    this.#findPrograms(nowMs);
    return isFirst || windowMs > 0 || changes.length > 0 || this.#pace.isHurriedLook;
  }

  #readLinks({ addresses, netlink }: Opened, nowMs: number, windowMs: number): void {
    const readings = netlink.linksWithTraffic();
    this.#links.take(readings, windowMs);
    for (const { link } of readings) this.#watch.learnLink(link.index, link.name, link.flags);
    addresses.refresh(nowMs, ({ address, linkIndex }) => this.#watch.learnAddress(linkIndex, address));
  }

  #linkOf(subflow: SubflowRecord): string | undefined {
    const index =
      subflow.linkIndex === 0 ? this.#opened?.addresses.linkOf(subflow.localAddress) : subflow.linkIndex;
    return index === undefined ? undefined : this.#links.nameOf(index);
  }

  #judgePaths(host: HostReading, nowMs: number, elapsedMs: number, windowMs: number): PathChange[] {
    const linkOf = (subflow: SubflowRecord) => this.#linkOf(subflow);
    let isBusy = false;
    let awaitedMs = Infinity;
    this.#paths.begin(nowMs, host.paths);
    for (const subflow of this.#table.subflows()) {
      noteArrivals(subflow, elapsedMs);
      subflow.silence = judgeSilence(subflow, nowMs);
      isBusy ||= isWorthWatching(subflow);
      awaitedMs = Math.min(awaitedMs, msUntilMissing(subflow));
      this.#paths.carry(subflow, linkOf);
    }
    this.#pace.busy = isBusy;
    this.#pace.awaitedMs = awaitedMs;
    return this.#paths.end(windowMs, (link) => this.#links.stateOf(link));
  }

  #tell(host: HostReading, changes: readonly PathChange[], time: number): void {
    this.#events.settle(time);
    for (const { before, path, state, why } of changes) {
      const text = `path ${path.id} is ${state}${why === undefined ? '' : `: ${why}`}`;
      this.#history.mark({ time, path: path.id, state, text });
      const { address, link } = path;
      this.#events.add({ time, kind: 'path', event: state, text, fields: { link, address, before } });
    }
    if (this.#host === undefined) return;
    for (const event of compareHost(this.#host, host)) this.#events.add({ time, ...event });
  }

  #findPrograms(nowMs: number): void {
    for (const record of this.#table.connections()) {
      if (record.owner !== 'program' || record.program !== undefined) continue;
      const program = this.#names.of(record.inode);
      record.program = program?.name;
      record.pid = program?.pid;
    }
    this.#names.want(this.#inodes(), nowMs);
  }

  *#inodes(): Generator<number> {
    for (const { inode, owner } of this.#table.connections()) if (owner === 'program') yield inode;
  }

  // ── telling ──

  get #now(): Now {
    return { nowMs: performance.now(), wallMs: Date.now() };
  }

  /** Paths through which nothing comes although it should, without the price of an overview. */
  stalePaths(): PathReading[] {
    return this.#paths
      .paths()
      .filter(({ state }) => state === 'stale')
      .map(readPath);
  }

  overview(): Overview {
    this.#overview ??= readOverview({
      sources: this.#sources,
      host: this.#host,
      time: this.#wallMs,
      sample: this.#table.look,
      sampleMs: this.#sampleMs,
      sampleIntervalMs: this.#pace.toldIntervalMs(this.#listeners.size > 0),
      table: this.#table,
      links: this.#links,
      paths: this.#paths.paths().map(readPath),
      pathsOmitted: this.#paths.omitted,
      tunnels: this.#tunnels?.tunnels(performance.now()) ?? [],
    });
    return this.#overview;
  }

  history(query: HistoryQuery = {}): History {
    return this.#history.read(Date.now(), query);
  }

  connections(query: ConnectionQuery = {}): ConnectionPage {
    return readPage(this.#table.connections(), query, this.#now, this.#wallMs);
  }

  /** @throws WeftError `NO_SUCH_CONNECTION` */
  connection(id: string): ConnectionDetail {
    const record = this.#find(id);
    if (record === undefined) throw noSuchConnection(id);
    const origin = record.token === 0 ? undefined : this.#watch.originOf(record.token);
    return readDetail(record, this.#now, (path) => this.#paths.get(path), origin);
  }

  #find(id: string): ConnectionRecord | undefined {
    if (id.startsWith('m')) return this.#table.connectionOfToken(Number.parseInt(id.slice(1), 16));
    for (const record of this.#table.connections()) if (record.id === id) return record;
    return undefined;
  }

  recentEvents(): RecentEvents {
    return this.#events.recent();
  }

  /** Calls back after each look that is told. @returns what ends it */
  onSample(listener: () => void): () => void {
    const entry = () => listener();
    this.#listeners.add(entry);
    if (this.#listeners.size === 1) this.#schedule();
    return () => {
      this.#listeners.delete(entry);
      if (this.#listeners.size === 0) this.#timer?.unref();
    };
  }

  /** Calls back for each event. @returns what ends it */
  watch(listener: (event: ObservedEvent) => void): () => void {
    return this.#events.watch(listener);
  }

  /** Lists something that happened elsewhere. */
  record(event: Omit<ObservedEvent, 'time'>): void {
    this.#events.add({ time: Date.now(), ...event });
  }

  /** Records in memory, for tests of the bound. */
  get size(): { readonly connections: number; readonly subflows: number } {
    return this.#table.size;
  }
}
