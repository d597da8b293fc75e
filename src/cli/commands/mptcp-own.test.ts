import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventType, type Endpoint, type MptcpConnection, type Subflow } from '../../mptcp/index.ts';
import { connectionsJson, connectionsText, fallbackReason } from './mptcp-connections-view.ts';
import { parseWatch } from './mptcp-connections.ts';
import { countersJson, countersText } from './mptcp-counters.ts';
import { changedFlags, findEndpoint, parseEndpointChange } from './mptcp-endpoint-set.ts';
import { MPTCP_HELP } from './mptcp-help.ts';
import { endpointObject, eventObject } from './mptcp-json.ts';
import { editDistance, nearestWord } from '../../base/index.ts';

describe('endpoint set', () => {
  it.each([
    ['1 +backup', { which: { id: 1 }, add: 4, remove: 0 }],
    ['1 -backup +fullmesh', { which: { id: 1 }, add: 8, remove: 4 }],
    ['1 +backup -backup', { which: { id: 1 }, add: 0, remove: 4 }],
    ['10.0.0.1 -fullmesh', { which: { address: '10.0.0.1' }, add: 0, remove: 8 }],
    ['2001:DB8::1 +backup', { which: { address: '2001:db8::1' }, add: 4, remove: 0 }],
  ])('%s', (line, change) => expect(parseEndpointChange(line.split(' '))).toEqual(change));

  it.each([
    ['', /needed/],
    ['1', /at least one flag/],
    ['0 +backup', /neither an endpoint's id/],
    ['256 +backup', /neither an endpoint's id/],
    ['10.1 +backup', /neither an endpoint's id/],
    ['1 backup', /"\+" or "-"/],
    ['1 +bakup', /did you mean "\+backup"/],
    ['1 -fulmesh', /did you mean "-fullmesh"/],
    ['1 +nonsense', /these can: backup, fullmesh/],
    ['1 +signal', /cannot change "signal".*delete the endpoint/],
  ])('%j is refused with what to do', (line, message) => {
    expect(() => parseEndpointChange(line.split(' ').filter((word) => word !== ''))).toThrow(message);
  });

  it('changes what is named and nothing else', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(15), fc.nat(15), (flags, add, mask) => {
        const remove = mask & ~add;
        const changed = changedFlags(flags, { add, remove });
        expect(changed & add).toBe(add);
        expect(changed & remove).toBe(0);
        expect((changed ^ flags) & ~(add | remove)).toBe(0);
      }),
    );
  });

  it('finds the endpoint that is meant, or says why not', () => {
    const endpoint = (id: number, address: string, port = 0): Endpoint => ({
      id,
      address,
      port,
      flags: 0,
      linkIndex: 0,
    });
    const endpoints = [endpoint(1, '10.0.0.1'), endpoint(2, '10.0.0.2'), endpoint(3, '10.0.0.2', 5000)];
    expect(findEndpoint(endpoints, { id: 2 }).id).toBe(2);
    expect(findEndpoint(endpoints, { address: '10.0.0.1' }).id).toBe(1);
    expect(() => findEndpoint(endpoints, { id: 9 })).toThrow('there is no endpoint with id 9');
    expect(() => findEndpoint(endpoints, { address: '10.0.0.2' })).toThrow('name the id instead: 2, 3');
  });
});

