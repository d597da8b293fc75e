/**
 * Golden bytes: what iproute2 6.1 sent for the command in the test's name (strace), and what Linux 6.18 answered.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emitAddress, parseAddress } from './address.ts';
import { emitNewLink, parseLink } from './link.ts';
import { emitMessage, NLMSG_ERROR, parseMessages, parseVerdict } from './message.ts';
import { emitNewRoute, emitRouteLookup, parseRoute } from './route.ts';
import { emitRule, parseRule } from './rule.ts';
import { parseRouteEvent } from './route-netlink.ts';
import { RTNH_F_ONLINK } from './route-types.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

describe('messages', () => {
  it('reads back what it wrote, several in one datagram', () => {
    const one = emitMessage(24, 5, 7, Uint8Array.of(1, 2, 3));
    const two = emitMessage(25, 1, 8, new Uint8Array(0));
    const [first, second, ...rest] = parseMessages(Buffer.concat([one, two]));
    expect(first).toMatchObject({ type: 24, flags: 5, sequence: 7 });
    expect(hex(first!.payload)).toBe('010203');
    expect(second).toMatchObject({ type: 25, flags: 1, sequence: 8 });
    expect(rest).toEqual([]);
  });

  it('reads a refusal with the text and offset of its extended ACK', () => {
    // "limit greater than maximum (8)" at offset 20, the answer to a limits request of 28 bytes (capped).
    const text = '6c696d69742067726561746572207468616e206d6178696d756d20283829 00';
    const payload = bytesOf(
      `eaffffff 1c000000 2100 0500 01000000 00000000 2300 0100 ${text} 00 0800 0200 14000000`,
    );
    const verdict = parseVerdict({ type: NLMSG_ERROR, flags: 0x300, sequence: 1, portId: 0, payload });
    expect(verdict).toEqual({ errno: 22, text: 'limit greater than maximum (8)', offset: 20 });
  });

  it('never throws on random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 96 }), fc.nat(0xffff), (payload, type) => {
        parseMessages(payload);
        const message = { type, flags: 0x300, sequence: 0, portId: 0, payload };
        parseVerdict(message);
        parseRouteEvent({ ...message, type: 16 + (type % 18) });
      }),
    );
  });
});

describe('routes and rules', () => {
  it('ip route add default via 10.1.0.9 dev v1 table 1000 proto 178 metric 5 onlink', () => {
    const payload = emitNewRoute({
      gateway: '10.1.0.9',
      table: 1000,
      protocol: 178,
      linkIndex: 3,
      priority: 5,
      flags: RTNH_F_ONLINK,
    });
    expect(hex(payload.subarray(0, 12))).toBe('0200000000b2000104000000');
    expect(parseRoute(payload)).toEqual({
      family: 2,
      table: 1000,
      protocol: 178,
      scope: 0,
      type: 1,
      flags: 4,
      gateway: '10.1.0.9',
      linkIndex: 3,
      priority: 5,
    });
  });

  it('reads an IPv4 route through an IPv6 gateway', () => {
    const route = { family: 2, gateway: 'fe80::1', table: 254, linkIndex: 3 } as const;
    expect(parseRoute(emitNewRoute(route))).toMatchObject({ family: 2, gateway: 'fe80::1', linkIndex: 3 });
  });

  it('reads a multipath route', () => {
    // default proto static, nexthop via 10.1.0.9 dev 3 weight 1, nexthop via 10.2.0.9 dev 4 weight 1
    const hop = (dev: string, gateway: string) => `1000 00 00 ${dev} 0800 0500 ${gateway}`;
    const payload = bytesOf(
      `02000000 fe040001 00000000 2400 0900 ${hop('03000000', '0a010009')} ${hop('04000000', '0a020009')}`,
    );
    expect(parseRoute(payload)?.nextHops).toEqual([
      { linkIndex: 3, gateway: '10.1.0.9' },
      { linkIndex: 4, gateway: '10.2.0.9' },
    ]);
  });

  it('ip route get 10.1.0.5 from 10.1.0.1 oif v1', () => {
    const query = { destination: '10.1.0.5', source: '10.1.0.1', outputLinkIndex: 3 };
    expect(hex(emitRouteLookup(query))).toBe(
      '022020000000000000100000080001000a010005080002000a0100010800040003000000',
    );
  });

  it('ip rule add from 10.1.0.1 lookup 1000 pref 1000 proto 178', () => {
    const spec = { priority: 1000, source: { address: '10.1.0.1', length: 32 }, table: 1000, protocol: 178 };
    const payload = emitRule(spec);
    expect(hex(payload.subarray(0, 12))).toBe('020020000000000100000000');
    expect(parseRule(payload)).toEqual({ family: 2, action: 1, ...spec });
  });

  it('reads back any rule and any route that it writes', () => {
    const v6 = fc.ipV6().map((text) => ({ address: text, length: 128 }));
    fc.assert(
      fc.property(v6, fc.nat(0xffffffff), fc.nat(0xffffffff), (source, priority, table) => {
        const rule = parseRule(emitRule({ priority, source, table, protocol: 178 }));
        expect(rule).toMatchObject({ priority, table, protocol: 178, source: { length: 128 } });
        const route = parseRoute(
          emitNewRoute({ family: 10, table, priority, destination: source, linkIndex: 9 }),
        );
        expect(route).toMatchObject({ table, priority, linkIndex: 9, destination: rule?.source });
      }),
    );
  });
});

describe('links and addresses', () => {
  it('takes the own address of a point-to-point link, not the peer', () => {
    // inet 10.9.9.1 peer 10.9.9.2/32 scope global
    const payload = emitAddress({ linkIndex: 3, address: '10.9.9.1', prefixLength: 32, peer: '10.9.9.2' });
    expect(parseAddress(payload)).toMatchObject({ address: '10.9.9.1', peer: '10.9.9.2', linkIndex: 3 });
  });

  it('makes no address of bytes that are none', () => {
    // ifaddrmsg of IPv4, then IFA_LOCAL of 3 bytes, or none at all
    expect(parseAddress(bytesOf('02180000 03000000 0700 0200 0a0101 00'))).toBeUndefined();
    expect(parseAddress(bytesOf('02180000 03000000'))).toBeUndefined();
  });

  it('writes a veth with its peer', () => {
    const link = parseLink(
      emitNewLink({ name: 'wifi0', kind: 'veth', peer: { name: 'r0', netnsFd: 9 }, mtuBytes: 1400 }),
    );
    expect(link).toMatchObject({ name: 'wifi0', kind: 'veth', mtuBytes: 1400 });
  });
});
