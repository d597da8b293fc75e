/**
 * Every connection and subflow from look to look (pure: what the kernel showed comes in, times come in): who is new,
 * who is gone, how much each has moved since, and how fast.
 *
 * A look is `begin`, any number of `connection` and `subflow`, `end`. Records are found again by the kernel's cookie
 * of the socket, which is never given twice, so a new connection with old ports is a new record.
 *
 * Invariant: what a subflow moved is counted once. A socket that a dump happens to leave out is remembered for some
 * looks, so that its counter is not taken for a new one's.
 *
 * UNBOUNDED: one record for each socket that the kernel has; about 1 KB for a connection with two subflows.
 */
import { unmapV4 } from '../../base/index.ts';
import { tcpStateName, type ScannedConnection, type ScannedSubflow } from '../../mptcp/index.ts';
import { ConnectionRecord, SubflowRecord, type Counted } from './records.ts';

/** How many looks a record outlives its socket. */
const KEPT_LOOKS = 2;

const plainAddress = (address: string) => (address.startsWith('::ffff:') ? unmapV4(address) : address);

/** BOUNDED: texts that many records share; all are forgotten when there are more. */
const SHARED_MAX = 4096;

/** The same text for the same text, so that thousands of records do not have thousands of copies of an address. */
class SharedTexts {
  readonly #texts = new Map<string, string>();

  share(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (this.#texts.size >= SHARED_MAX) this.#texts.clear();
    this.#texts.set(text, text);
    return text;
  }
}

/** What a counter has grown by; one that restarts has grown by what it shows now. */
const growthOf = (now: number, before: number) => (now >= before ? now - before : now);

/** The row's name for people and programs. */
function idOf(token: number, key: number): string {
  // A connection without a token is rare (it is being torn down), but two of them must not be one.
  return token === 0 ? `s${key.toString(16)}` : `m${token.toString(16)}`;
}

function closeWindow(
  record: Counted & {
    sentBase: number;
    receivedBase: number;
    sentBitsPerSecond: number;
    receivedBitsPerSecond: number;
  },
  windowMs: number,
): void {
  const bitsPerSecond = (bytes: number) => Math.round((bytes * 8000) / windowMs);
  record.sentBitsPerSecond = bitsPerSecond(growthOf(record.sentBytes, record.sentBase));
  record.receivedBitsPerSecond = bitsPerSecond(growthOf(record.receivedBytes, record.receivedBase));
  record.sentBase = record.sentBytes;
  record.receivedBase = record.receivedBytes;
}

export class ConnectionTable {
  readonly #connections = new Map<number, ConnectionRecord>();
  readonly #subflows = new Map<number, SubflowRecord>();
  readonly #byToken = new Map<number, ConnectionRecord>();
  readonly #texts = new SharedTexts();
  #look = 0;
  #nowMs = 0;
  /** What the last look that has ended saw. */
  #shown: { readonly connections: readonly ConnectionRecord[]; readonly subflows: readonly SubflowRecord[] } =
    {
      connections: [],
      subflows: [],
    };

  /** How many looks there were. */
  get look(): number {
    return this.#look;
  }

  begin(nowMs: number): void {
    this.#look++;
    this.#nowMs = nowMs;
  }

  /** A socket seen for the first time by the first look is as old as can be, by a later look it is new. */
  get #isFirst(): boolean {
    return this.#look === 1;
  }

