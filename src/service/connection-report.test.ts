import { describe, expect, it } from 'vitest';
import type { MptcpConnection, Subflow } from '../mptcp/index.ts';
import type { ProxyConnection } from '../proxy/index.ts';
import { reportConnections } from './connection-report.ts';
import { CONNECTIONS_SHOWN_MAX } from './control-api.ts';

const proxied = (id: number, change: Partial<ProxyConnection> = {}): ProxyConnection => ({
  id,
  kind: 'connect',
  client: '127.0.0.1:1',
  target: 'example.org:443',
  remote: '203.0.113.10:443',
  protocol: 'mptcp',
  token: 100 + id,
  bytesUp: 1,
  bytesDown: 2,
  openedAtMs: 1000,
  ...change,
});

// Only what the join reads; the kernel's structures have dozens of fields.
const subflow = (localAddress: string, change: Partial<Subflow> = {}) =>
  ({
    localAddress,
    localPort: 1,
    remoteAddress: '203.0.113.10',
    remotePort: 443,
    state: 'established',
    backupLocal: false,
    backupRemote: false,
    tcp: { rttUs: 5000, bytesSent: 10, bytesReceived: 20 },
    ...change,
  }) as Subflow;

const kernel = (token: number, change: Partial<MptcpConnection> = {}) =>
  ({
    token,
    fallback: false,
    info: { subflowsMax: 2 },
    subflows: [subflow('10.1.0.2'), subflow('10.2.0.2', { backupRemote: true })],
    ...change,
  }) as MptcpConnection;

const links = new Map([['10.1.0.2', 'wifi0']]);
const join = (connections: ProxyConnection[], others: MptcpConnection[]) =>
  reportConnections(connections, others, 4000, (address) => links.get(address));

describe('reportConnections', () => {
  it('joins by token and leaves the connections of other programs out', () => {
    const { connections } = join([proxied(1)], [kernel(5), kernel(101)]);
    expect(connections).toHaveLength(1);
    expect(connections[0]).toMatchObject({ id: 1, openForMs: 3000, subflowsMax: 2 });
    expect(connections[0]?.subflows.map(({ link, backup, rttUs }) => ({ link, backup, rttUs }))).toEqual([
      { link: 'wifi0', backup: false, rttUs: 5000 },
      { link: undefined, backup: true, rttUs: 5000 },
    ]);
  });

  it('calls a connection TCP that fell back later', () => {
    const { connections } = join([proxied(1)], [kernel(101, { fallback: true, subflows: [] })]);
    expect(connections[0]?.protocol).toBe('tcp');
    expect(connections[0]?.fallbackReason).toMatch(/fell back/);
  });

  it('shows a connection that the kernel no longer lists', () => {
    expect(join([proxied(1)], []).connections[0]).toMatchObject({ protocol: 'mptcp', subflows: [] });
  });

  it('keeps the newest, and says how many it leaves out', () => {
    const many = Array.from({ length: CONNECTIONS_SHOWN_MAX + 5 }, (_, i) => proxied(i));
    const { connections, connectionsOmitted } = join(many.reverse(), []);
    expect(connectionsOmitted).toBe(5);
    expect(connections[0]?.id).toBe(5);
    expect(connections.at(-1)?.id).toBe(CONNECTIONS_SHOWN_MAX + 4);
  });
});
