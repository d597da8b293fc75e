/** The other ends of the connections that there are, by address, and the ways to them (pure). */
import type { PeerReading, WayReading } from './model.ts';
import { PEERS_SHOWN_MAX } from './model.ts';
import type { ConnectionRecord, SubflowRecord } from './records.ts';

interface Way {
  subflows: number;
  sentBitsPerSecond: number;
  receivedBitsPerSecond: number;
  rttUs: number | undefined;
}

interface Peer {
  readonly address: string;
  name: string | undefined;
  subflows: number;
  sentBitsPerSecond: number;
  receivedBitsPerSecond: number;
  readonly ways: Map<string, Way>;
  readonly connections: Set<ConnectionRecord | SubflowRecord>;
}

/** What a proxied connection asked for, without the port; `undefined` where that is the address itself. */
function nameOf({ remoteAddress, target }: ConnectionRecord): string | undefined {
  const name = target?.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return name === undefined || name === remoteAddress ? undefined : name;
}

function addWay(peer: Peer, path: string, subflow: SubflowRecord): void {
  let way = peer.ways.get(path);
  if (way === undefined) {
    way = { subflows: 0, sentBitsPerSecond: 0, receivedBitsPerSecond: 0, rttUs: undefined };
    peer.ways.set(path, way);
  }
  way.subflows++;
  way.sentBitsPerSecond += subflow.sentBitsPerSecond;
  way.receivedBitsPerSecond += subflow.receivedBitsPerSecond;
  if (subflow.rttUs !== undefined) way.rttUs = Math.min(way.rttUs ?? Infinity, subflow.rttUs);
}

const readWay = ([path, way]: [string, Way]): WayReading => ({
  path,
  subflows: way.subflows,
  sentBitsPerSecond: way.sentBitsPerSecond,
  receivedBitsPerSecond: way.receivedBitsPerSecond,
  ...(way.rttUs === undefined ? {} : { rttUs: way.rttUs }),
});

function readPeer({ connections, name, ways, ...peer }: Peer): PeerReading {
  return {
    ...peer,
    connections: connections.size,
    ...(name === undefined ? {} : { name }),
    ways: [...ways].map(readWay),
  };
}

const rateOf = (peer: Peer) => peer.sentBitsPerSecond + peer.receivedBitsPerSecond;

/**
 * Only subflows that use a path of this host: what goes over loopback has no other end.
 * BOUNDED: the busiest `PEERS_SHOWN_MAX` are told, how many are left out is too.
 */
export function readPeers(subflows: Iterable<SubflowRecord>): {
  readonly peers: readonly PeerReading[];
  readonly peersOmitted: number;
} {
  const peers = new Map<string, Peer>();
  for (const subflow of subflows) {
    const { connection, path, remoteAddress } = subflow;
    if (path === undefined) continue;
    let peer = peers.get(remoteAddress);
    if (peer === undefined) {
      peer = {
        address: remoteAddress,
        name: undefined,
        subflows: 0,
        sentBitsPerSecond: 0,
        receivedBitsPerSecond: 0,
        ways: new Map(),
        connections: new Set(),
      };
      peers.set(remoteAddress, peer);
    }
    peer.subflows++;
    peer.sentBitsPerSecond += subflow.sentBitsPerSecond;
    peer.receivedBitsPerSecond += subflow.receivedBitsPerSecond;
    addWay(peer, path, subflow);
    peer.connections.add(connection ?? subflow);
    if (connection !== undefined) peer.name ??= nameOf(connection);
  }
  const all = [...peers.values()].sort((a, b) => rateOf(b) - rateOf(a) || b.subflows - a.subflows);
  return {
    peers: all.slice(0, PEERS_SHOWN_MAX).map(readPeer),
    peersOmitted: Math.max(0, all.length - PEERS_SHOWN_MAX),
  };
}
