/** Values and helpers for tests of MPT's control protocol: guide figure 3's addresses, keys, requests. */
import { parseIp } from '../../src/base/index.ts';
import { keyOf, DEFAULT_KEY_TEXT } from '../../src/tunnel/control/authentication.ts';
import type { ExchangeRequest } from '../../src/tunnel/control/exchange.ts';
import { emitPathChange } from '../../src/tunnel/control/path-status.ts';

/** 16 bytes; IPv4 mapped. */
export function mapped(address: string): Uint8Array {
  return parseIp(address.includes(':') ? address : `::ffff:${address}`)!;
}

export const A = mapped('10.0.0.2');
export const B = mapped('10.0.0.3');
export const DEFAULT_KEY = keyOf(DEFAULT_KEY_TEXT);
export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Path 0 of side A set down or up. */
export function pathRequest(authType: 0 | 1 | 2, status: number): ExchangeRequest {
  return {
    command: 0xa2,
    status,
    authType,
    ipVersion: 4,
    ipLocal: A,
    ipRemote: B,
    body: emitPathChange({ publicAddress: mapped('10.1.1.2'), remoteAddress: mapped('10.1.1.3') }),
  };
}

export function createRequest(body: Uint8Array): ExchangeRequest {
  return { command: 0xa3, status: 0, authType: 2, ipVersion: 4, ipLocal: A, ipRemote: B, body };
}
