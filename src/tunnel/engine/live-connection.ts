/**
 * A connection that runs: its paths with their sockets, what the data plane knows of it, and what it tells its peer
 * over the command port. Not here: which connections there are (connection-list.ts), routes and links (host-side.ts).
 *
 * Invariant: a socket is closed only after the data plane has answered that it does not use it any more, or has ended.
 */
import { errorText, formatIp, formatSocketAddress, parseIp, unmapV4, type Logger } from '../../base/index.ts';
import { monotonicMs, SystemError, type SocketAddress } from '../../native/index.ts';
import { formatAllPathsDown, formatPathChanged } from '../client/server-text.ts';
import { DEFAULT_BUFFER_DELAY_MS, type ConnectionConfig, type ConnectionFile } from '../config/model.ts';
import { unspecified } from '../config/section-reader.ts';
import { keyOf } from '../control/authentication.ts';
import { describeFailure } from '../control/exchange.ts';
import { ControlCommand } from '../control/message.ts';
import { emitPathChange, parsePathChange, PathStatus } from '../control/path-status.ts';
import { readConnectionCounters } from '../data/data-counters.ts';
import type { DataPlane } from '../data/data-plane.ts';
import { newCounterBlock, type DataConnection, type KeepaliveArrival } from '../data/protocol.ts';
import type { PathWord } from '../paths/path-state.ts';
import { nodeHmacSha256, nodeSessionNumber } from '../control/node-crypto.ts';
import type { PeerNews } from '../peer/types.ts';
import { PLAIN_HEADER_BYTES, SEQUENCED_HEADER_BYTES } from '../wire/data-header.ts';
import type { CommandPort } from './command-port.ts';
import { mappedAddress, PathLink } from './path-link.ts';
import type { PathHost } from './path-host.ts';
import { PathSocket, socketKey, type PathSocketOptions } from './path-socket.ts';
import type { TunnelConnectionStatus, TunnelEvent } from './types.ts';

/** An event without its time. */
export type EventBody = TunnelEvent extends infer Event
  ? Event extends TunnelEvent
    ? Omit<Event, 'atMs'>
    : never
  : never;

/** What connections share. */
export interface ConnectionSurroundings {
  readonly plane: DataPlane;
  readonly port: () => CommandPort<LiveConnection | 'create'>;
  readonly logger: Logger;
  readonly emit: (event: EventBody) => void;
  readonly print: (text: string) => void;
  /** Inner MTU, addresses or peers changed: routes and public addresses are to be looked at. */
  readonly onHostChange: () => void;
  /** `nextMs` may have become earlier. */
  readonly onDeadline: () => void;
}

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

const VIEWS_INTERVAL_MS = 100;
/** BOUNDED: free ports that are tried. */
const PORT_TRIES = 16;
/** Room that is left for inner packets whatever the paths say (RFC 8200 less a bit, RFC 791). */
const INNER_BYTES_MIN = 576;

