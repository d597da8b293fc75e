import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseIp } from '../../base/index.ts';
import { flowHash, PORTS_NONE, portsAt } from './flow-hash.ts';
import { FlowPins } from './flow-pins.ts';

interface Ports {
  readonly source: number;
  readonly destination: number;
}

const portBytes = ({ source, destination }: Ports) => [
  source >> 8,
  source & 255,
  destination >> 8,
  destination & 255,
];

function ipv4(protocol: number, ports: Ports, fragment = 0, options = 0, from = '10.0.0.2'): Uint8Array {
  const header = new Uint8Array(20 + options);
  header[0] = 0x45 + options / 4;
  header[6] = fragment >> 8;
  header[7] = fragment & 255;
  header[9] = protocol;
  header.set(parseIp(from)!, 12);
  header.set(parseIp('10.0.0.3')!, 16);
  return Uint8Array.from([...header, ...portBytes(ports), 1, 2, 3, 4]);
}

function ipv6(chain: readonly number[], ports: Ports): Uint8Array {
  const header = new Uint8Array(40);
  header[0] = 0x60;
  header[6] = chain[0]!;
  header.set(parseIp('fec0::2')!, 8);
  header.set(parseIp('fec0::3')!, 24);
  const extensions = chain.slice(1).flatMap((next) => [next, 1].concat(Array.from({ length: 14 }, () => 9)));
  return Uint8Array.from([...header, ...extensions, ...portBytes(ports), 1, 2, 3, 4]);
}

const hash = (packet: Uint8Array) => flowHash(packet, 0, packet.length);
const WEB = { source: 40_000, destination: 443 };

it('is one for a flow, and differs by ports, protocol and addresses', () => {
  const same = ipv4(6, WEB);
  same[20 + 5] = 99;
  expect(hash(same)).toBe(hash(ipv4(6, WEB)));
  expect(hash(ipv4(6, WEB, 0, 8))).toBe(hash(ipv4(6, WEB)));
  const others = [
    ipv4(6, { source: 40_001, destination: 443 }),
    ipv4(6, { source: 40_000, destination: 444 }),
    ipv4(17, WEB),
    ipv4(6, WEB, 0, 0, '10.0.0.4'),
  ];
  expect(new Set([hash(ipv4(6, WEB)), ...others.map(hash)]).size).toBe(5);
});

it('keeps fragments of a packet together, and knows other protocols by their addresses', () => {
  const first = ipv4(17, WEB, 0x2000);
  const second = ipv4(17, { source: 7, destination: 8 }, 0x0040);
  expect(hash(first)).toBe(hash(second));
  expect(portsAt(first, 0, first.length)).toBe(PORTS_NONE);
  expect(hash(ipv4(1, WEB))).toBe(hash(ipv4(1, { source: 0, destination: 0 })));
});

it('steps over extension headers of IPv6', () => {
  const plain = ipv6([6], WEB);
  const stepped = ipv6([0, 43, 60, 6], WEB);
  expect(portsAt(plain, 0, plain.length)).toBe((6 << 16) | 40);
  expect(portsAt(stepped, 0, stepped.length)).toBe((6 << 16) | 88);
  expect(hash(stepped)).toBe(hash(plain));
  expect(portsAt(ipv6([44], WEB), 0, 48)).toBe(PORTS_NONE);
});

it('reads inside its part of the buffer, whatever is there', () => {
  const bytesOf = fc.uint8Array({ maxLength: 120, size: 'max' });
  const first = fc.constantFrom(0x45, 0x60, 0x4f, 0);
  fc.assert(
    fc.property(bytesOf, first, fc.constantFrom(0, 6, 17, 60), (bytes, version, protocol) => {
      const packet: [number, number][] = [
        [0, version],
        [6, version === 0x60 ? protocol : 0],
        [7, 0],
        [9, protocol],
        [40, 6],
      ];
      for (const [at, value] of packet) if (version > 0 && at < bytes.length) bytes[at] = value;
      const inside = flowHash(bytes, 0, bytes.length);
      const padded = new Uint8Array(bytes.length + 200).fill(0xee);
      padded.set(bytes, 100);
      expect(flowHash(padded, 100, bytes.length)).toBe(inside);
      const ports = portsAt(padded, 100, bytes.length);
      if (ports !== PORTS_NONE) expect((ports & 0xffff) + 4).toBeLessThanOrEqual(bytes.length);
    }),
    { numRuns: 1000 },
  );
});

it('finds the path that a port belongs to', () => {
  const none = { tcpSource: [], tcpDestination: [], udpSource: [], udpDestination: [] };
  const pins = new FlowPins([
    { ...none, tcpDestination: [443], udpSource: [5060] },
    { ...none, tcpDestination: [443, 22], tcpSource: [40_000] },
  ]);
  const pathOf = (packet: Uint8Array) => pins.pathOf(packet, 0, packet.length);
  expect(pathOf(ipv4(6, WEB))).toBe(0);
  expect(pathOf(ipv6([6], { source: 1, destination: 22 }))).toBe(1);
  expect(pathOf(ipv4(6, { source: 40_000, destination: 80 }))).toBe(1);
  expect(pathOf(ipv4(17, { source: 5060, destination: 443 }))).toBe(0);
  expect(pathOf(ipv4(17, WEB))).toBe(-1);
  expect(pathOf(ipv4(132, WEB))).toBe(-1);
  expect(pathOf(ipv4(6, WEB, 0x2000))).toBe(-1);
  expect(new FlowPins([none, none]).isEmpty).toBe(true);
});
