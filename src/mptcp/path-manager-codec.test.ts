/**
 * Golden bytes: requests as iproute2 6.1 sends them for the command in the test's name (strace), events as Linux 6.18
 * sends them.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  emitBare,
  emitEndpoint,
  emitLimits,
  parseEndpoint,
  parseEvent,
  parseLimits,
} from './path-manager-codec.ts';
import { PathManagerCommand as Command } from './path-manager-codec.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

describe('requests', () => {
  it.each([
    [
      'endpoint add 10.1.0.1 id 7 dev v1 subflow backup',
      emitEndpoint(Command.addAddress, { address: '10.1.0.1', id: 7, linkIndex: 3, flags: 6 }),
      '01010000 2c000180 0500020007000000 0800060006000000 0800070003000000 0600010002000000 080003000a010001',
    ],
    [
      'endpoint add 2001:db8::1 port 10100 signal',
      emitEndpoint(Command.addAddress, { address: '2001:db8::1', port: 10100, flags: 1 }),
      '01010000 30000180 0800060001000000 0600050074270000 060001000a000000 14000400 20010db8000000000000000000000001',
    ],
    [
      'limits set subflows 4 add_addr_accepted 2',
      emitLimits({ subflows: 4, addAddrAccepted: 2 }),
      '05010000 0800020002000000 0800030004000000',
    ],
    [
      'endpoint change id 7 fullmesh',
      emitEndpoint(Command.setFlags, { id: 7, flags: 8 }),
      '07010000 14000180 0500020007000000 0800060008000000',
    ],
    [
      'endpoint delete id 7',
      emitEndpoint(Command.deleteAddress, { id: 7 }),
      '02010000 0c000180 0500020007000000',
    ],
    ['endpoint flush', emitBare(Command.flushAddresses), '04010000'],
  ])('ip mptcp %s', (_command, payload, golden) => expect(hex(payload)).toBe(golden.replaceAll(' ', '')));
});

describe('answers and events', () => {
  it('reads an endpoint and limits back', () => {
    const spec = { address: '2001:db8::1', port: 10100, id: 9, flags: 1, linkIndex: 0 };
    expect(parseEndpoint(emitEndpoint(Command.addAddress, spec))).toEqual(spec);
    expect(parseLimits(emitLimits({ subflows: 4, addAddrAccepted: 2 }))).toEqual({
      subflows: 4,
      addAddrAccepted: 2,
    });
  });

  it('reads SUB_ESTABLISHED with its ports in network order', () => {
    const payload = bytesOf(
      '0a010000 08000100 511da527 06000200 02000000 08000500 0a0c0002 08000700 0a0b0001' +
        '06000900 b95d0000 06000a00 13880000 05000300 01000000 05000400 00000000 05000b00 00000000 08000f00 03000000',
    );
    expect(parseEvent(payload)).toEqual({
      type: 10,
      token: 0x27a51d51,
      family: 2,
      localId: 1,
      remoteId: 0,
      sourceAddress4: '10.12.0.2',
      destinationAddress4: '10.11.0.1',
      sourcePort: 47453,
      destinationPort: 5000,
      backup: 0,
      linkIndex: 3,
    });
  });

  it('never throws on random bytes or truncated messages', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        parseEvent(bytes);
        parseEndpoint(bytes);
        parseLimits(bytes);
      }),
    );
  });
});
