/** Overviews for unit tests: a laptop with two links, and whatever a test changes in it. Tests alone use this. */
import type { Overview, PathReading, PeerReading } from './model.ts';

export function aPath(id: string, changes: Partial<PathReading> = {}): PathReading {
  const [link, address] = id.split(' ') as [string, string];
  return {
    id,
    link,
    address,
    family: address.includes(':') ? 6 : 4,
    backup: false,
    state: 'active',
    subflows: 1,
    sentBytes: 0,
    receivedBytes: 0,
    retransmittedSegments: 0,
    sentSegments: 0,
    sentBitsPerSecond: 0,
    receivedBitsPerSecond: 0,
    retransmissionsPerSecond: 0,
    ...changes,
  };
}

export function aPeer(address: string, paths: readonly string[], bitsPerSecond = 0): PeerReading {
  const rates = { sentBitsPerSecond: 0, receivedBitsPerSecond: bitsPerSecond };
  return {
    address,
    connections: 1,
    subflows: paths.length,
    ...rates,
    ways: paths.map((path) => ({ path, subflows: 1, ...rates })),
  };
}

export function anOverview(changes: Partial<Overview> = {}): Overview {
  return {
    apiVersion: 1,
    time: 1_700_000_000_000,
    sample: 1,
    sampleMs: 1,
    sampleIntervalMs: 500,
    program: 'up',
    version: '0.1.0',
    pid: 4711,
    hostname: 'laptop',
    upForMs: 60_000,
    mode: 'multipath',
    multipath: { inUse: true, explanation: [] },
    mayChange: true,
    links: [],
    ignoredLinks: [],
    paths: [aPath('wlan0 192.0.2.7'), aPath('lte0 198.51.100.7')],
    peers: [],
    peersOmitted: 0,
    pathsOmitted: 0,
    linksOmitted: 0,
    tunnels: [],
    endpoints: [],
    proxyAddresses: [],
    totals: {
      connections: 0,
      mptcp: 0,
      fallbacks: 0,
      subflows: 0,
      severalPaths: 0,
      sentBitsPerSecond: 0,
      receivedBitsPerSecond: 0,
      retransmissionsPerSecond: 0,
    },
    ...changes,
  };
}
