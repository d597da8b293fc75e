/**
 * The MPTCP connections and subflows of a network namespace for who looks at them again and again: each is shown as
 * it lies in the kernel's answer, and only what is asked for is read. For a list to keep there is connections.ts.
 *
 * Invariant: what a visitor is shown is valid during its call only. Needs no privilege.
 *
 * References: as socket-info.ts and tcp-info.ts.
 */
import { SocketDiag, SubflowFlag, type DiagView, type NetlinkSocketOptions } from '../netlink/index.ts';
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
    return this.socket.infoU32(TCP_INFO_AT.lastDataReceivedMs);
  }

  /** Since an acknowledgement came. */
  get ackAgoMs(): number {
    return this.socket.infoU32(TCP_INFO_AT.lastAckReceivedMs);
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

export class SocketScan {
  readonly #diag: SocketDiag;

  constructor(options: NetlinkSocketOptions = {}) {
    this.#diag = SocketDiag.open(options);
  }

  /** Shows every MPTCP connection that is not a listener. `visit` must not throw. */
  visitConnections(visit: (connection: ScannedConnection) => void): void {
    let shown: ScannedConnection | undefined;
    this.#diag.visitSockets('mptcp', (socket) => {
      shown ??= new ScannedConnection(socket);
      visit(shown);
    });
  }

  /** Shows every TCP socket that is not a listener, subflow or not. `visit` must not throw. */
  visitSubflows(visit: (subflow: ScannedSubflow) => void): void {
    let shown: ScannedSubflow | undefined;
    this.#diag.visitSockets('tcp', (socket) => {
      shown ??= new ScannedSubflow(socket);
      visit(shown);
    });
  }

  close(): void {
    this.#diag.close();
  }
}