  /** @param shown valid during this call only */
  connection(shown: ScannedConnection): ConnectionRecord {
    const { socket } = shown;
    const key = socket.cookie;
    let record = this.#connections.get(key);
    if (record === undefined || record.token !== shown.token) {
      if (record !== undefined) this.#forgetConnection(record);
      record = new ConnectionRecord(key, idOf(shown.token, key), shown.token, this.#nowMs);
      record.localAddress = this.#texts.share(plainAddress(socket.localAddress));
      record.localPort = socket.localPort;
      record.remoteAddress = this.#texts.share(plainAddress(socket.remoteAddress));
      record.remotePort = socket.remotePort;
      record.uid = socket.uid;
      this.#add(record);
    }
    record.inode = socket.inode;
    record.state = tcpStateName(socket.state);
    record.fellBack = shown.fallback;
    record.protocol = record.fellBack ? 'tcp' : 'mptcp';
    const { receivedBytes, sentBytes } = shown;
    record.hasOwnBytes = sentBytes !== undefined && receivedBytes !== undefined;
    if (sentBytes !== undefined) record.sentBytes = sentBytes;
    if (receivedBytes !== undefined) record.receivedBytes = receivedBytes;
    record.subflowsMax = shown.subflowsMax;
    record.addressesAnnounced = shown.addressesAnnounced;
    record.addressesAccepted = shown.addressesAccepted;
    record.addressesAcceptedMax = shown.addressesAcceptedMax;
    this.touch(record);
    return record;
  }

  /** @param shown valid during this call only */
  subflow(shown: ScannedSubflow): SubflowRecord {
    const { socket } = shown;
    const key = socket.cookie;
    let record = this.#subflows.get(key);
    if (record === undefined) {
      record = new SubflowRecord(key, shown.token, {
        localAddress: this.#texts.share(plainAddress(socket.localAddress)),
        localPort: socket.localPort,
        remoteAddress: this.#texts.share(plainAddress(socket.remoteAddress)),
        remotePort: socket.remotePort,
      });
      record.linkIndex = socket.linkIndex;
      record.initial = shown.initial;
      const { congestionControl } = socket;
      if (congestionControl !== undefined) record.congestionControl = this.#texts.share(congestionControl);
      this.addSubflow(record);
    }
    record.state = socket.state;
    record.backup = shown.backup;
    record.unackedSegments = shown.unackedSegments;
    record.timeoutsInRow = shown.timeoutsInRow;
    record.dataAgoMs = shown.dataAgoMs;
    record.ackAgoMs = shown.ackAgoMs;
    record.rttUs = shown.rttUs;
    record.receiveRttUs = shown.receiveRttUs;
    record.rttVariationUs = shown.rttVariationUs;
    record.windowSegments = shown.windowSegments;
    this.count(record, shown);
    return record;
  }

  /** Where a socket leads to. @param shown valid during this call only */
  remoteOf({ socket }: ScannedSubflow): { readonly address: string; readonly port: number } {
    const known = this.#subflows.get(socket.cookie);
    return known === undefined
      ? { address: plainAddress(socket.remoteAddress), port: socket.remotePort }
      : { address: known.remoteAddress, port: known.remotePort };
  }

  /** Takes a reading of a subflow's counters. */
  count(
    record: SubflowRecord,
    reading: Readonly<
      Pick<SubflowRecord, 'sentBytes' | 'receivedBytes' | 'retransmittedSegments' | 'sentSegments'>
    >,
  ): void {
    const { receivedBytes, retransmittedSegments, sentBytes, sentSegments } = reading;
    // Seen never before, and there before the first look: what it moved until now is not ours to count.
    const isOld = record.seen === 0 && this.#isFirst;
    record.sentNew = isOld ? 0 : growthOf(sentBytes, record.sentBytes);
    record.receivedNew = isOld ? 0 : growthOf(receivedBytes, record.receivedBytes);
    record.retransmittedNew = isOld ? 0 : growthOf(retransmittedSegments, record.retransmittedSegments);
    record.segmentsNew = isOld ? 0 : growthOf(sentSegments, record.sentSegments);
    record.sentBytes = sentBytes;
    record.receivedBytes = receivedBytes;
    record.retransmittedSegments = retransmittedSegments;
    record.sentSegments = sentSegments;
    if (isOld) {
      record.sentBase = sentBytes;
      record.receivedBase = receivedBytes;
    }
    record.seen = this.#look;
  }

  #add(record: ConnectionRecord): void {
    this.#connections.set(record.key, record);
    if (record.token !== 0) this.#byToken.set(record.token, record);
  }

