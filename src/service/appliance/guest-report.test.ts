import { expect, it } from 'vitest';
import { LINE_MAX_BYTES } from '../../appliance/index.ts';
import type { ConnectionReport } from '../control-api.ts';
import { buildGuestReport, type GuestFacts } from './guest-report.ts';

const connection = (id: number): ConnectionReport => ({
  id,
  kind: 'connect',
  client: '10.0.0.1',
  target: `${'x'.repeat(250)}.example:443`,
  remote: '192.0.2.1:443',
  protocol: 'mptcp',
  bytesUp: 1,
  bytesDown: 1,
  openForMs: 1,
  subflows: Array.from({ length: 8 }, () => ({
    localAddress: '2001:db8:1111:2222:3333:4444:5555:6666',
    localPort: 1,
    remoteAddress: '2001:db8:1111:2222:3333:4444:5555:7777',
    remotePort: 443,
    state: 'established',
    backup: false,
  })),
});

const FACTS: GuestFacts = {
  version: '0.1.0',
  upForMs: 1,
  proxyAddresses: ['10.0.0.2:13128'],
  multipath: true,
  counters: {},
  supervised: undefined,
  connections: [],
  connectionsOmitted: 3,
};

it('counts all connections and shows the newest that fit into a line', () => {
  const connections = Array.from({ length: 2000 }, (_, id) => connection(id));
  const report = buildGuestReport({ ...FACTS, connections });
  expect(JSON.stringify(report).length).toBeLessThan(LINE_MAX_BYTES / 2);
  expect(report.connections.length).toBeGreaterThan(50);
  expect(report.connections.at(-1)?.id).toBe(1999);
  expect(report.connections.length + report.connectionsOmitted).toBe(2003);
  expect(report.multipath.endToEnd).toEqual({ connections: 2000, mptcp: 2000, severalPaths: 2000 });
});

it('shows all when they fit, and says why there is one path', () => {
  const report = buildGuestReport({ ...FACTS, connections: [connection(1)], multipath: false });
  expect(report).toMatchObject({ mode: 'single-path', connectionsOmitted: 3, proxy: { multipath: false } });
  expect(report.connections).toHaveLength(1);
});
