/**
 * One path of a live connection: its state and its talk with the peer, and what follows from either. Not here: what is
 * sent (path-sender.ts), what is counted (path-traffic.ts), what the data plane is told of it (path-description.ts), which
 * socket it has (connection-sockets.ts).
 *
 * Invariant: `status`, `isUsable` and `isHopeful` change only together with the events that tell the connection so.
 */
import { formatIp, unmapV4, type Logger } from '../../base/index.ts';
import type { DatagramOrigin } from '../../native/index.ts';
import type { PathConfig } from '../config/model.ts';
import { unspecified } from '../config/section-reader.ts';
import type { KeepaliveArrival } from '../data/protocol.ts';
import { PathState, type PathTimers, type PathWord } from '../paths/path-state.ts';
import { PeerSession } from '../peer/peer-session.ts';
import type { PeerNews, PeerSessionOptions } from '../peer/types.ts';
import type { PathHost } from './path-host.ts';
import { PathSender, remoteAt } from './path-sender.ts';
import { kernelPathMtu, type PathSocket } from './path-socket.ts';
import { PathTraffic } from './path-traffic.ts';
import { mappedAddress } from './surroundings.ts';

/** What a path tells its connection. */
export interface PathEvents {
  /** Its status, usability or measures changed: `isAtOnce` for what must not wait. */
  readonly onView: (link: PathLink, isAtOnce: boolean) => void;
  /** The data plane's description changed: MTU or address. */
  readonly onDescription: (link: PathLink) => void;
  readonly onStatus: (link: PathLink, before: number) => void;
  readonly onPeer: (link: PathLink, news: PeerNews) => void;
  /** The peer is to be told over the command port; `PathLink.wordDelivered` when it was. */
  readonly onWord: (link: PathLink, word: PathWord) => void;
}

export interface PathLinkOptions {
  readonly index: number;
  readonly config: PathConfig;
  readonly remotePort: number;
  readonly host: PathHost;
  /** Of the session, except what the path knows itself. */
  readonly session: Omit<PeerSessionOptions, 'pathIpVersion' | 'linkMtu' | 'timers'>;
  readonly outboundCounters: SharedArrayBuffer;
  readonly inboundCounters: SharedArrayBuffer;
  readonly logger: Logger;
  readonly events: PathEvents;
}

/** Outer IP and UDP headers. */
export const outerBytes = (ipVersion: 4 | 6): number => (ipVersion === 6 ? 48 : 28);

/** What a kernel without Weft at the other end said of the path's MTU is forgotten after that (RFC 1191 section 6.3). */
const KERNEL_MTU_MEMORY_MS = 600_000;

export class PathLink {
  readonly index: number;
  #config: PathConfig;
  readonly #options: PathLinkOptions;
  readonly state: PathState;
  readonly session: PeerSession;
  readonly traffic: PathTraffic;
  readonly #sender: PathSender;
  #host: PathHost;
  /** What the network or the peer said that the public address is. */
  #foundAddress: string | undefined;
  /** The server that is being asked for the public address, for its route. */
  resolver: string | undefined;
  #linkMtu: number;
  #kernelMtu = Infinity;
  #kernelMtuUntilMs = Infinity;
  /** What `state` works with. */
  #timers: PathTimers;
  #isLast = false;
  #status: number;
  #isUsable: boolean;
  #isHopeful = false;
  #isLinkUp: boolean;
  #isWeft = false;
  #heardMs: number | undefined;

