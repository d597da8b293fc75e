/**
 * A connection that runs: its paths, and what becomes of what they say. Not here: which connections there are
 * (connection-set.ts), routes and links (host-side.ts), sockets (connection-sockets.ts), what the data plane is told
 * (plane-teller.ts), what the peer is told over the command port (path-teller.ts), what the log and who watches are told
 * (connection-news.ts).
 *
 * Invariant: a socket is closed only after the data plane has answered that it does not use it any more, or has ended.
 */
import { errorText, formatIp, unmapV4 } from '../../base/index.ts';
import { monotonicMs, monotonicUs, type SocketAddress } from '../../native/index.ts';
import { formatPathChanged } from '../client/server-text.ts';
import type { ConnectionConfig, ConnectionFile } from '../config/model.ts';
import { keyOf } from '../control/authentication.ts';
import { nodeHmacSha256, nodeSessionNumber } from '../control/node-crypto.ts';
import { parsePathChange, PathStatus } from '../control/path-status.ts';
import { readConnectionCounters } from '../data/data-counters.ts';
import { newCounterBlock, type KeepaliveArrival } from '../data/protocol.ts';
import { TokenBucket } from '../data/token-bucket.ts';
import type { PathWord } from '../paths/path-state.ts';
import type { PeerNews } from '../peer/types.ts';
import { ConnectionNews } from './connection-news.ts';
import { reportConnection } from './connection-report.ts';
import { ConnectionSockets } from './connection-sockets.ts';
import { PathLink } from './path-link.ts';
import type { PathHost } from './path-host.ts';
import { PathTeller } from './path-teller.ts';
import { PlaneTeller } from './plane-teller.ts';
import { StraySockets } from './stray-sockets.ts';
import { mappedAddress, type ConnectionSurroundings } from './surroundings.ts';
import type { TunnelConnectionStatus } from './types.ts';

export interface LiveConnectionOptions {
  readonly id: number;
  readonly order: number;
  readonly file: string;
  readonly origin: 'file' | 'peer';
  readonly config: ConnectionConfig;
  /** What the file says, where that is not `config`. */
  readonly source?: ConnectionConfig;
  /** Of each path. */
  readonly hosts: readonly PathHost[];
  /** The one with the same number that this takes the place of; counters go on. */
  readonly former?: LiveConnection;
}

/**
 * BOUNDED: the peer's requests over the command port, a second and at once; a peer with 20 paths says up or down for each,
 * and without a key anybody can be the peer.
 */
const REQUESTS = { perSecond: 10, burst: 64 } as const;

export class LiveConnection {
  readonly id: number;
  readonly order: number;
  readonly file: string;
  /** `peer` until it is saved. */
  origin: 'file' | 'peer';
  /** What its file says, to see whether that has changed. */
  source: ConnectionConfig;
  readonly links: readonly PathLink[];
  readonly #surroundings: ConnectionSurroundings;
  #config: ConnectionConfig;
  readonly #outbound: SharedArrayBuffer;
  readonly #inbound: SharedArrayBuffer;
  readonly #outboundCounts: Float64Array;
  readonly #inboundCounts: Float64Array;
  readonly #sockets: ConnectionSockets;
  readonly #strays: StraySockets;
  readonly #teller: PathTeller;
  readonly #planeTeller: PlaneTeller;
  readonly #news: ConnectionNews;
  #rebindTrouble = '';
  readonly #requests = new TokenBucket(REQUESTS.perSecond, REQUESTS.burst);

