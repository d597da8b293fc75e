/** Output held against lines that were recorded of iproute2 7.1, and of 7.3 where 7.1 prints the same. */
import { describe, expect, it } from 'vitest';
import { EventType, type Endpoint, type MptcpEvent } from '../../mptcp/index.ts';
import { formatEndpoints, formatLimits } from './endpoint-format.ts';
import { eventJsonFields, formatEventLine } from './event-format.ts';
import { jsonArray } from './json-text.ts';
import { choosePalette, type OutputStyle } from './output-style.ts';

const PLAIN: OutputStyle = { json: false, pretty: false, lineEnd: '\n' };
const nameOf = (index: number) => ['', 'lo', 'eth0', 'c1'][index] ?? `if${index}`;
const endpoint = (address: string, id: number, rest: Partial<Endpoint> = {}): Endpoint => ({
  address,
  id,
  port: 0,
  flags: 0,
  linkIndex: 0,
  ...rest,
});

const ENDPOINTS = [
  endpoint('10.0.1.1', 1),
  endpoint('10.0.1.2', 2, { flags: 2, linkIndex: 1 }),
  endpoint('10.0.1.3', 7, { flags: 1 | 4 }),
  endpoint('10.0.1.4', 8, { flags: 2 | 4 | 8 }),
  endpoint('2001:db8::1', 9, { flags: 2 | 32 }),
  endpoint('10.0.1.5', 10, { port: 10100, flags: 1 }),
  endpoint('::ffff:10.0.9.9', 11, { flags: 2 }),
];

describe('endpoints', () => {
  it('as text, every field with a space after it', () => {
    expect(formatEndpoints(ENDPOINTS, nameOf, PLAIN)).toBe(
      [
        '10.0.1.1 id 1 ',
        '10.0.1.2 id 2 subflow dev lo ',
        '10.0.1.3 id 7 signal backup ',
        '10.0.1.4 id 8 subflow backup fullmesh ',
        '2001:db8::1 id 9 subflow laminar ',
        '10.0.1.5 port 10100 id 10 signal ',
        '::ffff:10.0.9.9 id 11 subflow ',
        '',
      ].join('\n'),
    );
  });

  it('with implicit, unknown bits and a link that is gone', () => {
    const odd = endpoint('10.0.0.1', 3, { flags: 4 | 16 | 32 | 0x140, linkIndex: 9 });
    expect(formatEndpoints([odd], nameOf, PLAIN)).toBe(
      '10.0.0.1 id 3 backup implicit laminar rawflags 140 dev if9 \n',
    );
    expect(formatEndpoints([odd], nameOf, { ...PLAIN, json: true })).toBe(
      '[{"address":"10.0.0.1","id":3,"backup":true,"implicit":true,"laminar":true,"rawflags":"140","dev":"if9"}]\n',
    );
  });

  it('on one line', () => {
    expect(formatEndpoints(ENDPOINTS.slice(0, 2), nameOf, { ...PLAIN, lineEnd: '\\' })).toBe(
      '10.0.1.1 id 1 \\10.0.1.2 id 2 subflow dev lo \\',
    );
  });

  it('as JSON, plain and pretty', () => {
    const json = { ...PLAIN, json: true };
    const pretty = { ...json, pretty: true };
    expect(formatEndpoints(ENDPOINTS.slice(0, 2), nameOf, json)).toBe(
      '[{"address":"10.0.1.1","id":1},{"address":"10.0.1.2","id":2,"subflow":true,"dev":"lo"}]\n',
    );
    expect(formatEndpoints(ENDPOINTS.slice(0, 2), nameOf, pretty)).toBe(
      '[ {\n        "address": "10.0.1.1",\n        "id": 1\n    },{\n        "address": "10.0.1.2",\n' +
        '        "id": 2,\n        "subflow": true,\n        "dev": "lo"\n    } ]\n',
    );
    expect([formatEndpoints([], nameOf, json), formatEndpoints([], nameOf, pretty)]).toEqual([
      '[]\n',
      '[ ]\n',
    ]);
  });

  it('in colour, by the background', () => {
    const terminal = { stdoutIsTerminal: true, colorFgBg: undefined };
    const dark = choosePalette('always', terminal)!;
    expect(formatEndpoints(ENDPOINTS.slice(1, 2), nameOf, { ...PLAIN, palette: dark })).toBe(
      '\u001b[1;35m10.0.1.2 \u001b[0mid 2 subflow dev \u001b[1;36mlo \u001b[0m\n',
    );
    const light = choosePalette('auto', { ...terminal, colorFgBg: '0;15' })!;
    expect(formatEndpoints(ENDPOINTS.slice(4, 5), nameOf, { ...PLAIN, palette: light })).toBe(
      '\u001b[34m2001:db8::1 \u001b[0mid 9 subflow laminar \n',
    );
    expect(choosePalette('auto', { ...terminal, stdoutIsTerminal: false })).toBeUndefined();
    expect(choosePalette('never', terminal)).toBeUndefined();
  });

  it('limits are text in any case', () => {
    expect(formatLimits({ addAddrAccepted: 0, subflows: 2 }, { ...PLAIN, json: true })).toBe(
      'add_addr_accepted 0 subflows 2 \n',
    );
  });
});

