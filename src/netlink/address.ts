/**
 * Interface addresses on the wire (pure): RTM_NEWADDR and relatives.
 *
 *   ifaddrmsg (8): 0 family u8 | 1 prefix length u8 | 2 flags u8 | 3 scope u8 | 4 link index u32
 *
 * IFA_LOCAL is the host's address; IFA_ADDRESS is the peer's on a point-to-point link, the same otherwise, and
 * the only one that IPv6 sends for ordinary addresses.
 *
 * References: rtnetlink(7), <linux/if_addr.h>.
 */
import { AF_INET, AF_INET6, familyOf, parseIp } from '../base/ip.ts';
import { WeftError } from '../base/errors.ts';
import { parseAttributes, PayloadWriter } from './attributes.ts';
import type { InterfaceAddress } from './route-types.ts';

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

const IFADDRMSG_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_LABEL = 3;
const IFA_FLAGS = 8;

/** An address to set or remove. */
export interface AddressSpec {
  readonly linkIndex: number;
  readonly address: string;
  readonly prefixLength: number;
  /** IFA_F_* bits. */
  readonly flags?: number;
  /** The other end of a point-to-point link. */
  readonly peer?: string;
}

/** Bytes of an address that the caller took for valid; throws WeftError BAD_ADDRESS otherwise. */
export function requireIp(text: string): Uint8Array {
  const bytes = parseIp(text);
  if (bytes === undefined) throw new WeftError(`"${text}" is not an IP address`, { code: 'BAD_ADDRESS' });
  return bytes;
}

function ifaddrmsg(family: number, prefixLength: number, linkIndex: number): Uint8Array {
  const bytes = Uint8Array.of(family, prefixLength, 0, 0, 0, 0, 0, 0);
  new DataView(bytes.buffer).setUint32(4, linkIndex, true);
  return bytes;
}

export function emitAddressDump(): Uint8Array {
  return new PayloadWriter().struct(ifaddrmsg(0, 0, 0)).finish();
}

export function emitAddress(spec: AddressSpec): Uint8Array {
  const local = requireIp(spec.address);
  const writer = new PayloadWriter().struct(
    ifaddrmsg(familyOf(spec.address), spec.prefixLength, spec.linkIndex),
  );
  writer.bytes(IFA_LOCAL, local).bytes(IFA_ADDRESS, spec.peer === undefined ? local : requireIp(spec.peer));
  if (spec.flags !== undefined) writer.u32(IFA_FLAGS, spec.flags);
  return writer.finish();
}

/** `undefined` when the payload is too short, of another family, or without an address. */
export function parseAddress(payload: Uint8Array): InterfaceAddress | undefined {
  if (payload.length < IFADDRMSG_BYTES) return undefined;
  const family = payload[0];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const attributes = parseAttributes(payload, IFADDRMSG_BYTES);
  const remote = attributes.ip(IFA_ADDRESS);
  const address = attributes.ip(IFA_LOCAL) ?? remote;
  if (address === undefined) return undefined;
  const peer = remote ?? address;
  const label = attributes.text(IFA_LABEL);
  return {
    linkIndex: view.getUint32(4, true),
    family,
    address,
    prefixLength: payload[1] ?? 0,
    scope: payload[3] ?? 0,
    flags: attributes.u32(IFA_FLAGS) ?? payload[2] ?? 0,
    ...(peer === address ? {} : { peer }),
    ...(label === undefined ? {} : { label }),
  };
}
