import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatIp, inPrefix, networkOf, type Prefix } from '../../base/index.ts';
import { choosePrefixes, endsOf, isTaken } from './prefixes.ts';

const ipv4Prefix: fc.Arbitrary<Prefix> = fc
  .tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.integer({ min: 2, max: 32 }))
  .map(([bytes, length]) => ({ address: networkOf(formatIp(bytes), length), length }));

const ipv6Prefix: fc.Arbitrary<Prefix> = fc
  .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 4, max: 128 }))
  .map(([bytes, length]) => ({ address: networkOf(formatIp(bytes), length), length }));

const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '198.18.0.0/15'].map((text) => {
  const [address = '', length] = text.split('/');
  return { address, length: Number(length) };
});

describe('prefixes of a link', () => {
  it('are private, and overlap with nothing that is taken', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.array(fc.oneof(ipv4Prefix, ipv6Prefix), { maxLength: 40 }),
        (seed, taken) => {
          let chosen;
          try {
            chosen = choosePrefixes(seed, taken);
          } catch (error) {
            expect(error).toMatchObject({ code: 'NO_PREFIX' });
            return;
          }
          expect(isTaken(chosen, taken)).toBe(false);
          expect(PRIVATE.some((pool) => inPrefix(chosen.ipv4.address, pool))).toBe(true);
          expect(inPrefix(chosen.ipv6.address, { address: 'fd00::', length: 8 })).toBe(true);
          expect(chosen.ipv4).toEqual({ address: networkOf(chosen.ipv4.address, 30), length: 30 });
          expect(chosen.ipv6).toEqual({ address: networkOf(chosen.ipv6.address, 64), length: 64 });
        },
      ),
    );
  });

  it('are the same for the same link, and others for another', () => {
    expect(choosePrefixes('m eth0', [])).toEqual(choosePrefixes('m eth0', []));
    expect(choosePrefixes('m eth0', [])).not.toEqual(choosePrefixes('m eth1', []));
  });

  it('come from the next pool when the host knows all of one', () => {
    const pools = PRIVATE.map((_, count) => choosePrefixes('x', PRIVATE.slice(0, count)).ipv4.address);
    expect(pools.map((address, i) => inPrefix(address, PRIVATE[i]!))).toEqual([true, true, true, true]);
    expect(() => choosePrefixes('x', PRIVATE)).toThrow(/no private network is free.*narrow one of them/);
  });

  it('have the host first and the guest second', () => {
    expect(endsOf({ address: '10.0.7.4', length: 30 })).toEqual({
      host: { address: '10.0.7.5', length: 30 },
      guest: { address: '10.0.7.6', length: 30 },
    });
    expect(endsOf({ address: 'fd00:7::', length: 64 }).guest.address).toBe('fd00:7::2');
  });
});
