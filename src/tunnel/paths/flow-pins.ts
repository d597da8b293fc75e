/**
 * Flows that belong to a path by their ports (`tcp_src`, `tcp_dst`, `udp_src`, `udp_dst` of a [path_N]; the draft's
 * "flow mapping"). Pure, no allocation per packet. What is pinned goes over its path while that is usable, whatever
 * the scheduler; the rest, and fragments, is the scheduler's.
 */
import type { PinnedPorts } from '../config/model.ts';
import { PORTS_NONE, portsAt } from './flow-hash.ts';

const TCP = 6;
const UDP = 17;
const NO_PATH = -1;

/** Path by port; the first path that names a port has it. */
function portTable(lists: readonly (readonly number[])[]): Int8Array | undefined {
  if (lists.every((ports) => ports.length === 0)) return undefined;
  const table = new Int8Array(0x10000).fill(NO_PATH);
  for (const [path, ports] of lists.entries()) {
    for (const port of ports) if (table[port] === NO_PATH) table[port] = path;
  }
  return table;
}

export class FlowPins {
  readonly #tcpSource: Int8Array | undefined;
  readonly #tcpDestination: Int8Array | undefined;
  readonly #udpSource: Int8Array | undefined;
  readonly #udpDestination: Int8Array | undefined;
  /** Whether any path pins anything; else `pathOf` need not be asked. */
  readonly isEmpty: boolean;

  constructor(paths: readonly PinnedPorts[]) {
    this.#tcpSource = portTable(paths.map(({ tcpSource }) => tcpSource));
    this.#tcpDestination = portTable(paths.map(({ tcpDestination }) => tcpDestination));
    this.#udpSource = portTable(paths.map(({ udpSource }) => udpSource));
    this.#udpDestination = portTable(paths.map(({ udpDestination }) => udpDestination));
    const tables = [this.#tcpSource, this.#tcpDestination, this.#udpSource, this.#udpDestination];
    this.isEmpty = tables.every((table) => table === undefined);
  }

  /** The path of the inner packet of `length` bytes from `at` on, or -1. Destination ports count first. */
  pathOf(bytes: Uint8Array, at: number, length: number): number {
    if (this.isEmpty) return NO_PATH;
    const found = portsAt(bytes, at, length);
    if (found === PORTS_NONE) return NO_PATH;
    const protocol = found >>> 16;
    if (protocol !== TCP && protocol !== UDP) return NO_PATH;
    const offset = at + (found & 0xffff);
    const source = (bytes[offset]! << 8) | bytes[offset + 1]!;
    const destination = (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
    const bySource = protocol === TCP ? this.#tcpSource : this.#udpSource;
    const byDestination = protocol === TCP ? this.#tcpDestination : this.#udpDestination;
    const path = byDestination?.[destination] ?? NO_PATH;
    return path === NO_PATH ? (bySource?.[source] ?? NO_PATH) : path;
  }
}
