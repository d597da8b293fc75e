import { expect, it } from 'vitest';
import type { LinkMapping, StatusReport } from '../control-api.ts';
import { ConnectionTable } from './connection-table.ts';
import { GuestRows } from './guest-rows.ts';

const LINKS: readonly LinkMapping[] = [
  {
    link: 'wlan0',
    guestLink: 'eth1',
    hostAddresses: ['10.255.1.1/30'],
    guestAddresses: ['10.255.1.2/30'],
    state: 'active',
  },
];
const PATHS = [
  { link: 'wlan0', address: '2001:db8::2' },
  { link: 'wlan0', address: '192.168.1.5' },
];

function report(upForMs: number, bytes: number, more: object = {}): StatusReport {
  const subflow = {
    localAddress: '10.255.1.2',
    localPort: 4000,
    remoteAddress: '203.0.113.9',
    remotePort: 443,
    state: 'established',
    backup: false,
    rttUs: 9000,
    bytesSent: 1000,
    bytesReceived: bytes,
  };
  const connection = {
    id: 5,
    kind: 'connect',
    client: '10.255.0.1:1',
    target: 'example.org:443',
    remote: '203.0.113.9:443',
    protocol: 'mptcp',
    bytesUp: 1000,
    bytesDown: bytes,
    openForMs: 100,
    subflows: [subflow],
    subflowsMax: 2,
    ...more,
  };
  return { upForMs, connections: [connection] } as unknown as StatusReport;
}

const table = new ConnectionTable();
const rows = new GuestRows();
let nowMs = 1000;

function look(guest: StatusReport | undefined, windowMs = 1000) {
  nowMs += 1000;
  table.begin(nowMs);
  if (guest !== undefined) rows.add(table, guest, LINKS, PATHS, nowMs);
  table.end(table.look === 1 ? 0 : windowMs);
  const [row] = table.connections();
  return row;
}

it('shows what the guest carries on the host’s paths, at the pace at which it was carried', () => {
  look(undefined);
  const row = look(report(10_000, 50_000))!;
  expect(row).toMatchObject({ id: 'g5', owner: 'proxy', target: 'example.org:443', remotePort: 443 });
  const [subflow] = row.subflows;
  expect(subflow).toMatchObject({ localAddress: '192.168.1.5', link: 'wlan0', state: 1, rttUs: 9000 });
  // What was there before we looked is nobody's rate.
  expect(row.receivedBitsPerSecond).toBe(0);
  expect(subflow!.receivedNew).toBe(0);
  const second = report(15_000, 100_000);
  const rates = [1, 2, 3, 4, 5, 6].map(() => look(second)!.receivedBitsPerSecond);
  expect(rates).toEqual([...Array<number>(5).fill(80_000), 0]);
  expect(look(second)).toMatchObject({ receivedBytes: 100_000 });
});

it('forgets what the guest tells of no more, and takes no nonsense from it', () => {
  const strange = report(20_000, 1, { bytesDown: 'much', bytesUp: -1, remote: 'nowhere', subflows: [] });
  expect(look(strange)).toMatchObject({ remotePort: 0 });
  const empty = { upForMs: 25_000, connections: [] } as unknown as StatusReport;
  for (let i = 0; i < 5; i++) look(empty);
  expect(table.size).toEqual({ connections: 0, subflows: 0 });
  const fresh = look(report(100, 4000))!;
  expect(fresh.receivedBytes).toBeLessThanOrEqual(4000);
});
