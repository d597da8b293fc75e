import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBasic } from './basic.ts';

describe('parseBasic', () => {
  it('reads the examples of RFC 7617', () => {
    expect(parseBasic('Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==')).toEqual({
      user: 'Aladdin',
      password: 'open sesame',
    });
    expect(parseBasic('Basic dGVzdDoxMjPCow==')).toEqual({ user: 'test', password: '123£' });
  });

  it('takes the first colon for the separator, and scheme in any case', () => {
    expect(parseBasic(`bAsIc ${Buffer.from('a:b:c').toString('base64')}`)).toEqual({
      user: 'a',
      password: 'b:c',
    });
  });

  it.each([
    '',
    'Basic',
    'Basic ',
    'Bearer abc',
    'Basic a b',
    'Basic é',
    `Basic ${'A'.repeat(2051)}`,
    'Basic QUI=',
  ])('knows nobody by %j', (value) => expect(parseBasic(value)).toBeUndefined());

  it('reads what was written', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 100 }), fc.string({ maxLength: 100 }), (user, password) => {
        fc.pre(!user.includes(':'));
        const value = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
        expect(parseBasic(value)).toEqual({ user, password });
      }),
    );
  });
});
