/**
 * Checks what plugins give to commands, before it reaches the kernel (pure). Plugins may be JavaScript, so it may be
 * anything, and a number that is too large would be cut to another one on its way.
 *
 * All throw a WeftError BAD_ARGUMENT (addresses: BAD_ADDRESS, ids: BAD_ID) that names the argument and the value.
 */
import { canonicalIp, errorText, WeftError } from '../../base/index.ts';
import type { PathAddress } from '../plugin-api.ts';

const LONGEST_SHOWN = 64;
const U32_MAX = 2 ** 32 - 1;

function shown(value: unknown): string {
  // What has its own way to become text may throw there.
  return errorText(value instanceof Error ? 'an error' : value).slice(0, LONGEST_SHOWN);
}

function checkedInteger(name: string, value: unknown, min: number, max: number, code: string): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  const hint = `a whole number from ${min} to ${max}`;
  throw new WeftError(`"${shown(value)}" is no ${name}`, { code, hint });
}

export const checkedU32 = (name: string, value: unknown): number =>
  checkedInteger(name, value, 0, U32_MAX, 'BAD_ARGUMENT');

export const checkedToken = (token: unknown): number => checkedU32('token', token);

export const checkedPort = (port: unknown, name = 'port'): number =>
  checkedInteger(name, port, 0, 65_535, 'BAD_ARGUMENT');

/** The kernel has interface indexes as int. */
export const checkedLinkIndex = (index: unknown): number =>
  checkedInteger('linkIndex', index, 0, 2 ** 31 - 1, 'BAD_ARGUMENT');

export function checkedId(id: unknown): number {
  if (Number.isInteger(id) && (id as number) >= 1 && (id as number) <= 255) return id as number;
  throw new WeftError(`"${shown(id)}" is not an address id`, { code: 'BAD_ID', hint: 'ids are 1 to 255' });
}

/** Of a subflow's end: 0 is the address that the connection began with. */
export const checkedIdOrZero = (id: unknown, name = 'id'): number =>
  checkedInteger(name, id, 0, 255, 'BAD_ID');

export function checkedFlag(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new WeftError(`"${shown(value)}" is no ${name}`, { code: 'BAD_ARGUMENT', hint: 'true or false' });
}

/** @returns the address in its canonical form */
export function checkedAddress(address: unknown): string {
  const text = typeof address === 'string' ? canonicalIp(address) : undefined;
  if (text !== undefined) return text;
  throw new WeftError(`"${shown(address)}" is not an IP address`, { code: 'BAD_ADDRESS' });
}

export function checkedObject<T extends object>(name: string, value: T): T {
  if (typeof value === 'object' && (value as unknown) !== null) return value;
  throw new WeftError(`"${shown(value)}" is no ${name}`, { code: 'BAD_ARGUMENT', hint: 'an object' });
}

/** An address with its port. */
export function checkedEnd(name: string, end: PathAddress): PathAddress {
  const { address, port } = checkedObject(name, end);
  return { address: checkedAddress(address), port: checkedPort(port, `${name} port`) };
}
