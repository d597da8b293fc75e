/**
 * Rows of connections that the appliance's kernel has, from what the Weft inside says of itself every few seconds (pure).
 * What came between two of its reports is let out evenly over the time until the next one, so that rates are what they
 * were, some seconds late, instead of nothing and then everything.
 *
 * The guest is another program: of what it says only numbers and texts are taken, and no more than there may be.
 *
 * BOUNDED: CONNECTIONS_MAX connections, SUBFLOWS_MAX subflows of each.
 */
import type { ConnectionReport, LinkMapping, StatusReport, SubflowReport } from '../control-api.ts';
import type { ConnectionTable } from './connection-table.ts';
import { splitRemote } from './proxied-rows.ts';
import { SubflowRecord, type ConnectionRecord } from './records.ts';

const CONNECTIONS_MAX = 2000;
const SUBFLOWS_MAX = 16;

const TCP_STATES: ReadonlyMap<string, number> = new Map([
  ['established', 1],
  ['syn-sent', 2],
  ['syn-recv', 3],
  ['close-wait', 8],
]);
/** Every other one is of a subflow that is ending. */
const ENDING = 4;

const count = (value: unknown) =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;

/** A counter that is told in jumps, let out evenly. */
class Evened {
  shown: number;
  #target: number;
  #perMs = 0;

  constructor(value: number) {
    this.shown = this.#target = value;
  }