  constructor(options: LiveConnectionOptions, surroundings: ConnectionSurroundings) {
    const { config } = options;
    this.id = options.id;
    this.order = options.order;
    this.file = options.file;
    this.origin = options.origin;
    this.source = options.source ?? options.config;
    const { former } = options;
    this.#outbound = former === undefined ? newCounterBlock() : former.#outbound;
    this.#inbound = former === undefined ? newCounterBlock() : former.#inbound;
    this.#outboundCounts = new Float64Array(this.#outbound);
    this.#inboundCounts = new Float64Array(this.#inbound);
    this.#config = config;
    this.#surroundings = surroundings;
    const nowMs = monotonicMs();
    const session = {
      ipVersion: config.ipVersion,
      ipLocal: mappedAddress(config.localAddress),
      ipRemote: mappedAddress(config.remoteAddress),
      ...(config.authType === 2 && { key: keyOf(config.authKey) }),
      hmac: nodeHmacSha256,
    };
    const events = {
      onView: (_: PathLink, isAtOnce: boolean) => this.#planeTeller.handleView(isAtOnce),
      onDescription: () => this.#noteDescription(),
      onStatus: (link: PathLink, before: number) => this.#noteStatus(link, before),
      onPeer: (link: PathLink, news: PeerNews) => this.#notePeer(link, news),
      onWord: (link: PathLink, word: PathWord) => {
        if (this.#planeTeller.isRunning) void this.#teller.tell(link, word);
      },
    };
    this.links = config.paths.map(
      (path, index) =>
        new PathLink(
          {
            index,
            config: path,
            remotePort: config.remotePort,
            host: options.hosts[index]!,
            session: { ...session, sessionNumber: nodeSessionNumber() },
            outboundCounters: this.#outbound,
            inboundCounters: this.#inbound,
            logger: surroundings.logger,
            events,
          },
          nowMs,
        ),
    );
    this.#sockets = new ConnectionSockets(this.links, config.localPort, surroundings.logger);
    this.#strays = new StraySockets({
      links: this.links,
      logger: surroundings.logger,
      learns: config.authType === 2,
      onKeepalive: (link, facts) => this.#handleStray(link, facts),
    });
    this.#planeTeller = new PlaneTeller({
      id: this.id,
      order: this.order,
      config,
      links: this.links,
      sockets: this.#sockets,
      outboundCounters: this.#outbound,
      inboundCounters: this.#inbound,
      plane: surroundings.plane,
    });
    this.#news = new ConnectionNews(this.file, config.name, surroundings);
    this.#teller = new PathTeller(this.file, config, this.links, surroundings);
  }

  /** As configured, with weights as they were set since. */
  get config(): ConnectionConfig {
    return this.#config;
  }

  get name(): string {
    return this.#config.name;
  }

  /** Port of the data sockets; 0 before they are open. */
  get localPort(): number {
    return this.#sockets.port;
  }

  /** Largest inner packet that goes through each path in use. */
  get innerMtu(): number {
    return this.#planeTeller.innerMtu;
  }

  /**
   * Takes the connection into the data plane. The paths have sockets.
   * @throws WeftError DATA_PLANE_ENDED
   */
  async start(): Promise<void> {
    this.#noteLast();
    await this.#planeTeller.start();
    this.tick(monotonicMs());
  }

  /** Tells the data plane nothing more: another one with the same number is to take its place. */
  pause(): Promise<void> {
    return this.#planeTeller.pause();
  }

  /** After `pause`, when nothing came of it. */
  resume(): void {
    this.#strays.follow(this.#sockets.shared);
    this.#planeTeller.resume();
  }

  /** Takes it out again and closes its sockets. */
  async stop(): Promise<void> {
    try {
      await this.#planeTeller.remove();
    } catch (error) {
      // The threads have ended, or will before the sockets' numbers can be another's.
      this.#surroundings.logger.debug({ error: errorText(error) }, 'a connection outlived the data plane');
    } finally {
      this.closeSockets();
    }
  }

  /** For who knows that the data plane does not use them. */
  closeSockets(): void {
    this.#strays.close();
    this.#sockets.closeAll();
  }

  /**
   * Opens the sockets of all paths. All or none. Those of `former`, which this takes the place of, are taken over where
   * they fit, so that nothing that arrives meanwhile is lost.
   * @throws SystemError EADDRINUSE …
   */
  openSockets(former?: LiveConnection): void {
    if (former === undefined) this.#sockets.open();
    else this.#sockets.open(former.#sockets);
    if (former !== undefined) former.#strays.close();
    this.#strays.follow(this.#sockets.shared);
  }

  /** What the host has for the paths has been read anew: sockets follow their addresses. */
  setHosts(hosts: readonly PathHost[]): void {
    const nowMs = monotonicMs();
    let hasMoved = false;
    for (const [index, link] of this.links.entries()) {
      const host = hosts[index];
      if (host === undefined) continue;
      link.setHost(host, nowMs);
      if (this.#sockets.isOutdated(link)) hasMoved = this.#rebind(link) || hasMoved;
    }
    if (hasMoved) this.#strays.follow(this.#sockets.shared);
    if (hasMoved && this.#planeTeller.isRunning) void this.#planeTeller.push().catch(() => {});
    this.#surroundings.onDeadline();
  }

  #rebind(link: PathLink): boolean {
    try {
      const hasAddress = this.#sockets.replace(link);
      this.#rebindTrouble = '';
      if (!hasAddress) return true;
      link.setFoundAddress(undefined);
      this.#news.tellAddress(link);
      return true;
    } catch (error) {
      const text = `path ${link.index} of ${this.file}: ${errorText(error)}`;
      // It is tried again with each look at the links.
      if (text !== this.#rebindTrouble) this.#surroundings.emit({ kind: 'trouble', text });
      this.#rebindTrouble = text;
      return false;
    }
  }

  tick(nowMs: number): void {
    for (const link of this.links) link.tick(nowMs);
    this.#planeTeller.tick(nowMs);
  }

  get nextMs(): number {
    let next = this.#planeTeller.nextMs;
    for (const link of this.links) next = Math.min(next, link.nextMs);
    return next;
  }

  handleKeepalive(arrival: KeepaliveArrival): void {
    this.links[arrival.path]?.handleKeepalive(arrival, monotonicMs());
    this.#surroundings.onDeadline();
  }

  /** It came to none of the paths' sockets, and is of this one's peer if it is authentic. */
  #handleStray(
    link: PathLink,
    facts: Omit<KeepaliveArrival, 'kind' | 'id' | 'path' | 'receivedPackets' | 'receivedBytes'>,
  ): void {
    if (!this.#planeTeller.isRunning) return;
    const { received } = link.traffic.counters();
    const counts = { receivedPackets: received.packets, receivedBytes: received.bytes };
    this.handleKeepalive({ ...facts, ...counts, kind: 'keepalive', id: this.id, path: link.index });
  }

  handleTooLong(path: number, bytes: number): void {
    this.links[path]?.handleTooLong(bytes, monotonicMs());
  }

  /** The body of the peer's "path status change". @returns whether a path matched */
  handlePathChange(body: Uint8Array, status: number): boolean {
    const change = parsePathChange(body);
    if (change === undefined) return false;
    const theirs = unmapV4(formatIp(change.publicAddress));
    const ours = unmapV4(formatIp(change.remoteAddress));
    const link = this.#findPath(ours, theirs);
    if (link === undefined) return false;
    const word: PathWord = status === PathStatus.ok ? PathStatus.ok : PathStatus.down;
    link.handleWord(word, monotonicMs());
    this.#surroundings.print(formatPathChanged(word, link.publicAddress, link.remoteAddress));
    this.#surroundings.onDeadline();
    return true;
  }

  /** By both addresses; where a translator changed one of them, by the other, if one path only has it. */
  #findPath(publicAddress: string, remoteAddress: string): PathLink | undefined {
    const hasPublic = (link: PathLink) =>
      link.publicAddress === publicAddress || link.config.publicAddress === publicAddress;
    const hasRemote = (link: PathLink) =>
      link.remoteAddress === remoteAddress || link.config.remoteAddress === remoteAddress;
    const exact = this.links.find((link) => hasPublic(link) && hasRemote(link));
    if (exact !== undefined) return exact;
    for (const has of [hasRemote, hasPublic]) {
      const found = this.links.filter(has);
      if (found.length === 1) return found[0];
    }
    return undefined;
  }

  /** `mpt path up|down`. @returns whether there is such a path */
  setPathByHand(publicAddress: string, remoteAddress: string, isUp: boolean): boolean {
    const matching = this.links.filter(
      (link) =>
        (link.publicAddress === publicAddress || link.config.publicAddress === publicAddress) &&
        (link.remoteAddress === remoteAddress || link.config.remoteAddress === remoteAddress),
    );
    for (const link of matching) link.setByHand(isUp, monotonicMs());
    this.#surroundings.onDeadline();
    return matching.length > 0;
  }

  /** One path, by its index, which is there. */
  setOnePathByHand(index: number, isUp: boolean): void {
    this.links[index]?.setByHand(isUp, monotonicMs());
    this.#surroundings.onDeadline();
  }

  /** Takes effect with the next packet; what is on its way stays there. @param weight 1 to 10,000 */
  setPathWeight(index: number, weight: number): void {
    const link = this.links[index];
    if (link === undefined || link.config.weightOut === weight) return;
    link.setWeight(weight);
    this.#config = { ...this.#config, paths: this.links.map(({ config }) => config) };
    this.#planeTeller.handleView(true);
    this.#news.tellWeights(this.links, this.origin);
  }

  /** `mpt int IF up`: what was set down by hand on that link is up again. */
  setUpOnLink(name: string): void {
    for (const link of this.links) if (link.host.linkName === name) link.setByHand(true, monotonicMs());
    this.#surroundings.onDeadline();
  }

  /** As a file of the folder. */
  get asFile(): ConnectionFile {
    return { file: this.file, connection: this.#config };
  }

  get sentPackets(): number {
    return readConnectionCounters(this.#outboundCounts, this.#inboundCounts, 0).sent.packets;
  }

  toStatus(nowMs: number): TunnelConnectionStatus {
    return reportConnection(
      this,
      readConnectionCounters(this.#outboundCounts, this.#inboundCounts, 0),
      nowMs,
    );
  }

  /** Whether one more request of the peer may be executed now. */
  mayTakeRequest(): boolean {
    return this.#requests.take(monotonicUs());
  }

  /** The peer's command port is seen there; for requests that were authentic only. */
  learnCommandAddress(address: SocketAddress): void {
    this.#teller.learn(address);
  }

  #noteDescription(): void {
    if (!this.#planeTeller.isRunning) return;
    void this.#planeTeller.push().catch(() => {});
    this.#surroundings.onHostChange();
  }

  #noteStatus(link: PathLink, before: number): void {
    this.#news.tellStatus(link, before);
    this.#teller.handleChange();
    this.#noteLast();
    // The room of the connection is that of its usable paths.
    this.#noteDescription();
  }

  #noteLast(): void {
    const nowMs = monotonicMs();
    for (const link of this.links) {
      link.setLast(!this.links.some((other) => other !== link && other.isUsable), nowMs);
    }
  }

  #notePeer(link: PathLink, news: PeerNews): void {
    this.#news.tellPeer(link, news);
    if (news.moved !== undefined || news.hasNewObservedAddress) this.#surroundings.onHostChange();
  }
}
