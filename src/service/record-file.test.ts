import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatRecordText, parseRecordText } from './record-file.ts';

const NAMESPACE = { inode: 4_026_531_840, cookie: '7', bootId: '0a' };

describe('the text of a record', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (record) => {
        const text = formatRecordText(record, NAMESPACE, 12);
        expect(text.endsWith('}\n')).toBe(true);
        expect(parseRecordText(text)).toEqual({
          version: 1,
          cookie: '7',
          bootId: '0a',
          pid: 12,
          record: JSON.parse(JSON.stringify(record)) as unknown,
        });
      }),
    );
  });

  it('is nothing when it was cut, or written by another', () => {
    const text = formatRecordText({ routes: [], settings: [] }, NAMESPACE, 12);
    for (let length = 0; length < text.length - 1; length++) {
      expect(parseRecordText(text.slice(0, length)), String(length)).toBeUndefined();
    }
    expect(parseRecordText(text.replace('"version":1', '"version":2'))).toBeUndefined();
    expect(parseRecordText('null')).toBeUndefined();
    expect(parseRecordText('[]')).toBeUndefined();
  });
});
