import { expect, it } from 'vitest';
import { WeftError } from '../../base/index.ts';
import { findConnection, type ConnectionSource } from './find-connection.ts';
import type { ConnectionDetail } from './model.ts';

const row = (id: string, more: Partial<ConnectionDetail> = {}): ConnectionDetail => ({
  id,
  owner: 'program',
  localAddress: '10.0.0.2',
  localPort: 40_000,
  remoteAddress: '192.0.2.1',
  remotePort: 443,
  protocol: 'mptcp',
  state: 'established',
  subflowCount: 1,
  links: ['eth0'],
  sentBytes: 0,
  receivedBytes: 0,
  sentBitsPerSecond: 0,
  receivedBitsPerSecond: 0,
  retransmittedSegments: 0,
  openForMs: 0,
  subflows: [],
  ...more,
});

const ROWS = [
  row('m1f00ba7', { target: 'example.org:443', owner: 'proxy' }),
  row('m2', { remoteAddress: '2001:db8::1', program: 'curl' }),
  row('m3', { remoteAddress: '192.0.2.9', remotePort: 80, program: 'ssh' }),
  row('p17', { remoteAddress: '192.0.2.9', remotePort: 81, protocol: 'tcp', target: 'old.example:81' }),
];

const source: ConnectionSource = {
  connection(id) {
    const found = ROWS.find((known) => known.id === id);
    if (found === undefined) throw new WeftError('none', { code: 'NO_SUCH_CONNECTION' });
    return found;
  },
  // As the observer does: words that occur somewhere, so there may be more than are meant.
  connections: () => ({ time: 0, total: ROWS.length, found: ROWS.length, rows: ROWS }),
};

it.each([
  ['m1f00ba7', 'm1f00ba7'],
  ['0x1f00ba7', 'm1f00ba7'],
  ['0x01F00BA7', 'm1f00ba7'],
  ['p17', 'p17'],
  ['192.0.2.1:443', 'm1f00ba7'],
  ['[2001:db8::1]:443', 'm2'],
  ['2001:DB8::1', 'm2'],
  ['example.org:443', 'm1f00ba7'],
  ['Example.ORG', 'm1f00ba7'],
  ['ssh', 'm3'],
  ['192.0.2.9:81', 'p17'],
])('%s is %s', (wanted, id) => {
  expect(findConnection(source, wanted).id).toBe(id);
});

it.each(['example', 'm4', '0x4', '192.0.2.9:443', '', '*'])('%j is nobody', (wanted) => {
  expect(() => findConnection(source, wanted)).toThrow(
    expect.objectContaining({ code: 'NO_SUCH_CONNECTION' }),
  );
});

it('names those that may be meant', () => {
  expect(() => findConnection(source, '192.0.2.9')).toThrow(
    '"192.0.2.9" means 2 connections — name one by its id: m3 (192.0.2.9:80), p17 (old.example:81)',
  );
});
