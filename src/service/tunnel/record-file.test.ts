import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY_RECORD, parseHostRecord } from '../../tunnel/index.ts';
import { tunnelFileName, tunnelOfSocket } from './control-api.ts';
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
    const text = formatRecordText(EMPTY_RECORD, NAMESPACE, 12);
    for (let length = 0; length < text.length - 1; length++) {
      expect(parseRecordText(text.slice(0, length)), String(length)).toBeUndefined();
    }
    expect(parseRecordText(text.replace('"version":1', '"version":2'))).toBeUndefined();
    expect(parseRecordText('null')).toBeUndefined();
    expect(parseRecordText('[]')).toBeUndefined();
    expect(parseHostRecord(parseRecordText(text)?.record)).toEqual(EMPTY_RECORD);
  });
});

describe('the name of a socket', () => {
  it('gives the tunnel’s link back, in its network namespace only', () => {
    const name = fc.stringMatching(/^[^\s/:]{1,15}$/);
    fc.assert(
      fc.property(name, fc.integer({ min: 1, max: 2 ** 32 - 1 }), (link, inode) => {
        const file = `${tunnelFileName(link)}-${inode}.sock`;
        expect(tunnelOfSocket(file, inode)).toBe(link);
        expect(tunnelOfSocket(file, inode + 1)).toBeUndefined();
      }),
    );
  });

  it.each(['control-1.sock', 'tunnel.-1.sock', 'tunnel.tun0-1.json', 'tunnel.tun0-11.sock'])(
    'and of "%s" none',
    (name) => expect(tunnelOfSocket(name, 1)).toBeUndefined(),
  );
});