  /** @param overMs how long it took to get there */
  aim(value: number, overMs: number): void {
    // What was not let out yet comes with it; a counter that restarts begins anew.
    if (value < this.#target) this.shown = Math.max(0, value - (this.#target - this.shown));
    this.#target = value;
    this.#perMs = overMs <= 0 ? Infinity : (value - this.shown) / overMs;
  }

  advance(elapsedMs: number): void {
    const room = this.#target - this.shown;
    if (room > 0) this.shown += Math.min(room, Math.max(1, Math.round(this.#perMs * elapsedMs)));
  }
}

interface Pair {
  readonly sent: Evened;
  readonly received: Evened;
}

interface Known {
  readonly key: number;
  readonly bytes: Pair;
  seen: number;
}

/** The host's side of an address inside. */
interface Place {
  readonly link: string;
  readonly hostAddress: string | undefined;
}

const plain = (prefix: string) => prefix.replace(/\/\d+$/, '');

function placesOf(links: readonly LinkMapping[], paths: readonly { link: string; address: string }[]) {
  const places = new Map<string, Place>();
  for (const { guestAddresses, link } of links) {
    for (const prefix of guestAddresses) {
      const address = plain(prefix);
      const isV6 = address.includes(':');
      const path = paths.find((item) => item.link === link && item.address.includes(':') === isV6);
      places.set(address, { link, hostAddress: path?.address });
    }
  }
  return places;
}

const nameOf = ({ localAddress, localPort, remoteAddress, remotePort }: SubflowReport) =>
  `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;

export class GuestRows {
  /** By what names them in the guest. */
  readonly #known = new Map<string, Known>();
  #nextKey = -2;
  /** Of the guest's clock: tells one report from the next. */
  #reportMs: number | undefined;
  #report = 0;
  #lastMs = 0;

  /**
   * Puts the guest's connections into the look under way.
   * @param paths of the host
   */
  add(
    table: ConnectionTable,
    guest: StatusReport,
    links: readonly LinkMapping[],
    paths: readonly { readonly link: string; readonly address: string }[],
    nowMs: number,
  ): void {
    const isNew = guest.upForMs !== this.#reportMs;
    // A guest that began anew has a younger clock.
    const overMs = isNew ? Math.max(0, guest.upForMs - (this.#reportMs ?? guest.upForMs)) : 0;
    if (isNew) {
      this.#report++;
      this.#reportMs = guest.upForMs;
    }
    const elapsedMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    const places = placesOf(links, paths);
    for (const connection of guest.connections.slice(0, CONNECTIONS_MAX)) {
      const record = this.#addConnection(table, connection, { isNew, overMs, elapsedMs, places });
      const subflows = connection.subflows.slice(0, SUBFLOWS_MAX);
      for (const [index, subflow] of subflows.entries()) {
        this.#addSubflow(table, record, subflow, {
          isNew,
          overMs,
          elapsedMs,
          isInitial: index === 0,
          places,
        });
      }
    }
    if (isNew) this.#forgetGone();
  }

  get #isFirst(): boolean {
    return this.#report <= 1;
  }

  #know(name: string, sent: number, received: number, time: Time): Known {
    let known = this.#known.get(name);
    if (known === undefined) {
      // What it moved before the first report of it is let out like the rest, unless all of it is older than we are.
      const begin = this.#isFirst ? { sent, received } : { sent: 0, received: 0 };
      known = {
        key: this.#nextKey,
        bytes: { sent: new Evened(begin.sent), received: new Evened(begin.received) },
        seen: 0,
      };
      this.#nextKey -= 2;
      this.#known.set(name, known);
    }
    known.seen = this.#report;
    const { bytes } = known;
    if (time.isNew) {
      bytes.sent.aim(sent, time.overMs);
      bytes.received.aim(received, time.overMs);
    }
    bytes.sent.advance(time.elapsedMs);
    bytes.received.advance(time.elapsedMs);
    return known;
  }

  #forgetGone(): void {
    for (const [name, { seen }] of this.#known) if (seen !== this.#report) this.#known.delete(name);
  }

  #addConnection(table: ConnectionTable, report: ConnectionReport, time: Time & Places): ConnectionRecord {
    const known = this.#know(`${report.id}`, count(report.bytesUp), count(report.bytesDown), time);
    const record = table.open(known.key, `g${report.id}`);
    const [first] = report.subflows;
    const { address, port } = splitRemote(report.remote);
    record.owner = 'proxy';
    record.program = 'weft';
    record.target = report.target;
    record.client = report.client;
    record.localAddress =
      time.places.get(first?.localAddress ?? '')?.hostAddress ?? first?.localAddress ?? '';
    record.localPort = count(first?.localPort);
    record.remoteAddress = address;
    record.remotePort = port;
    record.protocol = report.protocol === 'mptcp' ? 'mptcp' : 'tcp';
    record.fallbackReason = report.fallbackReason;
    record.state = 'established';
    record.openedAtMs ??= Date.now() - count(report.openForMs);
    record.subflowsMax = report.subflowsMax;
    record.hasOwnBytes = true;
    record.sentBytes = known.bytes.sent.shown;
    record.receivedBytes = known.bytes.received.shown;
    if (this.#isFirst && record.seen === 0) {
      record.sentBase = record.sentBytes;
      record.receivedBase = record.receivedBytes;
    }
    table.touch(record);
    return record;
  }

  #addSubflow(
    table: ConnectionTable,
    connection: ConnectionRecord,
    report: SubflowReport,
    time: Time & Places & { readonly isInitial: boolean },
  ): void {
    const name = `${connection.id} ${nameOf(report)}`;
    const known = this.#know(name, count(report.bytesSent), count(report.bytesReceived), time);
    let record = table.subflowOf(known.key);
    if (record === undefined) {
      const place = time.places.get(report.localAddress);
      record = new SubflowRecord(known.key, 0, {
        // The guest's own addresses mean nothing outside: its path is the host's.
        localAddress: place?.hostAddress ?? report.localAddress,
        localPort: count(report.localPort),
        remoteAddress: report.remoteAddress,
        remotePort: count(report.remotePort),
      });
      record.link = place?.link;
      record.connection = connection;
      record.initial = time.isInitial;
      if (this.#isFirst) {
        record.sentBytes = record.sentBase = known.bytes.sent.shown;
        record.receivedBytes = record.receivedBase = known.bytes.received.shown;
      }
      table.addSubflow(record);
      connection.subflows.push(record);
    }
    record.state = TCP_STATES.get(report.state) ?? ENDING;
    record.backup = report.backup;
    record.rttUs = report.rttUs === undefined ? undefined : count(report.rttUs);
    table.count(record, {
      sentBytes: known.bytes.sent.shown,
      receivedBytes: known.bytes.received.shown,
      retransmittedSegments: 0,
      sentSegments: 0,
    });
  }
}

interface Time {
  /** There is a report that was not seen before. */
  readonly isNew: boolean;
  /** Between it and the one before. */
  readonly overMs: number;
  /** Since the look before. */
  readonly elapsedMs: number;
}

interface Places {
  /** By address inside the guest. */
  readonly places: ReadonlyMap<string, Place>;
}
