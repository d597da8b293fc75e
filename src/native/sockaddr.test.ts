import fc from 'fast-check';
import { expect, it } from 'vitest';
import { canonicalIp } from '../base/index.ts';
import { emitSockaddr, emitSockaddrNetlink, parseSockaddr } from './sockaddr.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

it('writes what <linux/in.h>, <linux/in6.h> and <linux/netlink.h> say', () => {
  expect(hex(emitSockaddr({ address: '10.0.0.1', port: 8080 }))).toBe('02001f900a0000010000000000000000');
  expect(hex(emitSockaddr({ address: 'fe80::1', port: 80, scopeId: 3 }))).toBe(
    '0a00005000000000fe80000000000000000000000000000103000000',
  );
  expect(hex(emitSockaddrNetlink(7, 5))).toBe('100000000700000005000000');
});

it('reads back any address and port', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6()).map((text) => canonicalIp(text)!);
  fc.assert(
    fc.property(address, fc.nat(0xffff), (text, port) => {
      expect(parseSockaddr(emitSockaddr({ address: text, port }))).toEqual({ address: text, port });
    }),
  );
});

it('refuses what is not an address, and reads nothing from truncated or foreign bytes', () => {
  expect(() => emitSockaddr({ address: 'example.org', port: 80 })).toThrow(
    '"example.org" is not an IP address',
  );
  const v6 = emitSockaddr({ address: '::1', port: 1 });
  for (let length = 0; length < v6.length; length++)
    expect(parseSockaddr(v6.subarray(0, length))).toBeUndefined();
  expect(parseSockaddr(new Uint8Array(128))).toBeUndefined();
});
