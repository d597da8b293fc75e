/**
 * The MPTCP connections and subflows of a network namespace for who looks at them again and again. A look is `read`,
 * which takes the kernel's answers in step by step, so that thousands of sockets hold nobody up, and then the visits, in
 * which each socket is shown as it lies in the answer, and only what is asked for is read. For a list to keep there is
 * connections.ts.
 *
 * Invariant: what a visitor is shown is valid during its call only. Needs no privilege.
 * BOUNDED: by the sockets that are kept, about 500 bytes each; memory that a look does not need is given back.
 *
 * References: as socket-info.ts and tcp-info.ts.
 */
import { DiagView, SocketDiag, SubflowFlag, type NetlinkSocketOptions } from '../netlink/index.ts';
import { MPTCP_INFO_AT } from './socket-info.ts';
import { TCP_INFO_AT } from './tcp-info.ts';

const FLAG_FALLBACK = 1;
/** The kernel's word for "no round trip measured yet" is 0. */
const someOr = (value: number) => (value === 0 ? undefined : value);

/** One MPTCP connection. */
export class ScannedConnection {
  readonly socket: DiagView;

  constructor(socket: DiagView) {
    this.socket = socket;
  }

  /** 0: the kernel does not tell. */
  get token(): number {
    return this.socket.infoU32(MPTCP_INFO_AT.token);
  }

  get fallback(): boolean {
    return (this.socket.infoU32(MPTCP_INFO_AT.flags) & FLAG_FALLBACK) !== 0;
  }

  /** Payload, each byte once, whatever subflows it took; `undefined` before Linux 6.5. */
  get sentBytes(): number | undefined {
    const { socket } = this;
    return socket.hasInfo(MPTCP_INFO_AT.bytesSent + 8) ? socket.infoU64(MPTCP_INFO_AT.bytesSent) : undefined;
  }

  get receivedBytes(): number | undefined {
    const { socket } = this;
    return socket.hasInfo(MPTCP_INFO_AT.bytesReceived + 8)
      ? socket.infoU64(MPTCP_INFO_AT.bytesReceived)
      : undefined;
  }

  get subflowsMax(): number {
    return this.socket.infoU8(MPTCP_INFO_AT.subflowsMax);
  }

  get addressesAnnounced(): number {
    return this.socket.infoU8(MPTCP_INFO_AT.addAddrSignal);
  }

  get addressesAccepted(): number {
    return this.socket.infoU8(MPTCP_INFO_AT.addAddrAccepted);
  }

  get addressesAcceptedMax(): number {
    return this.socket.infoU8(MPTCP_INFO_AT.addAddrAcceptedMax);
  }
}

/** One TCP socket: a subflow when it has a token, else plain TCP. */
export class ScannedSubflow {
  readonly socket: DiagView;
  /** Since the kernel said what is told here. */
  readAgoMs = 0;

  constructor(socket: DiagView) {
    this.socket = socket;
  }

  /** Of the connection it belongs to; 0: plain TCP. */
  get token(): number {
    return this.socket.token;
  }

  /** The one that the connection began with. */
  get initial(): boolean {
    return (this.socket.subflowFlags & (SubflowFlag.mpJoinLocal | SubflowFlag.mpJoinRemote)) === 0;
  }

  /** One of the two ends wants it to be used only when others fail. */
  get backup(): boolean {
    return (this.socket.subflowFlags & (SubflowFlag.backupLocal | SubflowFlag.backupRemote)) !== 0;
  }

  /** Payload, each byte once: retransmissions do not count. */
  get sentBytes(): number {
    const { socket } = this;
    return socket.infoU64(TCP_INFO_AT.bytesSent) - socket.infoU64(TCP_INFO_AT.bytesRetransmitted);
  }

  get receivedBytes(): number {
    return this.socket.infoU64(TCP_INFO_AT.bytesReceived);
  }

  get retransmittedSegments(): number {
    return this.socket.infoU32(TCP_INFO_AT.totalRetransSegments);
  }

  /** With data, retransmitted ones included. */
  get sentSegments(): number {
    return this.socket.infoU32(TCP_INFO_AT.dataSegmentsOut);
  }

  get unackedSegments(): number {
    return this.socket.infoU32(TCP_INFO_AT.unackedSegments);
  }

  /** Retransmission timeouts in a row; 0 when the path answers. */
  get timeoutsInRow(): number {
    return this.socket.infoU8(TCP_INFO_AT.timeoutsInRow);
  }

  /** Since data came. */
  get dataAgoMs(): number {
    return this.socket.infoU32(TCP_INFO_AT.lastDataReceivedMs) + this.readAgoMs;
  }

  /** Since an acknowledgement came. */
  get ackAgoMs(): number {
    return this.socket.infoU32(TCP_INFO_AT.lastAckReceivedMs) + this.readAgoMs;
  }

