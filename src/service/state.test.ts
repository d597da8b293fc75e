import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatStateFile, parseStateFile } from './state.ts';

const namespace = { inode: 1, cookie: '42', bootId: 'b' };
const owned = {
  endpoints: [{ address: '10.1.0.2', id: 1, linkIndex: 2, flags: 2 }],
  limits: { subflows: { former: 2, set: 4 } },
};

describe('the state file', () => {
  it('reads back what was written', () => {
    expect(parseStateFile(formatStateFile(owned, namespace, 7))).toEqual({
      version: 1,
      cookie: '42',
      bootId: 'b',
      pid: 7,
      owned,
    });
  });

  it.each([
    ['not JSON', 'x'],
    ['another version', '{"version":2,"owned":{"endpoints":[],"limits":{}},"cookie":"1","bootId":"b"}'],
    ['no record', '{"version":1,"cookie":"1","bootId":"b"}'],
    [
      'an endpoint without id',
      '{"version":1,"cookie":"1","bootId":"b","owned":{"endpoints":[{"address":"1.2.3.4"}],"limits":{}}}',
    ],
    [
      'a limit without value',
      '{"version":1,"cookie":"1","bootId":"b","owned":{"endpoints":[],"limits":{"subflows":{"former":2}}}}',
    ],
    [
      'a negative number',
      '{"version":1,"cookie":"1","bootId":"b","owned":{"endpoints":[],"limits":{"subflows":{"former":-2,"set":4}}}}',
    ],
    [
      'a limit that was lowered',
      '{"version":1,"cookie":"1","bootId":"b","owned":{"endpoints":[],"limits":{"subflows":{"former":1000000000,"set":4}}}}',
    ],
  ])('refuses %s', (_, text) => expect(parseStateFile(text)).toBeUndefined());

  it('refuses every part of itself, and never throws', () => {
    const text = formatStateFile(owned, namespace, 7).trim();
    for (let length = 0; length < text.length; length++) {
      expect(parseStateFile(text.slice(0, length))).toBeUndefined();
    }
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(() => parseStateFile(json)).not.toThrow();
      }),
    );
  });
});
