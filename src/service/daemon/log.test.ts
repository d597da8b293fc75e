import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatJournal, journalFieldName } from './log-journal.ts';
import { recordText, truncateUtf8, type LogRecord } from './log-record.ts';
import { formatSyslog } from './log-syslog.ts';

const RECORD: LogRecord = {
  level: 'warn',
  timeMs: Date.UTC(2026, 4, 4, 12, 0, 0, 7),
  message: 'link gone',
  fields: { link: 'eth0', linkIndex: 3 },
};
const SENDER = { hostname: 'host', program: 'mptcpd', pid: 4711, verbose: false };

const syslogText = (record: Partial<LogRecord>, sender: Partial<typeof SENDER> = {}) =>
  Buffer.from(formatSyslog({ ...RECORD, ...record }, { ...SENDER, ...sender })).toString();

/** A reader of the journal's protocol, written from its description. */
function readJournal(bytes: Uint8Array): Map<string, string> {
  const fields = new Map<string, string>();
  let rest = Buffer.from(bytes);
  while (rest.length > 0) {
    const lineEnd = rest.indexOf('\n');
    const line = rest.toString('utf8', 0, lineEnd);
    const equals = line.indexOf('=');
    if (equals >= 0) {
      fields.set(line.slice(0, equals), line.slice(equals + 1));
      rest = rest.subarray(lineEnd + 1);
      continue;
    }
    const length = Number(rest.readBigUInt64LE(lineEnd + 1));
    const start = lineEnd + 9;
    fields.set(line, rest.toString('utf8', start, start + length));
    expect(rest[start + length]).toBe(0x0a);
    rest = rest.subarray(start + length + 1);
  }
  return fields;
}

describe('RFC 5424', () => {
  it('is facility daemon and the level, a time with milliseconds, and the text', () => {
    expect(syslogText({})).toBe(
      '<28>1 2026-05-04T12:00:00.007Z host mptcpd 4711 - - link gone link=eth0 linkIndex=3',
    );
    expect(syslogText({ level: 'error' })).toMatch(/^<27>1 /);
    expect(syslogText({ level: 'info' })).toMatch(/^<30>1 /);
    expect(syslogText({ level: 'debug' })).toMatch(/^<31>1 /);
  });

  it('has no head that a name could break', () => {
    expect(syslogText({}, { hostname: 'a b\nc', program: '' })).toMatch(/^<28>1 \S+ abc - 4711 - - link/);
  });

  it('is one line of at most 8 KiB, whatever is logged', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 12_000 }), fc.boolean(), (message, verbose) => {
        const text = syslogText({ message, fields: { err: new Error(message) } }, { verbose });
        expect(text).not.toMatch(/[\n\r]/);
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(8192);
      }),
      { numRuns: 50 },
    );
  });
});

describe("the journal's protocol", () => {
  it('has the journal’s own fields and ours', () => {
    const err = Object.assign(new Error('no'), { code: 'EPERM', errno: -1 });
    const fields = readJournal(formatJournal({ ...RECORD, fields: { ...RECORD.fields, err } }, SENDER));
    expect(fields.get('MESSAGE')).toBe('link gone link=eth0 linkIndex=3 error=no');
    expect(fields.get('PRIORITY')).toBe('4');
    expect(fields.get('SYSLOG_FACILITY')).toBe('3');
    expect(fields.get('SYSLOG_IDENTIFIER')).toBe('mptcpd');
    expect(fields.get('WEFT_LINK')).toBe('eth0');
    expect(fields.get('WEFT_LINK_INDEX')).toBe('3');
    expect(fields.get('WEFT_ERROR')).toBe('no');
    expect(fields.get('WEFT_ERROR_CODE')).toBe('EPERM');
    expect(fields.get('ERRNO')).toBe('1');
    // A value of several lines is kept whole.
    expect(fields.get('WEFT_STACK')).toBe(err.stack);
  });

  it('can be read whatever is logged, and fits a datagram', () => {
    const value = fc.oneof(fc.string({ unit: 'binary', maxLength: 9000 }), fc.integer(), fc.constant(null));
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.dictionary(fc.string(), value), (message, fields) => {
        const bytes = formatJournal({ ...RECORD, message, fields }, SENDER);
        expect(bytes.length).toBeLessThan(200_000);
        for (const name of readJournal(bytes).keys()) expect(name).toMatch(/^[A-Z][A-Z0-9_]{0,63}$/);
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ['linkIndex', 'WEFT_LINK_INDEX'],
    ['netns', 'WEFT_NETNS'],
    ['a-b c', 'WEFT_A_B_C'],
    ['IPv4', 'WEFT_IPV4'],
  ])('%s is %s', (name, field) => expect(journalFieldName(name)).toBe(field));
});

describe('the text of a record', () => {
  it('does not repeat what the message says, and has no control characters', () => {
    expect(recordText({ ...RECORD, message: 'eth0 is gone\u001b[31m' }, false)).toBe(
      'eth0 is gone\\x1b[31m linkIndex=3',
    );
  });

  it('has the stack of an error only where that is wanted', () => {
    const record = { ...RECORD, fields: { err: new Error('why') } };
    expect(recordText(record, false)).toBe('link gone error=why');
    expect(recordText(record, true)).toMatch(/^link gone error=why\n {4}Error: why\n {4} {4}at /);
  });

  it('is cut between characters, with a note', () => {
    expect(truncateUtf8('ä'.repeat(100), 200)).toBe('ä'.repeat(100));
    expect(truncateUtf8('ä'.repeat(101), 200)).toMatch(/^ä{88,90} … \(202 bytes, cut\)$/);
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 300 }),
        fc.integer({ min: 40, max: 200 }),
        (text, max) => {
          const cut = truncateUtf8(text, max);
          expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(max);
          // A character that is cut becomes U+FFFD, which may also have been there.
          if (!text.includes('\uFFFD')) expect(cut).not.toContain('\uFFFD');
        },
      ),
    );
  });
});
