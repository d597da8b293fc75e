/**
 * IP addresses and prefixes as text and bytes. Text is always the canonical form (RFC 5952 for IPv6, with
 * v4-mapped addresses in dotted form as inet_ntop(3) prints them), so that two equal addresses are equal strings.
 * Not here: the permissive forms that iproute2 accepts (see cli/compat), name resolution.
 */

/** Address family numbers of Linux (<linux/socket.h>). */
export const AF_INET = 2;
export const AF_INET6 = 10;

export type Family = typeof AF_INET | typeof AF_INET6;

/** `address/length`, address in canonical text. */
export interface Prefix {
  readonly address: string;
  readonly length: number;
}

/** Parses strict dotted-quad IPv4: four decimal parts 0-255 without leading zeros. */
export function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [i, part] of parts.entries()) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part)) return undefined;
    const value = Number(part);
    if (value > 255) return undefined;
    bytes[i] = value;
  }
  return bytes;
}

/** Parses IPv6 text (RFC 4291 section 2.2) without zone. */
export function parseIpv6(text: string): Uint8Array | undefined {
  let source = text;
  const tail: number[] = [];
  const lastColon = text.lastIndexOf(':');
  if (text.includes('.')) {
    const v4 = lastColon < 0 ? undefined : parseIpv4(text.slice(lastColon + 1));
    if (v4 === undefined) return undefined;
    tail.push(...v4);
    source = text.slice(0, lastColon + 1);
    // `::ffff:` keeps its single trailing colon as a separator; `::` alone stays as it is.
    if (!source.endsWith('::')) source = source.slice(0, -1);
  }
  const room = 16 - tail.length;
  const halves = source.split('::');
  if (halves.length > 2) return undefined;
  const groups: number[][] = [];
  for (const half of halves) {
    const bytes: number[] = [];
    if (half !== '') {
      for (const group of half.split(':')) {
        if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
        const value = Number.parseInt(group, 16);
        bytes.push(value >> 8, value & 0xff);
      }
    }
    groups.push(bytes);
  }
  const head = groups[0] ?? [];
  const rest = groups[1] ?? [];
  const used = head.length + rest.length;
  if (halves.length === 1 ? used !== room : used > room - 2) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(rest, room - rest.length);
  bytes.set(tail, room);
  return bytes;
}

/** Bytes (4 or 16, network order) of an address in text, or `undefined` when it is not one. */
export function parseIp(text: string): Uint8Array | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

export function isIpv6(address: string): boolean {
  return address.includes(':');
}

export function familyOf(address: string): Family {
  return isIpv6(address) ? AF_INET6 : AF_INET;
}

const hex = (groups: readonly number[]) => groups.map((group) => group.toString(16)).join(':');

function formatIpv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

function formatIpv6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  // The longest run of two or more zero groups, the first of equals (RFC 5952 section 4.2).
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8;) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    i += Math.max(length, 1);
  }
  const dotted = best === 0 && (bestLength === 6 || (bestLength === 5 && groups[5] === 0xffff));
  const shown = dotted ? groups.slice(0, 6) : groups;
  let text =
    best < 0
      ? hex(shown)
      : `${hex(shown.slice(0, best))}::${hex(shown.slice(Math.min(best + bestLength, shown.length)))}`;
  if (dotted) text += `${text.endsWith(':') ? '' : ':'}${bytes.subarray(12).join('.')}`;
  return text;
}

/** Canonical text of 4 or 16 bytes, as inet_ntop(3) prints it. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return formatIpv4(bytes, 0);
  // Sockets of dual-stack listeners have nearly nothing else.
  return isMapped(bytes) ? `::ffff:${formatIpv4(bytes, 12)}` : formatIpv6(bytes);
}

/** The same address in canonical text, or `undefined` when it is not an address. */
export function canonicalIp(text: string): string | undefined {
  const bytes = parseIp(text);
  return bytes === undefined ? undefined : formatIp(bytes);
}

/** `::ffff:10.0.0.1` as `10.0.0.1`; any other address as it is. Sockets of dual-stack listeners show the former. */
export function unmapV4(address: string): string {
  if (!address.startsWith('::ffff:')) return address;
  const match = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  return match?.[1] ?? address;
}

/** The first `length` bits of an address, the rest zero. */
export function networkOf(address: string, length: number): string {
  const bytes = parseIp(address);
  if (bytes === undefined) return address;
  for (let i = 0; i < bytes.length; i++) {
    const keep = Math.max(0, Math.min(8, length - i * 8));
    bytes[i] = (bytes[i] ?? 0) & (0xff << (8 - keep)) & 0xff;
  }
  return formatIp(bytes);
}

export function inPrefix(address: string, prefix: Prefix): boolean {
  return (
    isIpv6(address) === isIpv6(prefix.address) &&
    networkOf(address, prefix.length) === networkOf(prefix.address, prefix.length)
  );
}

const LINK_LOCAL_V4: Prefix = { address: '169.254.0.0', length: 16 };
const LINK_LOCAL_V6: Prefix = { address: 'fe80::', length: 10 };
const LOOPBACK_V4: Prefix = { address: '127.0.0.0', length: 8 };

export function isLinkLocal(address: string): boolean {
  return inPrefix(address, isIpv6(address) ? LINK_LOCAL_V6 : LINK_LOCAL_V4);
}

export function isLoopback(address: string): boolean {
  const plain = unmapV4(address);
  return isIpv6(plain) ? plain === '::1' : inPrefix(plain, LOOPBACK_V4);
}

/** `address:port`, IPv6 in brackets. */
export function formatSocketAddress(address: string, port: number): string {
  return isIpv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}
