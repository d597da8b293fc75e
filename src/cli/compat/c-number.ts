/**
 * Unsigned numbers as strtoul(3) with base 0 reads them, which is what iproute2 takes for every number (pure):
 * decimal, octal after `0`, hexadecimal after `0x`, white space and a sign before it. A negative number counts
 * from 2^64 down, so `-18446744073709551615` is 1 and `-1` is too large for every field.
 */

const TWO_64 = 1n << 64n;

/** The number, or `undefined` when the text is none or is above `max`. */
export function parseCNumber(text: string, max: number): number | undefined {
  const match = /^[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))$/.exec(text);
  if (match === null) return undefined;
  const [, sign, hex, octal, decimal] = match;
  let value: bigint;
  if (hex !== undefined) value = BigInt(`0x${hex}`);
  else if (octal === undefined) value = BigInt(decimal ?? '0');
  else value = octal === '0' ? 0n : BigInt(`0o${octal.slice(1)}`);
  if (value >= TWO_64) return undefined;
  if (sign === '-') value = (TWO_64 - value) % TWO_64;
  return value > BigInt(max) ? undefined : Number(value);
}

/** The largest values of the field sizes. */
export const U8_MAX = 0xff;
export const U16_MAX = 0xffff;
export const U32_MAX = 0xffffffff;
