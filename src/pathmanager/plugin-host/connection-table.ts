/**
 * The MPTCP connections that the daemon follows, as the kernel's events tell of them (pure).
 *
 * Invariant: BOUNDED by the kernel's own: a connection is here from its first event to its last, its subflows and
 * its peer's addresses likewise; what the end of was lost goes with the next resynchronisation (resync.ts).
 */
import { EventType, type MptcpEvent } from '../../mptcp/index.ts';
import type { ConnectionView } from '../plugin-api.ts';
import { connectionEvent, isSameSubflow, remoteAddressEvent, subflowEvent } from './event-decode.ts';

/** One connection. `Owner` is what it is bound to. */
export interface TableEntry<Owner> {
  readonly created: MptcpEvent;
  readonly adopted: boolean;
  established: boolean;
  owner: Owner | undefined;
  /** BOUNDED by the kernel's limit of subflows; the first one included. Made at the first use. */
  subflows: MptcpEvent[] | undefined;
  /** BOUNDED: one for each of 255 remote ids. */
  remoteAddresses: MptcpEvent[] | undefined;
}

/** What an event means for the table: news to be passed on, nothing new, or of a connection that is not known. */
export type Reception = 'news' | 'known' | 'unknown';

/** The event of a connection's beginning also tells its first subflow. */
function firstSubflow(created: MptcpEvent): MptcpEvent[] {
  return [created];
}

export class ConnectionTable<Owner> {
  readonly #entries = new Map<number, TableEntry<Owner>>();

  get size(): number {
    return this.#entries.size;
  }

  get(token: number): TableEntry<Owner> | undefined {
    return this.#entries.get(token);
  }

  tokens(): IterableIterator<number> {
    return this.#entries.keys();
  }

  entries(): IterableIterator<[number, TableEntry<Owner>]> {
    return this.#entries.entries();
  }

  /** The new connection, or `undefined` when it is known. */
  open(event: MptcpEvent, owner: Owner | undefined, adopted: boolean): TableEntry<Owner> | undefined {
    const token = event.token ?? 0;
    if (this.#entries.has(token)) return undefined;
    const entry: TableEntry<Owner> = {
      created: event,
      adopted,
      established: false,
      owner,
      subflows: undefined,
      remoteAddresses: undefined,
    };
    this.#entries.set(token, entry);
    return entry;
  }

  close(token: number): TableEntry<Owner> | undefined {
    const entry = this.#entries.get(token);
    if (entry !== undefined) this.#entries.delete(token);
    return entry;
  }

  /** An event of a connection other than its beginning and end. */
  receive(entry: TableEntry<Owner>, event: MptcpEvent): Reception {
    switch (event.type) {
      case EventType.established:
        if (entry.established) return 'known';
        entry.established = true;
        return 'news';
      case EventType.announced:
        entry.remoteAddresses = [...withoutId(entry.remoteAddresses, event), event];
        return 'news';
      case EventType.removed:
        entry.remoteAddresses = withoutId(entry.remoteAddresses, event);
        return 'news';
      case EventType.subflowEstablished:
        return openSubflow(entry, event);
      case EventType.subflowClosed:
        return closeSubflow(entry, event);
      case EventType.subflowPriority:
        return changeSubflow(entry, event);
      default:
        return 'unknown';
    }
  }

  /** Of a connection whose first subflow had ended when it was found. */
  forgetFirstSubflow(token: number): void {
    const entry = this.#entries.get(token);
    if (entry !== undefined) entry.subflows = subflowsOf(entry).filter((event) => event !== entry.created);
  }

  /** Gives every connection of one owner to another. @returns their tokens */
  rebind(from: Owner, to: Owner): number[] {
    const tokens: number[] = [];
    for (const [token, entry] of this.#entries) {
      if (entry.owner !== from) continue;
      entry.owner = to;
      tokens.push(token);
    }
    return tokens;
  }

  /** Ends the binding of every connection to `owner`. @returns how many there were */
  unbind(owner: Owner): number {
    let count = 0;
    for (const entry of this.#entries.values()) {
      if (entry.owner !== owner) continue;
      entry.owner = undefined;
      count++;
    }
    return count;
  }
}

/** The subflows of a connection, the first one included. */
export function subflowsOf(entry: TableEntry<unknown>): readonly MptcpEvent[] {
  return entry.subflows ?? firstSubflow(entry.created);
}

function withoutId(events: readonly MptcpEvent[] | undefined, event: MptcpEvent): MptcpEvent[] {
  return (events ?? []).filter((known) => known.remoteId !== event.remoteId);
}

function openSubflow(entry: TableEntry<unknown>, event: MptcpEvent): Reception {
  const subflows = subflowsOf(entry);
  if (subflows.some((known) => isSameSubflow(known, event))) return 'known';
  entry.subflows = [...subflows, event];
  return 'news';
}

function closeSubflow(entry: TableEntry<unknown>, event: MptcpEvent): Reception {
  // Some kernels tell it twice, the second time without addresses (issue 603 of mptcp_net-next).
  if (event.destinationPort === 0) return 'known';
  entry.subflows = subflowsOf(entry).filter((known) => !isSameSubflow(known, event));
  // Also news when it is not known: a subflow that could not be connected has no beginning.
  return 'news';
}

function changeSubflow(entry: TableEntry<unknown>, event: MptcpEvent): Reception {
  const subflows = [...subflowsOf(entry)];
  const at = subflows.findIndex((known) => isSameSubflow(known, event));
  const known = subflows[at];
  if (known !== undefined) subflows[at] = { ...known, backup: event.backup ?? 0 };
  entry.subflows = subflows;
  return 'news';
}

export function connectionView(entry: TableEntry<unknown>): ConnectionView {
  return {
    ...connectionEvent(entry.created, entry.adopted),
    established: entry.established,
    subflows: subflowsOf(entry).map((event) => subflowEvent(event, entry.adopted)),
    remoteAddresses: (entry.remoteAddresses ?? []).map(remoteAddressEvent),
  };
}
