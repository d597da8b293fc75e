import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TunnelReport } from '../service/index.ts';
import type { TunnelPathStatus } from '../tunnel/index.ts';
import { parseAddressPair, parseNetwork, parsePath } from './tunnel-pair-words.ts';
import { formatTunnelEvent, formatTunnelReports } from './tunnel-text.ts';

describe('words of weft tunnel init', () => {
  it('are read', () => {
    expect(parseAddressPair('10.0.0.1/24, FD00::0:1/64')).toEqual({
      value: [
        { address: '10.0.0.1', length: 24 },
        { address: 'fd00::1', length: 64 },
      ],
    });
    expect(parsePath('eth1=10.1.1.2,a=b=fe80::1,weight=3,public1=auto,via2=10.0.0.9')).toEqual({
      value: {
        ends: [
          { interfaceName: 'eth1', address: '10.1.1.2', publicAddress: 'auto' },
          { interfaceName: 'a=b', address: 'fe80::1', gateway: '10.0.0.9' },
        ],
        weight: 3,
      },
    });
    expect(parseNetwork('b=10.0.0.0/8', ['a', 'b'])).toEqual({
      value: [1, { address: '10.0.0.0', length: 8 }],
    });
  });

  it.each([
    [parseAddressPair('10.0.0.1,10.0.0.2'), /is not ADDRESS\/LENGTH/],
    [parseAddressPair('10.0.0.1/33,10.0.0.2/8'), /is not ADDRESS\/LENGTH/],
    [parseNetwork('c=10.0.0.0/8', ['a', 'b']), /"c" is no end: a, b/],
    [parseNetwork('a=10.0.0.1/8', ['a', 'b']), /is it 10\.0\.0\.0\/8\?/],
    [parsePath('eth1=10.1.1.2'), /is not LINK=ADDRESS,LINK=ADDRESS/],
    [parsePath('eth1=10.1.1.2,eth/2=10.1.1.3'), /no "\/"/],
    [parsePath('a=::1,b=::2,weight=0'), /1 to 10000/],
    [parsePath('a=::1,b=::2,publik1=auto'), /did you mean "public1"/],
    [parsePath('a=::1,b=::2,via1=auto'), /via1 = "auto" is no address/],
  ])('or refused: %j', (parsed, message) => {
    expect(parsed).toMatchObject({ problem: expect.stringMatching(message) });
  });

  it('never throw', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const parsed of [parsePath(text), parseAddressPair(text), parseNetwork(text, ['a', 'b'])]) {
          expect('value' in parsed || parsed.problem !== '').toBe(true);
        }
      }),
    );
  });
});

const PATH: TunnelPathStatus = {
  interfaceName: 'eth1',
  ipVersion: 4,
  publicAddress: '203.0.113.7',
  privateAddress: '192.168.1.7',
  remoteAddress: '198.51.100.1',
  localPort: 4754,
  remotePort: 4754,
  status: 0,
  isUsable: true,
  isLinkUp: true,
  isWeft: true,
  weightIn: 1,
  weightOut: 3,
  keepaliveMs: 50,
  deadMs: 200,
  rttUs: 12_345,
  jitterUs: 100,
  lossRatio: 0.012,
  mtu: 1500,
  sentBps: 94_300_000,
  receivedBps: 0,
  sentPackets: 1,
  sentBytes: 1,
  sendDropped: 0,
  receivedPackets: 0,
  receivedBytes: 0,
  strangers: 2,
  malformed: 0,
  keepalivesSent: 1,
  keepalivesReceived: 1,
  keepalivesRefused: 0,
  peerRestarts: 0,
};