describe('the nearest word', () => {
  it.each([
    ['conections', 'connections'],
    ['conecctions', 'connections'],
    ['cuonters', 'counters'],
    ['counter', 'counters'],
    ['xyz', undefined],
    ['endpoint', undefined],
  ])('%s: %s', (word, near) => expect(nearestWord(word, ['connections', 'counters'])).toBe(near));

  it('a distance is one of a metric', () => {
    const word = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(editDistance(a, a)).toBe(0);
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});

describe('objects of --json', () => {
  it('an endpoint has its flags as a list', () => {
    expect(
      endpointObject({ id: 3, address: '10.0.0.1', port: 5, flags: 2 | 32 | 0x100, linkIndex: 0 }),
    ).toEqual({ id: 3, address: '10.0.0.1', port: 5, flags: ['subflow', 'laminar'], unknownFlags: 256 });
  });

  it('an event has names instead of numbers', () => {
    const event = {
      type: EventType.subflowClosed,
      token: 0xabc,
      localId: 1,
      remoteId: 0,
      sourceAddress4: '10.0.0.1',
      sourcePort: 1,
      destinationAddress4: '10.0.0.2',
      destinationPort: 2,
      backup: 0,
      error: 104,
      resetReason: 3,
      resetFlags: 1,
    };
    expect(JSON.parse(JSON.stringify(eventObject(event, 'now')))).toEqual({
      time: 'now',
      event: 'subflow-closed',
      token: '0x00000abc',
      localId: 1,
      remoteId: 0,
      local: { address: '10.0.0.1', port: 1 },
      remote: { address: '10.0.0.2', port: 2 },
      backup: false,
      error: 'ECONNRESET',
      resetReason: 'administratively prohibited',
      resetTransient: true,
    });
    expect(JSON.parse(JSON.stringify(eventObject({ type: 77, flags: 3 }, 'now')))).toEqual({
      time: 'now',
      event: 'unknown-77',
      serverSide: true,
      denyJoinId0: true,
    });
  });
});

const subflow = (rest: Partial<Subflow>): Subflow => ({
  localAddress: '10.1.0.2',
  localPort: 40000,
  remoteAddress: '10.9.0.1',
  remotePort: 443,
  localId: 0,
  remoteId: 0,
  initial: true,
  backupLocal: false,
  backupRemote: false,
  linkIndex: 0,
  state: 'established',
  ...rest,
  tcp: { rttUs: 12_400, bytesSent: 1_000_000, bytesReceived: 2_000_000, ...rest.tcp } as Subflow['tcp'],
});

const connection = (rest: Partial<MptcpConnection>): MptcpConnection => ({
  token: 0x1a2b3c4d,
  state: 'established',
  localAddress: '10.1.0.2',
  localPort: 40000,
  remoteAddress: '10.9.0.1',
  remotePort: 443,
  uid: 0,
  inode: 1,
  receiveQueueBytes: 0,
  sendQueueBytes: 0,
  fallback: false,
  subflows: [subflow({}), subflow({ localAddress: '10.2.0.2', initial: false, backupLocal: true })],
  ...rest,
  info: {
    bytesSent: 2_000_000,
    bytesReceived: 4_000_000,
    subflows: 1,
    subflowsMax: 8,
    remoteKeyReceived: true,
    ...rest.info,
  } as MptcpConnection['info'],
});

const linkOf = (address: string) => (address === '10.1.0.2' ? 'eth0' : 'wlan0');

describe('connections', () => {
  it('one line for each connection, one below for each subflow', () => {
    expect(connectionsText({ connections: [connection({})], atMs: 0 }, linkOf, 80)).toBe(
      [
        'CONNECTION      RTT    SENT  RECEIVED  FROM → TO',
        '0x1a2b3c4d           2.0 MB    4.0 MB  10.1.0.2:40000 → 10.9.0.1:443',
        '  eth0      12.4 ms  1.0 MB    2.0 MB  10.1.0.2:40000 → 10.9.0.1:443',
        '  wlan0     12.4 ms  1.0 MB    2.0 MB  10.2.0.2:40000 → 10.9.0.1:443',
        '      backup (asked for here)',
        '',
      ].join('\n'),
    );
  });

  it('with rates when there was a reading before', () => {
    const earlier = { connections: [connection({ info: { bytesReceived: 3_000_000 } as never })], atMs: 0 };
    const text = connectionsText({ connections: [connection({})], atMs: 2000 }, linkOf, 200, earlier);
    expect(text).toMatch(/^0x1a2b3c4d .* 4\.0 MB +- +4\.0 Mbit\/s {2}10\.1/m);
  });

  it('says why a connection is plain TCP, that limits are reached, and what is out of order', () => {
    const early = connection({ fallback: true, info: { remoteKeyReceived: false } as never });
    expect(fallbackReason(early)).toMatch(/did not answer with MPTCP/);
    expect(fallbackReason(connection({ fallback: true }))).toMatch(/data came without MPTCP/);
    expect(fallbackReason(connection({}))).toBeUndefined();
    const full = connection({
      state: 'close-wait',
      info: { subflows: 8 } as never,
      subflows: [subflow({ state: 'syn-sent', tcp: { timeoutsInRow: 3 } as never })],
    });
    const text = connectionsText({ connections: [full, early], atMs: 0 }, linkOf, 64);
    expect(text).toContain('close-wait, the limit of 8 additional subflows is reached');
    expect(text).toContain('syn-sent, no answer to 3 tries');
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(64);
  });

  it('none', () => {
    expect(connectionsText({ connections: [], atMs: 0 }, linkOf, 80)).toMatch(/^No MPTCP connections/);
    expect(connectionsJson({ connections: [], atMs: 0 }, linkOf, 'now')).toBe('');
  });

  it('as JSON, one object a line', () => {
    const text = connectionsJson(
      { connections: [connection({}), connection({ token: 1 })], atMs: 0 },
      linkOf,
      'now',
    );
    const objects = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(objects.map(({ token }) => token)).toEqual(['0x1a2b3c4d', '0x00000001']);
    expect(objects[0]).toMatchObject({ time: 'now', subflows: [{ link: 'eth0' }, { link: 'wlan0' }] });
  });

  it.each([
    [[], undefined],
    [['--watch'], 1],
    [['--watch', '0.5'], 0.5],
  ])('%j', (words, seconds) => expect(parseWatch(words)).toBe(seconds));

  it.each([
    [['--wach'], 'did you mean "--watch"?'],
    [['all'], 'weft mptcp connections [--watch'],
    [['--watch', '0'], '"0" is not a number of seconds'],
    [['--watch', 'soon'], '"soon" is not a number'],
    [['--watch', '1', '2'], '"2" is not understood'],
  ])('%j is refused', (words, text) => expect(() => parseWatch(words)).toThrow(text));
});

describe('counters', () => {
  const counters = new Map([
    ['MPCapableSYNTX', 2],
    ['MPJoinSynTxBindErr', 1],
    ['MPTCPRetrans', 0],
    ['SomethingNew', 7],
  ]);

  it('in groups, zeros only when asked for', () => {
    const text = countersText(counters, false, 80);
    expect(text).toMatch(/^connections\n {2}2 {2}MPCapableSYNTX +connections started here/);
    expect(text).toMatch(/\nother\n {2}7 {2}SomethingNew +not known/);
    expect(text).not.toContain('MPTCPRetrans');
    expect(countersText(counters, true, 80)).toContain('MPTCPRetrans');
    expect(countersText(new Map(), false, 80)).toMatch(/^Nothing yet/);
  });

  it('as JSON, one object a line', () => {
    const lines = countersJson(counters, false).trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { name: string }).name)).toEqual([
      'MPCapableSYNTX',
      'MPJoinSynTxBindErr',
      'SomethingNew',
    ]);
  });
});

it('the help fits a terminal', () => {
  for (const line of MPTCP_HELP.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
});