  constructor(options: PathLinkOptions, nowMs: number) {
    const { config, index } = options;
    this.index = index;
    this.#config = config;
    this.#options = options;
    const timers: PathTimers = {
      keepaliveMs: config.keepaliveTimeS * 1000,
      deadMs: config.deadTimeS * 1000,
    };
    this.state = new PathState(config.status, timers, nowMs);
    this.#timers = timers;
    this.#host = options.host;
    this.#linkMtu = options.host.linkMtu;
    this.session = new PeerSession(
      {
        ...options.session,
        pathIpVersion: config.ipVersion,
        linkMtu: this.#linkMtu,
        timers,
        ...(config.remoteAddress !== unspecified(config.ipVersion) && {
          remote: { address: mappedAddress(config.remoteAddress), port: options.remotePort },
        }),
      },
      nowMs,
    );
    this.#isLinkUp = options.host.isUp;
    this.state.handleLink(options.host.isUp, nowMs);
    this.#status = this.state.status;
    this.#isUsable = this.state.isUsable;
    this.traffic = new PathTraffic(index, options.outboundCounters, options.inboundCounters, nowMs);
    this.#sender = new PathSender(remoteAt(config.remoteAddress, options.remotePort), {
      ipVersion: config.ipVersion,
      state: this.state,
      session: this.session,
      traffic: this.traffic,
      onWord: (word) => options.events.onWord(this, word),
      onShrunk: () => options.events.onDescription(this),
    });
  }

  /** As configured, with the weight as it was set since. */
  get config(): PathConfig {
    return this.#config;
  }

  /** The data plane is the caller's to tell. */
  setWeight(weightOut: number): void {
    this.#config = { ...this.#config, weightOut };
  }

  get socket(): PathSocket | undefined {
    return this.#sender.socket;
  }

  /** Takes a socket; the one before is returned and is the caller's to close. */
  setSocket(socket: PathSocket): PathSocket | undefined {
    const before = this.#sender.socket;
    this.#sender.socket = socket;
    socket.setProbing(this.#isWeft);
    return before;
  }

  /** What the host has for the path now. */
  get host(): PathHost {
    return this.#host;
  }

  get privateAddress(): string {
    return this.#host.localAddress;
  }

  /** What status shows: the gateway, or the own address where there is none. */
  get gatewayAddress(): string {
    return this.#host.gateway.shown;
  }

  /** What the peer knows the path by: as configured, else as found out, else the private one. */
  get publicAddress(): string {
    const { publicAddress } = this.config;
    if (this.config.publicIsPrivate) return this.privateAddress;
    if (publicAddress !== unspecified(this.config.ipVersion)) return publicAddress;
    return this.#foundAddress ?? this.privateAddress;
  }

  /** Whether the public address has to be found out. */
  get needsPublicAddress(): boolean {
    const { ipVersion, publicAddress, publicIsPrivate } = this.config;
    return !publicIsPrivate && publicAddress === unspecified(ipVersion);
  }

  /** @returns whether the public address is another one now */
  setFoundAddress(address: string | undefined): boolean {
    const before = this.publicAddress;
    this.#foundAddress = address;
    return this.publicAddress !== before;
  }

  /** Where exchanges over this path leave from. */
  get origin(): DatagramOrigin | undefined {
    const { host } = this;
    if (!host.isPresent) return undefined;
    return {
      address: host.localAddress,
      ...(host.isTied && host.linkIndex !== undefined && { linkIndex: host.linkIndex }),
    };
  }

  get isUsable(): boolean {
    return this.#isUsable;
  }

  /** Not usable, but to be tried while the connection has no usable path. */
  get isHopeful(): boolean {
    return this.#isHopeful;
  }

  get status(): number {
    return this.#status;
  }

  /** What the state works with now. */
  get timers(): PathTimers {
    return this.#timers;
  }

  /** Our side's, by which the peer says whom it speaks to. */
  get sessionNumber(): number {
    return this.#options.session.sessionNumber;
  }

  /** When the last keepalive that counts came; -Infinity: none yet. */
  get heardMs(): number {
    return this.#heardMs ?? -Infinity;
  }

  get keepalivesSent(): number {
    return this.#sender.keepalivesSent;
  }

  get isLinkUp(): boolean {
    return this.#isLinkUp;
  }

  get isWeft(): boolean {
    return this.#isWeft;
  }

  /** Where the peer is now: as configured, or where it was heard from. */
  get remoteAddress(): string {
    return this.#sender.remote.address;
  }

  get remotePort(): number {
    return this.#sender.remote.port;
  }

  /** Both, as the kernel takes them. */
  get remoteSockaddr(): Uint8Array {
    return this.#sender.remote.sockaddr;
  }

  /** Largest IP packet that goes through the path. */
  get mtu(): number {
    return this.datagramBytesMax + outerBytes(this.config.ipVersion);
  }

  /** Largest UDP payload, GRE header included. */
  get datagramBytesMax(): number {
    const plain = Math.min(this.#linkMtu, this.#kernelMtu, 65_535) - outerBytes(this.config.ipVersion);
    return this.#isWeft ? Math.min(this.session.datagramBytesMax, plain) : plain;
  }

  /** Lets time pass: dead timers, keepalives, probes, words. */
  tick(nowMs: number): void {
    this.#noteData();
    this.#applyTimers(nowMs);
    this.state.handleTime(nowMs);
    if (nowMs >= this.#kernelMtuUntilMs) this.#forgetKernelMtu();
    this.#sender.sendDue(nowMs);
    // What went out may have said that the next comes sooner.
    this.#applyTimers(nowMs);
    this.#noteStatus();
    this.traffic.look(nowMs);
  }

  /**
   * Whether no other path is usable. The last is given up later: a peer that stops for a moment is silent on all
   * paths, and a tunnel without any path is worse than one that hopes.
   */
  setLast(isLast: boolean, nowMs: number): void {
    this.#isLast = isLast;
    this.#applyTimers(nowMs);
  }

  #applyTimers(nowMs: number): void {
    const { timers, patientDeadMs } = this.session;
    const deadMs = this.#isLast ? patientDeadMs : timers.deadMs;
    if (timers.keepaliveMs === this.#timers.keepaliveMs && deadMs === this.#timers.deadMs) return;
    this.#timers = { keepaliveMs: timers.keepaliveMs, deadMs };
    this.state.setTimers(this.#timers, nowMs);
  }

  get nextMs(): number {
    return Math.min(this.state.nextMs, this.session.nextMs, this.#kernelMtuUntilMs);
  }

  handleKeepalive(arrival: KeepaliveArrival, nowMs: number): void {
    const news = this.session.handleKeepalive(arrival, nowMs);
    const { state } = this;
    if (news.peer !== undefined) this.#setWeft(news.peer === 'weft');
    if (news.isRestarted) state.handlePeer(true);
    if (news.isHeard) {
      state.handleHeard(nowMs);
      this.#heardMs = nowMs;
    }
    if (news.word !== undefined) state.handleWord(news.word, nowMs);
    if (news.deliveredWord !== undefined) state.wordDelivered(news.deliveredWord);
    if (news.moved !== undefined) {
      this.#sender.remote = remoteAt(unmapV4(formatIp(news.moved.address)), news.moved.port);
    }
    if (news.answerTo !== undefined) this.#sender.answer(news.answerTo);
    if (news.moved !== undefined || news.hasNewMtu || news.isRestarted)
      this.#options.events.onDescription(this);
    if (news.hasNewMeasures) this.#options.events.onView(this, false);
    this.#options.events.onPeer(this, news);
    this.tick(nowMs);
  }

  /** The kernel refused a datagram of the data plane. */
  handleTooLong(bytes: number, nowMs: number): void {
    if (this.#isWeft) {
      if (this.session.handleTooLong(bytes, nowMs)) this.#options.events.onDescription(this);
      return;
    }
    const mtu = kernelPathMtu(this.privateAddress, this.remoteAddress, this.remotePort);
    if (mtu === undefined || mtu >= this.mtu) return;
    this.#kernelMtu = mtu;
    this.#kernelMtuUntilMs = nowMs + KERNEL_MTU_MEMORY_MS;
    this.#options.events.onDescription(this);
  }

  /** What the host has for the path has been read anew. The socket is the connection's to change. */
  setHost(host: PathHost, nowMs: number): void {
    this.#host = host;
    if (host.isTied && host.linkIndex !== undefined) this.socket?.setLink(host.linkIndex);
    if (host.isUp !== this.#isLinkUp) {
      this.#isLinkUp = host.isUp;
      this.state.handleLink(host.isUp, nowMs);
    }
    if (host.linkMtu !== this.#linkMtu) {
      this.#linkMtu = host.linkMtu;
      this.session.setLinkMtu(host.linkMtu, nowMs);
      this.#options.events.onDescription(this);
    }
    this.tick(nowMs);
  }

  /** Marks the link as down before a command takes it down, so that the peer hears of it in time. */
  handleLinkGoing(nowMs: number): void {
    this.#isLinkUp = false;
    this.state.handleLink(false, nowMs);
    this.tick(nowMs);
  }

  setByHand(isUp: boolean, nowMs: number): void {
    this.state.setByHand(isUp, nowMs);
    this.tick(nowMs);
  }

  /** The peer's word about this path, over the command port. */
  handleWord(word: PathWord, nowMs: number): void {
    this.state.handleWord(word, nowMs);
    this.tick(nowMs);
  }

  wordDelivered(word: PathWord): void {
    this.state.wordDelivered(word);
  }

  /** The socket is the caller's to close, once the data plane has let it go. */
  takeSocket(): PathSocket | undefined {
    const { socket } = this.#sender;
    this.#sender.socket = undefined;
    return socket;
  }

  /** Data shows, too, that the path works towards us. */
  #noteData(): void {
    const dataMs = this.traffic.takeDataMs();
    if (dataMs !== undefined) this.state.handleData(Math.max(dataMs, this.#heardMs ?? 0));
  }

  #noteStatus(): void {
    const { status, isUsable, isHopeful } = this.state;
    const before = this.#status;
    const hasChanged = isUsable !== this.#isUsable;
    const isViewNew = hasChanged || isHopeful !== this.#isHopeful;
    this.#status = status;
    this.#isUsable = isUsable;
    this.#isHopeful = isHopeful;
    if (isViewNew) this.#options.events.onView(this, true);
    if (hasChanged || status !== before) this.#options.events.onStatus(this, before);
  }

  #setWeft(isWeft: boolean): void {
    this.#isWeft = isWeft;
    this.state.handlePeer(isWeft);
    this.socket?.setProbing(isWeft);
    if (isWeft) this.#forgetKernelMtu();
    else this.#options.events.onDescription(this);
  }

  #forgetKernelMtu(): void {
    this.#kernelMtu = Infinity;
    this.#kernelMtuUntilMs = Infinity;
    this.#options.events.onDescription(this);
  }
}