const REPORT: TunnelReport = {
  apiVersion: 1,
  version: '1.2.3',
  pid: 7,
  upForMs: 65_000,
  folder: '/etc/mpt/conf',
  tunnel: {
    interfaceName: 'tun0',
    mtu: 1440,
    ipv4: '10.0.0.1/24',
    commandPort: 65_050,
    acceptRemote: true,
    uptimeS: 65,
    hasVirtioHeader: true,
    hasTcpOffload: true,
    hasUdpOffload: false,
    troubles: ['this kernel has no USO'],
  },
  connections: [
    {
      file: 'office.conf',
      name: 'office',
      origin: 'file',
      ipVersion: 4,
      localAddress: '10.0.0.1',
      remoteAddress: '10.0.0.2',
      localPort: 4754,
      remotePort: 4754,
      remoteCommandPort: 65_050,
      authType: 2,
      scheduler: 'adaptive',
      reorderWindow: 1000,
      maxDelayMs: 100,
      networks: [{ source: '192.168.1.0/24', destination: '192.168.2.0/24' }],
      innerMtu: 1464,
      sentPackets: 1,
      sentBytes: 1000,
      noPath: 0,
      tooBig: 4,
      receivedPackets: 0,
      receivedBytes: 0,
      late: 0,
      duplicate: 0,
      missing: 0,
      restarts: 0,
      waiting: 0,
      copies: 0,
      paths: [PATH, { ...PATH, status: 0x83, isUsable: false, lossRatio: 0 }],
    },
  ],
  totals: { noConnection: 3, malformed: 0, tunReads: 0, tunWrites: 0, tunWriteErrors: 0 },
  control: { localCommands: 0, executed: 0, repeated: 0, strays: 0, drops: { token: 5 }, exchanges: 0 },
};

describe('a report', () => {
  it('says what there is, what is measured, and what is wrong, in 80 columns', () => {
    const text = formatTunnelReports([REPORT], 80);
    expect(text).toBe(`tun0: 10.0.0.1/24, mtu 1440, command port 65050, peers may create connections; 1
connection.

office (office.conf): 10.0.0.1 to 10.0.0.2, which is Weft too; 1 of 2 paths
usable; scheduler adaptive, reordering 1000 packets, 100 ms, authentication
SHA-256, packets up to 1464 bytes.
  path    from                       to            state     weight   mtu
  0 eth1  192.168.1.7 (203.0.113.7)  198.51.100.1  up             3  1500
  1 eth1  192.168.1.7 (203.0.113.7)  198.51.100.1  set down       3  1500
  path        rtt  jitter   loss         sent  received  dead after
  0 eth1  12.3 ms  100 µs  1.2 %  94.3 Mbit/s   0 bit/s      200 ms
  1 eth1  12.3 ms  100 µs    0 %  94.3 Mbit/s   0 bit/s      200 ms
  Networks: 192.168.1.0/24 to 192.168.2.0/24.
  Sent 1 packet (1.0 kB), received 0 (0 B).
  Counted: too long 4, from strangers 4.

this kernel has no USO
Counted: packets that belong to no connection 3, control messages dropped 5.
Configuration "/etc/mpt/conf". Weft 1.2.3, process 7, running for 1 min 5 s.
`);
  });

  it('fits any terminal', () => {
    for (const width of [60, 80, 100, 120]) {
      for (const line of formatTunnelReports([REPORT], width).split('\n')) {
        expect(line.length, line).toBeLessThanOrEqual(width);
      }
    }
  });
});

it('events are lines, and never more than one', () => {
  const stamp = { atMs: 1, file: 'a.conf', name: 'x\ny', path: 0 };
  expect(
    formatTunnelEvent({ ...stamp, kind: 'path-status', status: 0x80, before: 0, isUsable: false }),
  ).toEqual({ level: 'warn', text: 'x\\x0ay: path 0 is down, was up' });
  expect(
    formatTunnelEvent({
      atMs: 1,
      kind: 'reload',
      ok: true,
      added: ['b.conf'],
      changed: [],
      removed: ['c.conf', 'd.conf'],
      unchanged: [],
      errors: [],
    }),
  ).toEqual({ level: 'info', text: 'reload: added b.conf; removed c.conf, d.conf' });
});
