/** What the list says of a connection. */
import { expect, it } from 'vitest';
import { CONNECTION_SORTS, type ConnectionReading } from '../../../service/observe/model.ts';
import {
  addressesOf,
  destinationOf,
  LIST_COLUMNS,
  ownerDetailOf,
  ownerOf,
  sortingAfter,
  subflowRemarkOf,
} from './connection-words.ts';

const connection: ConnectionReading = {
  id: 'm1',
  owner: 'program',
  program: 'curl',
  pid: 12,
  localAddress: '10.0.0.2',
  localPort: 4000,
  remoteAddress: '2001:db8::1',
  remotePort: 443,
  protocol: 'mptcp',
  state: 'established',
  subflowCount: 2,
  links: ['eth0'],
  sentBytes: 0,
  receivedBytes: 0,
  sentBitsPerSecond: 0,
  receivedBitsPerSecond: 0,
  retransmittedSegments: 0,
  openForMs: 0,
};

it('names a program and the other end', () => {
  expect([ownerOf(connection), ownerDetailOf(connection)]).toEqual(['curl', 'process 12']);
  expect(destinationOf(connection)).toBe('[2001:db8::1]:443');
  expect(addressesOf(connection)).toBe('from 10.0.0.2:4000');
});

it('names who uses the proxy, and for what', () => {
  const proxied: ConnectionReading = {
    ...connection,
    owner: 'proxy',
    target: 'example.org:443',
    client: '127.0.0.1:5000',
  };
  expect([ownerOf(proxied), ownerDetailOf(proxied)]).toEqual(['Weft proxy', 'for 127.0.0.1:5000']);
  expect(destinationOf(proxied)).toBe('example.org:443');
  expect(addressesOf(proxied)).toBe('10.0.0.2:4000 → [2001:db8::1]:443');
});

it('says of a subflow what its state does not', () => {
  const subflow = {
    localAddress: '10.0.0.2',
    localPort: 1,
    remoteAddress: '10.0.0.3',
    remotePort: 2,
    initial: true,
    backup: false,
    state: 'active',
    tcpState: 'established',
  } as const;
  expect(subflowRemarkOf(subflow)).toBe('');
  expect(subflowRemarkOf({ ...subflow, backup: true, state: 'backup' })).toBe('');
  expect(subflowRemarkOf({ ...subflow, backup: true, state: 'stale', why: 'no answer for 3 s' })).toBe(
    'backup, no answer for 3 s',
  );
  expect(subflowRemarkOf({ ...subflow, state: 'waiting', tcpState: 'syn-sent' })).toBe('syn-sent');
});

it('can be sorted by all that Weft sorts by', () => {
  const sorts = LIST_COLUMNS.flatMap(({ sort }) => sort ?? []);
  expect(sorts.toSorted()).toEqual(CONNECTION_SORTS.toSorted());
});

it('turns the order round when the same column is pressed again', () => {
  const first = sortingAfter({ sort: 'rate', order: 'descending' }, 'program');
  expect(first).toEqual({ sort: 'program', order: 'ascending' });
  expect(sortingAfter(first, 'program')).toEqual({ sort: 'program', order: 'descending' });
});
