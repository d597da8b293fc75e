import fc from 'fast-check';
import { expect, it } from 'vitest';
import { inPrefix, networkOf, parseIp, type Prefix } from '../../base/index.ts';
import { ConnectionLookup, NO_CONNECTION, type ConnectionAddresses } from './connection-lookup.ts';

const V4 = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '192.168.1.9', '192.168.2.9', '8.8.8.8'];
const V6 = ['fd00::1', 'fd00::2', 'fd00:0:0:1::1', 'fd00:ffff::9', '2001:db8::1'];
const LENGTHS = [0, 8, 13, 24, 31, 32, 48, 63, 64, 127, 128];

const prefixes: fc.Arbitrary<Prefix> = fc
  .tuple(fc.constantFrom(...V4, ...V6), fc.constantFrom(...LENGTHS))
  .map(([address, length]) => ({ address, length: Math.min(length, address.includes(':') ? 128 : 32) }))
  .map(({ address, length }) => ({ address: networkOf(address, length), length }));

interface Described {
  readonly order: number;
  readonly pair: readonly string[];
  readonly sources: readonly Prefix[];
  readonly destinations: readonly Prefix[];
}

const connections: fc.Arbitrary<Described> = fc.record({
  order: fc.nat(5),
  pair: fc.constantFrom(V4, V6).chain((all) => fc.tuple(fc.constantFrom(...all), fc.constantFrom(...all))),
  sources: fc.array(prefixes, { maxLength: 3 }),
  destinations: fc.array(prefixes, { maxLength: 3 }),
});

function toAddresses(id: number, { order, pair, sources, destinations }: Described): ConnectionAddresses {
  const [local, remote] = pair.map((address) => parseIp(address)!);
  return {
    id,
    order,
    ipVersion: local!.length === 4 ? 4 : 6,
    localAddress: local!,
    remoteAddress: remote!,
    sources,
    destinations,
  };
}

/** An IP header with these addresses. */
function header(source: string, destination: string): Uint8Array {
  const [from, to] = [parseIp(source)!, parseIp(destination)!];
  const packet = new Uint8Array(40);
  packet[0] = from.length === 4 ? 0x45 : 0x60;
  packet.set(from, from.length === 4 ? 12 : 8);
  packet.set(to, from.length === 4 ? 16 : 24);
  return packet;
}

const find = (lookup: ConnectionLookup, packet: Uint8Array) =>
  lookup.find(new DataView(packet.buffer), packet, 0);

function naiveFind(all: ReadonlyMap<number, Described>, source: string, destination: string): number {
  const ordered = [...all].sort(([, a], [, b]) => a.order - b.order);
  const found = ordered.find(
    ([, { pair, sources, destinations }]) =>
      (pair[0] === source || sources.some((network) => inPrefix(source, network))) &&
      (pair[1] === destination || destinations.some((network) => inPrefix(destination, network))),
  );
  return found?.[0] ?? NO_CONNECTION;
}

const ALL_PAIRS = [V4, V6].flatMap((all) =>
  all.flatMap((source) => all.map((destination) => [source, destination] as const)),
);

it('finds the first connection in order, as looking through all does, while they come and go', () => {
  const steps = fc.array(
    fc.oneof(fc.record({ id: fc.nat(4), set: connections }), fc.record({ id: fc.nat(4) })),
    {
      maxLength: 12,
    },
  );
  fc.assert(
    fc.property(steps, (sequence) => {
      const lookup = new ConnectionLookup();
      const model = new Map<number, Described>();
      for (const step of sequence) {
        if ('set' in step) {
          // Equal orders do not occur.
          const described = { ...step.set, order: step.set.order * 10 + step.id };
          lookup.set(toAddresses(step.id, described));
          model.set(step.id, described);
        } else {
          lookup.delete(step.id);
          model.delete(step.id);
        }
        for (const [source, destination] of ALL_PAIRS) {
          const packet = header(source, destination);
          const expected = naiveFind(model, source, destination);
          // Twice: searched, and remembered.
          expect([find(lookup, packet), find(lookup, packet)]).toEqual([expected, expected]);
        }
      }
    }),
  );
});

it('does not mistake one pair for another that falls into the same slot', () => {
  const lookup = new ConnectionLookup();
  const everything = [{ address: '0.0.0.0', length: 0 }];
  lookup.set(
    toAddresses(0, {
      order: 0,
      pair: ['1.0.0.1', '1.0.0.2'],
      sources: everything,
      destinations: [{ address: '10.0.0.0', length: 8 }],
    }),
  );
  for (let round = 0; round < 2; round++) {
    for (let host = 0; host < 2000; host++) {
      const last = `${host >> 8}.${host & 255}`;
      expect(find(lookup, header('1.2.3.4', `10.0.${last}`))).toBe(0);
      expect(find(lookup, header('1.2.3.4', `11.0.${last}`))).toBe(NO_CONNECTION);
    }
  }
});