const EVENTS: readonly (readonly [MptcpEvent, string])[] = [
  [
    { type: EventType.listenerCreated, family: 10, sourceAddress6: '::', sourcePort: 5000 },
    '[LISTENER_CREATED] saddr6=:: sport=5000',
  ],
  [
    {
      type: EventType.created,
      token: 0x227da511,
      remoteId: 0,
      localId: 0,
      sourceAddress4: '10.11.0.2',
      destinationAddress4: '10.11.0.1',
      sourcePort: 34674,
      destinationPort: 5000,
    },
    '[         CREATED] token=227da511 remid=0 locid=0 saddr4=10.11.0.2 daddr4=10.11.0.1 sport=34674 dport=5000',
  ],
  [
    {
      type: EventType.created,
      token: 0xf2ea3564,
      remoteId: 0,
      localId: 0,
      sourceAddress6: '::ffff:10.11.0.1',
      destinationAddress6: '::ffff:10.11.0.2',
      sourcePort: 5000,
      destinationPort: 34674,
      flags: 2,
      serverSide: 1,
    },
    '[         CREATED] token=f2ea3564 remid=0 locid=0 saddr6=::ffff:10.11.0.1 daddr6=::ffff:10.11.0.2 sport=5000 dport=34674 server_side',
  ],
  [
    {
      type: EventType.established,
      token: 0x48c923c3,
      remoteId: 0,
      localId: 0,
      sourceAddress6: 'fd00:11::2',
      destinationAddress6: 'fd00:11::1',
      sourcePort: 53688,
      destinationPort: 5000,
      flags: 1,
    },
    '[     ESTABLISHED] token=48c923c3 remid=0 locid=0 saddr6=fd00:11::2 daddr6=fd00:11::1 sport=53688 dport=5000 deny_join_id0',
  ],
  [
    {
      type: EventType.announced,
      token: 0x227da511,
      remoteId: 2,
      destinationAddress4: '10.12.0.1',
      destinationPort: 6000,
    },
    '[       ANNOUNCED] token=227da511 remid=2 daddr4=10.12.0.1 dport=6000',
  ],
  [
    {
      type: EventType.subflowClosed,
      token: 0xb557939c,
      remoteId: 0,
      localId: 1,
      sourceAddress4: '10.12.0.2',
      destinationAddress4: '10.11.0.1',
      sourcePort: 33105,
      destinationPort: 5000,
      backup: 0,
      error: 104,
      linkIndex: 3,
      resetReason: 0,
      resetFlags: 0,
    },
    '[       SF_CLOSED] token=b557939c remid=0 locid=1 saddr4=10.12.0.2 daddr4=10.11.0.1 sport=33105 dport=5000 backup=0 error=104 ifindex=3 dev=c1 reset_reason=0 reset_flags=0',
  ],
  [{ type: EventType.removed, token: 0x7da511, remoteId: 2 }, '[         REMOVED] token=007da511 remid=2'],
  [
    { type: EventType.listenerClosed, sourceAddress4: '10.12.0.1', sourcePort: 6000 },
    '[ LISTENER_CLOSED] saddr4=10.12.0.1 sport=6000',
  ],
];

/** 2026-11-20 23:28:21.072806 UTC */
const NOW_US = Date.UTC(2026, 10, 20, 23, 28, 21) * 1000 + 72_806;

describe('events', () => {
  it.each(EVENTS)('%j', (event, line) => {
    expect(formatEventLine(event, nameOf, PLAIN, 'none', NOW_US)).toBe(`${line}\n`);
  });

  it('with the time in both forms, in local time', () => {
    const zone = process.env['TZ'];
    process.env['TZ'] = 'UTC';
    const event: MptcpEvent = { type: EventType.closed, token: 1 };
    expect(formatEventLine(event, nameOf, PLAIN, 'long', NOW_US)).toBe(
      'Timestamp: Fri Nov 20 23:28:21 2026 72806 usec\n[          CLOSED] token=00000001\n',
    );
    expect(formatEventLine(event, nameOf, { ...PLAIN, lineEnd: '\\' }, 'short', NOW_US)).toBe(
      '[2026-11-20T23:28:21.072806] [          CLOSED] token=00000001\\',
    );
    expect(jsonArray([eventJsonFields(event, nameOf, 'short', NOW_US)], false)).toBe(
      '[{"timestamp_short":"2026-11-20T23:28:21.072806","event":"CLOSED","token":"0x1"}]\n',
    );
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  });

  it('as JSON: the token and flags in hexadecimal, the rest as numbers', () => {
    const [event] = EVENTS[5]!;
    expect(Object.fromEntries(eventJsonFields(event, nameOf, 'none', NOW_US))).toEqual({
      event: 'SF_CLOSED',
      token: '0xb557939c',
      remid: 0,
      locid: 1,
      saddr4: '10.12.0.2',
      daddr4: '10.11.0.1',
      sport: 33105,
      dport: 5000,
      backup: 0,
      error: 104,
      ifindex: 3,
      dev: 'c1',
      reset_reason: 0,
      reset_flags: '0',
    });
  });

  it('of a kind that is not known only the name', () => {
    expect(formatEventLine({ type: 99, token: 5 }, nameOf, PLAIN, 'none', NOW_US)).toBe(
      '[      UNKNOWN 99]\n',
    );
  });
});