const hasNoAddress = ({ config, host }: PathLink): boolean =>
  !host.isPresent && host.localAddress === unspecified(config.ipVersion);

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
  readonly #config: ConnectionConfig;
  readonly #outbound: SharedArrayBuffer;
  readonly #inbound: SharedArrayBuffer;
  readonly #outboundCounts: Float64Array;
  readonly #inboundCounts: Float64Array;
  /** Paths whose word is on its way over the command port. BOUNDED by the paths. */
  readonly #telling = new Set<number>();
  /** Of the sockets that have an address; 0 before the first. */
  #port = 0;
  /** Which usable path the next word goes over: another one after each that brought no answer. */
  #tries = 0;
  #commandAddress: SocketAddress | undefined;
  #isAllDownTold = false;
  #viewsAtMs = Infinity;
  #isRunning = false;
  #pushing: Promise<void> | undefined;
  #isPushWanted = false;
  /** Sockets that the data plane may still use. BOUNDED by the paths, a few times over. */
  #retired: PathSocket[] = [];

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
      onView: (_: PathLink, isAtOnce: boolean) => this.#noteView(isAtOnce),
      onDescription: () => this.#noteDescription(),
      onStatus: (link: PathLink, before: number) => this.#noteStatus(link, before),
      onPeer: (link: PathLink, news: PeerNews) => this.#notePeer(link, news),
      onWord: (link: PathLink, word: PathWord) => void this.#tell(link, word),
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
  }

  /** As configured. */
  get config(): ConnectionConfig {
    return this.#config;
  }

  get name(): string {
    return this.#config.name;
  }

  get isSequenced(): boolean {
    return this.#config.reorderWindow > 0 || this.#config.scheduler === 'redundant';
  }

  /** Port of the data sockets; 0 before they are open. */
  get localPort(): number {
    return this.#port === 0 ? this.#config.localPort : this.#port;
  }

  /** Largest inner packet that goes through each path in use. */
  get innerMtu(): number {
    const usable = this.links.filter((link) => link.isUsable);
    const of = usable.length > 0 ? usable : this.links;
    const room = Math.min(...of.map((link) => link.datagramBytesMax), 65_535);
    const header = this.isSequenced ? SEQUENCED_HEADER_BYTES : PLAIN_HEADER_BYTES;
    return Math.max(INNER_BYTES_MIN, room - header);
  }

  /**
   * Takes the connection into the data plane. The paths have sockets.
   * @throws WeftError DATA_PLANE_ENDED
   */
  async start(): Promise<void> {
    this.#isRunning = true;
    await this.push();
    this.tick(monotonicMs());
  }

  /** Tells the data plane nothing more: another one with the same number is to take its place. */
  async pause(): Promise<void> {
    this.#isRunning = false;
    await this.#pushing?.catch(() => {});
  }

  /** After `pause`, when nothing came of it. */
  resume(): void {
    this.#isRunning = true;
  }

  /** Takes it out again and closes its sockets. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    try {
      await this.#pushing;
      await this.#surroundings.plane.removeConnection(this.id);
    } catch (error) {
      // The threads have ended, or will before the sockets' numbers can be another's.
      this.#surroundings.logger.debug({ error: errorText(error) }, 'a connection outlived the data plane');
    } finally {
      this.closeSockets();
    }
  }

  /** For who knows that the data plane does not use them. */
  closeSockets(): void {
    for (const link of this.links) link.takeSocket()?.close();
    for (const socket of this.#retired.splice(0)) socket.close();
  }

  /**
   * Opens the sockets of all paths, on one port. All or none. Sockets of `former`, which this takes the place of, are
   * taken over where they fit, so that nothing that arrives meanwhile is lost.
   * @throws SystemError EADDRINUSE …
   */
  openSockets(former?: LiveConnection): void {
    const wanted = this.#config.localPort;
    const heirlooms = new Map<string, PathLink>();
    for (const link of former?.links ?? []) {
      if (link.socket?.key !== undefined) heirlooms.set(link.socket.key, link);
    }
    if (wanted === 0 && former !== undefined) this.#port = former.#port;
    for (let tries = 1; ; tries++) {
      const opened: PathSocket[] = [];
      const taken: PathLink[] = [];
      try {
        for (const link of this.links) {
          const options = this.#socketOptions(link);
          const key = socketKey(options);
          const heirloom = key === undefined ? undefined : heirlooms.get(key);
          if (heirloom?.socket !== undefined && !taken.includes(heirloom)) {
            taken.push(heirloom);
            link.setSocket(heirloom.socket);
            continue;
          }
          const socket = PathSocket.open(options, this.#surroundings.logger);
          opened.push(socket);
          link.setSocket(socket);
          if (!hasNoAddress(link) && this.#port === 0) this.#port = socket.port;
        }
        for (const link of taken) link.takeSocket();
        return;
      } catch (error) {
        for (const link of this.links) link.takeSocket();
        for (const socket of opened) socket.close();
        this.#port = 0;
        const isTaken = error instanceof SystemError && error.code === 'EADDRINUSE';
        // Any port will do, but it must be free on the addresses of all paths.
        if (!isTaken || wanted !== 0 || tries >= PORT_TRIES) throw error;
      }
    }
  }

  #socketOptions(link: PathLink): PathSocketOptions {
    const { config, host } = link;
    // Without an address the path needs a descriptor all the same; nothing goes over it until there is one.
    const hasNone = hasNoAddress(link);
    const sharing = this.links.filter(
      (other) => other.host.localAddress === host.localAddress && other.config.ipVersion === config.ipVersion,
    );
    const isShared = sharing.length > 1 && link.remoteAddress !== unspecified(config.ipVersion);
    return {
      ipVersion: config.ipVersion,
      localAddress: host.localAddress,
      port: hasNone ? 0 : this.localPort,
      ...(host.isTied && host.linkIndex !== undefined && { linkIndex: host.linkIndex }),
      ...(isShared && !hasNone && { peer: { address: link.remoteAddress, port: link.remotePort } }),
    };
  }

  /** What the host has for the paths has been read anew: sockets follow their addresses. */
  setHosts(hosts: readonly PathHost[]): void {
    const nowMs = monotonicMs();
    let hasMoved = false;
    for (const [index, link] of this.links.entries()) {
      const host = hosts[index];
      if (host === undefined) continue;
      link.setHost(host, nowMs);
      if (link.socket === undefined || link.socket.key === socketKey(this.#socketOptions(link))) continue;
      hasMoved = this.#rebind(link) || hasMoved;
    }
    if (hasMoved && this.#isRunning) void this.push().catch(() => {});
    this.#surroundings.onDeadline();
  }

  #rebind(link: PathLink): boolean {
    const { emit, logger } = this.#surroundings;
    const of = { file: this.file, name: this.name, path: link.index };
    const address = link.socket?.localAddress;
    try {
      const before = link.setSocket(PathSocket.open(this.#socketOptions(link), logger));
      if (!hasNoAddress(link) && this.#port === 0) this.#port = link.socket?.port ?? 0;
      if (before !== undefined) this.#retired.push(before);
      if (address === link.privateAddress) return true;
      link.setFoundAddress(undefined);
      const { privateAddress, publicAddress } = link;
      logger.info({ ...of, privateAddress }, 'a path has another address');
      emit({ kind: 'address', ...of, privateAddress, publicAddress });
      return true;
    } catch (error) {
      emit({ kind: 'trouble', text: `path ${link.index} of ${this.file}: ${errorText(error)}` });
      return false;
    }
  }

  /** Tells the data plane everything anew; calls that come meanwhile are served by one more. */
  push(): Promise<void> {
    this.#isPushWanted = true;
    this.#pushing ??= (async () => {
      try {
        while (this.#isPushWanted && this.#isRunning) {
          this.#isPushWanted = false;
          const retired = this.#retired.splice(0);
          try {
            await this.#surroundings.plane.setConnection(this.#describe());
          } catch (error) {
            this.#retired.push(...retired);
            throw error;
          }
          for (const socket of retired) socket.close();
        }
      } finally {
        this.#pushing = undefined;
      }
    })();
    return this.#pushing;
  }

  #describe(): DataConnection {
    const config = this.#config;
    const networks = config.networks;
    return {
      id: this.id,
      order: this.order,
      ipVersion: config.ipVersion,
      localAddress: parseIp(config.localAddress) ?? new Uint8Array(4),
      remoteAddress: parseIp(config.remoteAddress) ?? new Uint8Array(4),
      sources: networks.map(({ source }) => source),
      destinations: networks.map(({ destination }) => destination),
      isSequenced: this.isSequenced,
      reorderWindow: config.reorderWindow,
      maxDelayMs: config.maxBufferDelayMs || DEFAULT_BUFFER_DELAY_MS,
      scheduler: config.scheduler,
      // Whether the peer sends copies is its own choice; the original never does.
      dropsCopies: config.scheduler === 'redundant' || this.links.some((link) => link.isWeft),
      innerBytesMax: this.innerMtu,
      paths: this.links.map((link) => link.description()),
      outboundCounters: this.#outbound,
      inboundCounters: this.#inbound,
    };
  }

  tick(nowMs: number): void {
    for (const link of this.links) {
      link.setLast(!this.links.some((other) => other !== link && other.isUsable), nowMs);
      link.tick(nowMs);
    }
    if (nowMs >= this.#viewsAtMs) this.#sendViews();
  }

  get nextMs(): number {
    let next = this.#viewsAtMs;
    for (const link of this.links) next = Math.min(next, link.nextMs);
    return next;
  }

  handleKeepalive(arrival: KeepaliveArrival): void {
    this.links[arrival.path]?.handleKeepalive(arrival, monotonicMs());
    this.#surroundings.onDeadline();
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

  /** Everything as it is now, for `show status`. */
  currentConfig(): ConnectionConfig {
    return {
      ...this.#config,
      localPort: this.localPort,
      localCommandPort: this.#surroundings.port().port,
      paths: this.links.map((link) => ({
        ...link.config,
        publicAddress: link.publicAddress,
        privateAddress: link.privateAddress,
        gatewayAddress: link.gatewayAddress,
        remoteAddress: link.remoteAddress,
        status: link.status,
      })),
    };
  }

  /** What is saved: as configured, but for paths that a hand set down or up. */
  savedConfig(): ConnectionConfig {
    return {
      ...this.#config,
      paths: this.links.map((link) => ({ ...link.config, status: link.savedStatus })),
    };
  }

  /** As a file of the folder. */
  get asFile(): ConnectionFile {
    return { file: this.file, connection: this.#config };
  }

  get sentPackets(): number {
    return readConnectionCounters(this.#outboundCounts, this.#inboundCounts, 0).sent.packets;
  }

  toStatus(nowMs: number): TunnelConnectionStatus {
    const config = this.#config;
    const { sent, received } = readConnectionCounters(this.#outboundCounts, this.#inboundCounts, 0);
    return {
      file: this.file,
      name: config.name,
      origin: this.origin,
      ipVersion: config.ipVersion,
      localAddress: config.localAddress,
      remoteAddress: config.remoteAddress,
      localPort: this.localPort,
      remotePort: config.remotePort,
      remoteCommandPort: config.remoteCommandPort,
      authType: config.authType,
      scheduler: config.scheduler,
      reorderWindow: config.reorderWindow,
      maxDelayMs: config.maxBufferDelayMs || DEFAULT_BUFFER_DELAY_MS,
      networks: config.networks.map(({ source, destination }) => ({
        source: `${source.address}/${source.length}`,
        destination: `${destination.address}/${destination.length}`,
      })),
      innerMtu: this.innerMtu,
      sentPackets: sent.packets,
      sentBytes: sent.bytes,
      noPath: sent.noPath,
      tooBig: sent.tooBig,
      receivedPackets: received.packets,
      receivedBytes: received.bytes,
      late: received.late,
      duplicate: received.duplicate,
      missing: received.missing,
      restarts: received.restarts,
      waiting: received.waiting,
      copies: received.copies,
      paths: this.links.map((link) => link.toStatus(nowMs)),
    };
  }

  #noteView(isAtOnce: boolean): void {
    if (isAtOnce) {
      this.#sendViews();
      return;
    }
    const { scheduler } = this.#config;
    if (scheduler !== 'adaptive' && scheduler !== 'lowest-rtt') return;
    if (this.#viewsAtMs === Infinity) this.#viewsAtMs = monotonicMs() + VIEWS_INTERVAL_MS;
  }

  #sendViews(): void {
    this.#viewsAtMs = Infinity;
    if (!this.#isRunning) return;
    this.#surroundings.plane.setViews(
      this.id,
      this.links.map((link) => link.view()),
    );
  }

  #noteDescription(): void {
    if (!this.#isRunning) return;
    void this.push().catch(() => {});
    this.#surroundings.onHostChange();
  }

  #noteStatus(link: PathLink, before: number): void {
    const { emit, logger } = this.#surroundings;
    const { index, isUsable, status } = link;
    const of = { file: this.file, name: this.name, path: index };
    logger.info({ ...of, status, before }, isUsable ? 'a path is up' : 'a path is down');
    emit({ kind: 'path-status', ...of, status, before, isUsable });
    this.#isAllDownTold = false;
    // The room of the connection is that of its usable paths.
    this.#noteDescription();
  }

  #notePeer(link: PathLink, news: PeerNews): void {
    const { emit, logger, onHostChange } = this.#surroundings;
    const of = { file: this.file, name: this.name, path: link.index };
    const tell = (what: 'weft' | 'original' | 'restarted' | 'moved', text: string) => {
      logger.info(of, text);
      emit({ kind: 'peer', ...of, news: what, text });
    };
    if (news.peer !== undefined) {
      tell(news.peer, news.peer === 'weft' ? 'the peer is Weft' : 'the peer is not Weft any more');
    }
    if (news.isRestarted) tell('restarted', 'the peer was started anew');
    if (news.moved !== undefined) {
      tell('moved', `the peer is at ${link.remoteAddress} port ${link.remotePort} now`);
    }
    if (news.hasNewMtu) emit({ kind: 'mtu', file: this.file, path: link.index, mtu: link.mtu });
    if (news.moved !== undefined || news.hasNewObservedAddress) onHostChange();
  }

  /**
   * The peer's command port is seen here: behind a translator it is not where the configuration says. For requests that
   * were authentic only.
   */
  learnCommandAddress(address: SocketAddress): void {
    if (this.#config.authType === 2) this.#commandAddress = address;
  }

  /** Where the peer is told of a path: over each path that is good, first where it was last heard. */
  #targets(link: PathLink, word: PathWord): { readonly to: SocketAddress; readonly via?: PathLink }[] {
    const port = this.#config.remoteCommandPort;
    const usable = this.links.filter((other) => other.isUsable || (other === link && word === PathStatus.ok));
    const targets = usable.map((via) => ({ to: { address: via.remoteAddress, port }, via }));
    const learned = this.#commandAddress;
    if (learned === undefined || targets.length === 0) return targets;
    const isKnown = targets.some(({ to }) => to.address === learned.address && to.port === learned.port);
    return isKnown ? targets : [{ to: learned }, ...targets];
  }

  /** Tells the peer over the command port what became of a path, over the first path that is good. */
  async #tell(link: PathLink, word: PathWord): Promise<void> {
    if (!this.#isRunning || this.#telling.has(link.index)) return;
    const { emit, logger, print } = this.#surroundings;
    const targets = this.#targets(link, word);
    const target = targets[this.#tries % Math.max(1, targets.length)];
    if (target === undefined) {
      if (!this.#isAllDownTold) print(formatAllPathsDown(this.name));
      this.#isAllDownTold = true;
      return;
    }
    const config = this.#config;
    const { to, via } = target;
    this.#telling.add(link.index);
    try {
      const outcome = await this.#surroundings.port().exchange({
        request: {
          command: ControlCommand.pathStatus,
          status: word,
          authType: config.authType,
          ipVersion: config.ipVersion,
          ipLocal: mappedAddress(config.localAddress),
          ipRemote: mappedAddress(config.remoteAddress),
          body: emitPathChange({
            publicAddress: mappedAddress(link.publicAddress),
            remoteAddress: mappedAddress(link.remoteAddress),
          }),
        },
        key: keyOf(config.authKey),
        to,
        ...(via?.origin !== undefined && { origin: via.origin }),
      });
      const isDelivered = outcome.answered && outcome.code === 0;
      if (isDelivered) link.wordDelivered(word);
      else this.#tries++;
      const text = isDelivered ? 'done' : describeFailure(outcome);
      emit({
        kind: 'exchange',
        direction: 'out',
        command: 'path-status',
        file: this.file,
        peer: formatSocketAddress(to.address, to.port),
        code: outcome.code,
        text,
      });
    } catch (error) {
      logger.debug({ file: this.file, error: errorText(error) }, 'the peer could not be told of a path');
    } finally {
      this.#telling.delete(link.index);
      this.#surroundings.onDeadline();
    }
  }
}
