/**
 * One look at sockets: takes in what the kernel says, in slices that hold nobody up, and brings it, the proxy's and the
 * appliance's connections into the table, at one moment.
 *
 * Invariant: the table is begun and ended within one call; nobody sees half of a look.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SocketScan } from '../../mptcp/index.ts';
import type { DiagView } from '../../netlink/index.ts';
import type { PathReport } from '../control-api.ts';
import type { ConnectionTable } from './connection-table.ts';
import { GuestRows } from './guest-rows.ts';
import type { CostMeter } from './pace.ts';
import { joinProxied, noteFallback, splitRemote, type PlainRows } from './proxied-rows.ts';
import type { ObserverSources } from './sources.ts';

/** BOUNDED: what the event loop is held up by reading; a system call is not cut. */
const SLICE_MS = 2;
/** The name that the host's proxy gives the appliance's (weft-service.ts). */
const APPLIANCE = '(appliance)';

export class SocketLook {
  readonly #sources: ObserverSources;
  readonly #netns: { readonly netns?: string };
  readonly #guestRows = new GuestRows();
  #scan: SocketScan | undefined;

  constructor(sources: ObserverSources, netns: { readonly netns?: string }) {
    this.#sources = sources;
    this.#netns = netns;
  }

  /**
   * Takes in what there is.
   * @param isWanted asked between slices; `close` is called when it is not
   * @throws SystemError; the next call begins anew
   */
  async read(meter: CostMeter, isWanted: () => boolean): Promise<void> {
    const scan = (this.#scan ??= new SocketScan(this.#netns));
    const steps = scan.read(this.#plainSockets());
    const slice = () => {
      const endMs = performance.now() + SLICE_MS;
      do {
        if (steps.next().done === true) return true;
      } while (performance.now() < endMs);
      return false;
    };
    try {
      while (!meter.run(slice)) {
        // oxlint-disable-next-line no-await-in-loop -- one slice after the other, with others' work in between
        await nextTurn();
        if (!isWanted()) return;
      }
    } catch (error) {
      // A dump that was broken off would disturb the next one.
      this.close();
      throw error;
    }
  }

  /** Plain TCP sockets that may be the proxy's: of this user, and to a port that one of its connections leads to. */
  #plainSockets(): ((socket: DiagView) => boolean) | undefined {
    const ports = new Set<number>();
    for (const { protocol, remote } of this.#sources.proxied()) {
      if (protocol === 'tcp') ports.add(splitRemote(remote).port);
    }
    if (ports.size === 0) return undefined;
    const uid = process.getuid?.() ?? 0;
    return (socket) => ports.has(socket.remotePort) && socket.uid === uid;
  }

  /** Brings what was read into the table. */
  fill(table: ConnectionTable, paths: readonly PathReport[], nowMs: number, windowMs: number): void {
    table.begin(nowMs);
    this.#scan?.visitConnections((shown) => {
      table.connection(shown);
    });
    const guest = this.#sources.guest?.();
    if (guest !== undefined) {
      this.#guestRows.add(table, guest, this.#sources.guestLinks?.() ?? [], paths, nowMs);
    }
    // What goes to the appliance's proxy, the appliance tells of.
    const isGuests = ({ via }: { readonly via?: string }) => guest !== undefined && via === APPLIANCE;
    const plain = joinProxied(table, this.#sources.proxied(), isGuests);
    this.#fillSubflows(table, plain, nowMs);
    table.end(windowMs);
    for (const record of table.connections()) noteFallback(record);
  }

  #fillSubflows(table: ConnectionTable, plain: PlainRows, nowMs: number): void {
    this.#scan?.visitSubflows(nowMs, (shown) => {
      if (shown.token !== 0) {
        table.subflow(shown);
        return;
      }
      const { address, port } = table.remoteOf(shown);
      if (plain.hasRemote(address, port)) plain.offer(table.subflow(shown));
    });
    plain.pair();
  }

  close(): void {
    this.#scan?.close();
    this.#scan = undefined;
  }
}