  /** The connection with this key, made when there is none: for readings that are not the kernel's. */
  open(key: number, id: string, token = 0): ConnectionRecord {
    let record = this.#connections.get(key);
    if (record === undefined) {
      record = new ConnectionRecord(key, id, token, this.#nowMs);
      this.#add(record);
    }
    return record;
  }

  subflowOf(key: number): SubflowRecord | undefined {
    return this.#subflows.get(key);
  }

  addSubflow(record: SubflowRecord): void {
    this.#subflows.set(record.key, record);
  }

  /** Says that this look saw it. */
  touch(record: ConnectionRecord): void {
    if (record.seen === 0 && this.#isFirst) {
      record.sentBase = record.sentBytes;
      record.receivedBase = record.receivedBytes;
    }
    record.seen = this.#look;
  }

  /** @param windowMs length of the window that rates are of and that ends now; 0: it goes on */
  end(windowMs: number): void {
    const subflows: SubflowRecord[] = [];
    for (const record of this.#subflows.values()) {
      if (record.seen !== this.#look) {
        record.sentNew = record.receivedNew = record.retransmittedNew = record.segmentsNew = 0;
        if (this.#look - record.seen > KEPT_LOOKS) this.#forgetSubflow(record);
        continue;
      }
      subflows.push(record);
      if (record.connection === undefined && record.token !== 0) this.#join(record);
      const { connection } = record;
      if (connection?.hasOwnBytes === false) {
        connection.sentBytes += record.sentNew;
        connection.receivedBytes += record.receivedNew;
      }
      if (windowMs > 0) closeWindow(record, windowMs);
    }
    const connections: ConnectionRecord[] = [];
    for (const record of this.#connections.values()) {
      if (record.seen === this.#look) connections.push(record);
      if (this.#look - record.seen > KEPT_LOOKS) this.#forgetConnection(record);
      else if (windowMs > 0) closeWindow(record, windowMs);
    }
    this.#shown = { connections, subflows };
  }

  #join(record: SubflowRecord): void {
    const connection = this.#byToken.get(record.token);
    if (connection === undefined) return;
    record.connection = connection;
    if (record.initial) connection.subflows.unshift(record);
    else connection.subflows.push(record);
  }

  #forgetSubflow(record: SubflowRecord): void {
    this.#subflows.delete(record.key);
    const { connection } = record;
    if (connection === undefined) return;
    const at = connection.subflows.indexOf(record);
    if (at >= 0) connection.subflows.splice(at, 1);
    connection.retransmittedBefore += record.retransmittedSegments;
  }

  #forgetConnection(record: ConnectionRecord): void {
    this.#connections.delete(record.key);
    if (this.#byToken.get(record.token) === record) this.#byToken.delete(record.token);
    for (const subflow of record.subflows) subflow.connection = undefined;
    record.subflows.length = 0;
  }

  /** Those that the look under way has seen already. */
  *connectionsSoFar(): Generator<ConnectionRecord> {
    for (const record of this.#connections.values()) if (record.seen === this.#look) yield record;
  }

  /** Those that the last look saw, as of its end. */
  connections(): readonly ConnectionRecord[] {
    return this.#shown.connections;
  }

  subflows(): readonly SubflowRecord[] {
    return this.#shown.subflows;
  }

  /** Whether the last look saw it. */
  isThere(record: SubflowRecord | ConnectionRecord): boolean {
    return record.seen === this.#look;
  }

  connectionOfToken(token: number): ConnectionRecord | undefined {
    const record = this.#byToken.get(token);
    return record?.seen === this.#look ? record : undefined;
  }

  /** Records in memory, those that are being forgotten included. */
  get size(): { readonly connections: number; readonly subflows: number } {
    return { connections: this.#connections.size, subflows: this.#subflows.size };
  }
}
