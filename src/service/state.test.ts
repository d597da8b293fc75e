import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseOwnership } from './state.ts';

const OWNED = {
  endpoints: [{ address: '10.1.0.2', id: 1, linkIndex: 2, flags: 2 }],
  limits: { subflows: { former: 2, set: 4 } },
};

describe('what a record of endpoints holds', () => {
  it('is what was written', () => {
    expect(parseOwnership(JSON.parse(JSON.stringify(OWNED)))).toEqual(OWNED);
  });

  it.each([
    ['no limits', { endpoints: [] }],
    ['an endpoint without id', { endpoints: [{ address: '1.2.3.4' }], limits: {} }],
    ['a limit without value', { endpoints: [], limits: { subflows: { former: 2 } } }],
    ['a negative number', { endpoints: [], limits: { subflows: { former: -2, set: 4 } } }],
    ['a limit that was lowered', { endpoints: [], limits: { subflows: { former: 1e9, set: 4 } } }],
  ])('is refused with %s', (_, value) => expect(parseOwnership(value)).toBeUndefined());

  it('never throws', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(() => parseOwnership(value)).not.toThrow();
      }),
    );
  });
});
