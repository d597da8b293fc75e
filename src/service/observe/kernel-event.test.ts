import { expect, it } from 'vitest';
import { EventType, type MptcpEvent } from '../../mptcp/index.ts';
import type { EndpointReport } from '../control-api.ts';
import { compareHost } from './host-changes-told.ts';
import { describeKernelEvent } from './kernel-event.ts';
import type { HostReading } from './sources.ts';

const surroundings = {
  linkName: (index: number) => (index === 3 ? 'wlan0' : undefined),
  errorText: (errno: number) => `error ${errno}`,
};

const SUBFLOW: Omit<MptcpEvent, 'type'> = {
  token: 0x1f00ba7,
  family: 2,
  localId: 1,
  remoteId: 0,
  sourceAddress4: '10.0.0.2',
  destinationAddress4: '203.0.113.9',
  sourcePort: 4000,
  destinationPort: 443,
  backup: 0,
  linkIndex: 3,
};

const textOf = (event: MptcpEvent) => describeKernelEvent(event, 7, surroundings).text;

it.each([
  [{ type: EventType.established, ...SUBFLOW }, 'connection m1f00ba7 to 203.0.113.9:443 is established'],
  [
    { type: EventType.established, ...SUBFLOW, flags: 1 },
    'connection m1f00ba7 to 203.0.113.9:443 is established; the other end takes no joins at this address (C flag)',
  ],
  [{ type: EventType.closed, token: 7 }, 'connection m7 is closed'],
  [
    {
      type: EventType.announced,
      token: 7,
      remoteId: 2,
      destinationAddress6: '2001:db8::9',
      destinationPort: 80,
    },
    'the other end of m7 announces its address [2001:db8::9]:80',
  ],
  [{ type: EventType.removed, token: 7, remoteId: 2 }, 'the other end of m7 withdraws its address with id 2'],
  [
    { type: EventType.subflowEstablished, ...SUBFLOW, backup: 1 },
    'm1f00ba7 has a backup subflow from 10.0.0.2:4000 to 203.0.113.9:443 over wlan0',
  ],
  [
    { type: EventType.subflowClosed, ...SUBFLOW, error: 104, resetReason: 3 },
    'm1f00ba7 has lost its subflow from 10.0.0.2:4000 to 203.0.113.9:443 over wlan0: error 104, reset: administratively prohibited',
  ],
  [
    { type: EventType.subflowPriority, ...SUBFLOW, backup: 1, linkIndex: 99 },
    'the subflow of m1f00ba7 from 10.0.0.2:4000 to 203.0.113.9:443 is backup now',
  ],
  [
    { type: EventType.listenerCreated, sourceAddress6: '::ffff:10.0.0.2', sourcePort: 5000 },
    'the kernel listens on 10.0.0.2:5000 for subflows',
  ],
  [{ type: 77, token: 7 }, 'event 77 of m7'],
])('says %o in words', (event, text) => {
  expect(textOf(event)).toBe(text);
});

it('has the kernel’s fields under the kernel’s names, and none that it did not send', () => {
  const event = { type: EventType.subflowClosed, ...SUBFLOW, error: 104, resetReason: 3, resetFlags: 1 };
  expect(describeKernelEvent(event, 7, surroundings)).toMatchObject({
    time: 7,
    kind: 'mptcp',
    event: 'subflow-closed',
    fields: {
      token: '0x1f00ba7',
      loc_id: 1,
      rem_id: 0,
      saddr4: '10.0.0.2',
      daddr4: '203.0.113.9',
      sport: 4000,
      dport: 443,
      error: 104,
      if_idx: 3,
      dev: 'wlan0',
      reset_reason: 3,
      reset_flags: 1,
    },
  });
  expect(Object.keys(describeKernelEvent({ type: 3, token: 7 }, 7, surroundings).fields)).toEqual(['token']);
});

const endpoint = (id: number, flags: readonly string[] = ['subflow']): EndpointReport => ({
  id,
  address: `10.0.0.${id}`,
  port: 0,
  link: 'wlan0',
  flags,
  ours: false,
});

const host = (endpoints: readonly EndpointReport[], subflows = 2): HostReading => ({
  paths: [],
  ignoredLinks: [],
  endpoints,
  limits: { subflows, addAddrAccepted: 0 },
  explanation: [],
  mayChange: true,
});

it('finds what has changed of endpoints and limits', () => {
  const changes = compareHost(
    host([endpoint(1), endpoint(2), endpoint(3)]),
    host([endpoint(2, ['subflow', 'backup']), endpoint(3), endpoint(4)], 4),
  );
  expect(changes.map(({ event, kind, text }) => `${kind} ${event}: ${text}`)).toEqual([
    'endpoint changed: endpoint 2, 10.0.0.2 dev wlan0 is subflow backup now',
    'endpoint added: endpoint 4, 10.0.0.4 dev wlan0 (subflow) was added',
    'endpoint removed: endpoint 1, 10.0.0.1 dev wlan0 was removed',
    'limits changed: limits: 4 subflows beside the first, 0 announced addresses accepted',
  ]);
  expect(compareHost(host([endpoint(1)]), host([endpoint(1)]))).toEqual([]);
});
