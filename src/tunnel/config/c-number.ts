/**
 * Whole numbers in C notation, as strtol(3) with base 0 reads them: decimal, `0x` hexadecimal, a leading `0` octal.
 * What follows the number is passed over, and no number is 0, as in the original; the caller is told and can warn.
 */

export interface CNumber {
  readonly value: number;
  /** `exact`: nothing else was there. */
  readonly form: 'exact' | 'empty' | 'not a number' | 'trailing' | 'octal';
}

const NUMBER = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)/;

export function parseCNumber(text: string): CNumber {
  if (text.trim() === '') return { value: 0, form: 'empty' };
  const [all, sign, digits] = NUMBER.exec(text) ?? [];
  if (all === undefined || digits === undefined) return { value: 0, form: 'not a number' };
  const isHex = /^0[xX]/.test(digits);
  const isOctal = !isHex && digits.length > 1 && digits.startsWith('0');
  const magnitude = isHex ? Number(digits) : Number.parseInt(digits, isOctal ? 8 : 10);
  const value = sign === '-' && magnitude !== 0 ? -magnitude : magnitude;
  if (text.slice(all.length).trim() !== '') return { value, form: 'trailing' };
  return { value, form: isOctal ? 'octal' : 'exact' };
}
