/** The DNS question and answer: bytes written by hand from RFC 1035; cut and hostile answers. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emitAddressQuestion, parseAddressAnswer } from './dns-message.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

const QUESTION = '04d2 0100 0001 0000 0000 0000 04 6d796970 07 6f70656e646e73 03 636f6d 00 0001 0001';
const question = emitAddressQuestion(0x04d2, 'myip.opendns.com');

/** As the question, with these flags, count of answers, and what follows the question. */
const answer = (flags: string, count: string, rest: string, id = '04d2') =>
  hex(
    `${id} ${flags} 0001 ${count} 0000 0000 ${QUESTION.slice('04d2 0100 0001 0000 0000 0000'.length)} ${rest}`,
  );

const A_RECORD = 'c00c 0001 0001 00000000 0004 c6336407';

describe('the question', () => {
  it('is that of RFC 1035', () => {
    expect(Buffer.from(question).toString('hex')).toBe(QUESTION.replaceAll(' ', ''));
  });
});

describe('the answer', () => {
  it('gives the address, whether names are written out or refer back, and after other records', () => {
    expect(parseAddressAnswer(answer('8180', '0001', A_RECORD), question)).toBe('198.51.100.7');
    const alias = 'c00c 0005 0001 00000005 0004 0178c011';
    const written = '0178 07 6f70656e646e73 03 636f6d 00 0001 0001 00000005 0004 c6336408';
    expect(parseAddressAnswer(answer('8400', '0002', `${alias} ${written}`), question)).toBe('198.51.100.8');
  });

  it.each([
    ['a question', '0100', '0001', A_RECORD, '04d2'],
    ['another id', '8180', '0001', A_RECORD, '04d3'],
    ['a refusal', '8185', '0001', A_RECORD, '04d2'],
    ['a cut answer', '8380', '0001', A_RECORD, '04d2'],
    ['no answers', '8180', '0000', A_RECORD, '04d2'],
    ['an IPv6 address', '8180', '0001', 'c00c 001c 0001 00000000 0004 c6336407', '04d2'],
    ['a length that is not 4', '8180', '0001', 'c00c 0001 0001 00000000 0003 c63364', '04d2'],
  ])('is not taken from %s', (_what, flags, count, rest, id) => {
    expect(parseAddressAnswer(answer(flags, count, rest, id), question)).toBeUndefined();
  });

  it('is not taken from an answer to another question', () => {
    const other = emitAddressQuestion(0x04d2, 'myip.opendnz.com');
    expect(parseAddressAnswer(answer('8180', '0001', A_RECORD), other)).toBeUndefined();
  });

  it('is not read beyond the end, wherever it is cut', () => {
    const whole = answer('8180', '0001', A_RECORD);
    for (let length = 0; length < whole.length; length++) {
      expect(parseAddressAnswer(whole.subarray(0, length), question)).toBeUndefined();
    }
  });

  it('arbitrary bytes after the question never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(20), (rest, count) => {
        const bytes = answer('8180', count.toString(16).padStart(4, '0'), '');
        const found = parseAddressAnswer(Uint8Array.of(...bytes, ...rest), question);
        expect(found === undefined || /^\d+\.\d+\.\d+\.\d+$/.test(found)).toBe(true);
      }),
    );
  });
});