  /** Smoothed; of who sends. */
  get rttUs(): number | undefined {
    return someOr(this.socket.infoU32(TCP_INFO_AT.rttUs));
  }

  /** As who receives estimates it. */
  get receiveRttUs(): number | undefined {
    return someOr(this.socket.infoU32(TCP_INFO_AT.receiveRttUs));
  }

  get rttVariationUs(): number {
    return this.socket.infoU32(TCP_INFO_AT.rttVarianceUs);
  }

  /** Congestion window. */
  get windowSegments(): number {
    return this.socket.infoU32(TCP_INFO_AT.sendCwndSegments);
  }
}

const LEAST_BYTES = 1 << 16;
const LEAST_MESSAGES = 128;
/** Begin, end and moment of each message. */
const PLACE = 3;

/** Messages of one dump, one after another, with when each was read. What it holds it uses again at the next look. */
class Kept {
  #view = new DataView(new ArrayBuffer(LEAST_BYTES));
  #places = new Float64Array(LEAST_MESSAGES * PLACE);
  #used = 0;
  #count = 0;

  clear(): void {
    const { byteLength } = this.#view;
    // A host that had many connections once does not have them for ever.
    if (byteLength > LEAST_BYTES && this.#used < byteLength / 4) {
      this.#view = new DataView(new ArrayBuffer(byteLength / 2));
      this.#places = new Float64Array(Math.max(LEAST_MESSAGES * PLACE, this.#count * 2 * PLACE));
    }
    this.#used = 0;
    this.#count = 0;
  }

  add(message: DiagView, atMs: number): void {
    const end = this.#used + message.lengthBytes;
    if (end > this.#view.byteLength) this.#growBytes();
    if ((this.#count + 1) * PLACE > this.#places.length) this.#growPlaces();
    message.copyTo(this.#view, this.#used);
    const at = this.#count * PLACE;
    this.#places[at] = this.#used;
    this.#places[at + 1] = end;
    this.#places[at + 2] = atMs;
    this.#used = end;
    this.#count++;
  }

  /** By more than any message is long: a datagram has at most LEAST_BYTES. */
  #growBytes(): void {
    const grown = new Uint8Array(this.#view.byteLength * 2);
    grown.set(new Uint8Array(this.#view.buffer, 0, this.#used));
    this.#view = new DataView(grown.buffer);
  }

  #growPlaces(): void {
    const grown = new Float64Array(this.#places.length * 2);
    grown.set(this.#places);
    this.#places = grown;
  }

  get count(): number {
    return this.#count;
  }

  visit(seen: DiagView, visit: (atMs: number) => void): void {
    const places = this.#places;
    for (let i = 0; i < this.#count * PLACE; i += PLACE) {
      if (seen.look(this.#view, places[i]!, places[i + 1]!)) visit(places[i + 2]!);
    }
  }
}

export class SocketScan {
  readonly #diag: SocketDiag;
  readonly #seen = new DiagView();
  readonly #connections = new Kept();
  readonly #subflows = new Kept();

  constructor(options: NetlinkSocketOptions = {}) {
    this.#diag = SocketDiag.open(options);
  }

  /**
   * Takes in what the kernel says; each step is one system call and what it brought. Who gives up before the end closes
   * the scan.
   * @param wantsPlain which TCP sockets are kept that are no subflows; absent: none
   */
  *read(wantsPlain?: (socket: DiagView) => boolean): Generator<void, void> {
    this.#connections.clear();
    this.#subflows.clear();
    yield* this.#diag.scanSockets('mptcp', (socket) => {
      this.#connections.add(socket, performance.now());
    });
    // The kernel has no shorter list than that of all TCP sockets.
    if (this.#connections.count === 0 && wantsPlain === undefined) return;
    yield* this.#diag.scanSockets('tcp', (socket) => {
      if (socket.token !== 0 || wantsPlain?.(socket) === true) {
        this.#subflows.add(socket, performance.now());
      }
    });
  }

  /** Shows every MPTCP connection that is not a listener, as `read` found it. */
  visitConnections(visit: (connection: ScannedConnection) => void): void {
    const shown = new ScannedConnection(this.#seen);
    this.#connections.visit(this.#seen, () => visit(shown));
  }

  /** Shows every TCP socket that `read` kept. @param nowMs of the monotonic clock: what ages are told for */
  visitSubflows(nowMs: number, visit: (subflow: ScannedSubflow) => void): void {
    const shown = new ScannedSubflow(this.#seen);
    this.#subflows.visit(this.#seen, (atMs) => {
      shown.readAgoMs = nowMs - atMs;
      visit(shown);
    });
  }

  close(): void {
    this.#diag.close();
  }
}
