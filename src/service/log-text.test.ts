import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wantsColor } from './log.ts';
import { formatLogMessage } from './log-text.ts';

describe('formatLogMessage', () => {
  it('puts the message first and the fields after it, quoting what needs it', () => {
    const line = formatLogMessage(
      {
        level: 30,
        time: 1,
        pid: 2,
        msg: 'path is there',
        link: 'eth0',
        count: 3,
        why: 'no route',
        empty: '',
      },
      'msg',
      false,
    );
    expect(line).toBe('path is there link=eth0 count=3 why="no route" empty=""');
  });

  it('does not repeat what the message says, unless asked', () => {
    const fields = { msg: 'path eth0 is gone', link: 'eth0', state: 'gone', count: 0 };
    expect(formatLogMessage(fields, 'msg', false)).toBe('path eth0 is gone count=0');
    expect(formatLogMessage(fields, 'msg', true)).toBe('path eth0 is gone link=eth0 state=gone count=0');
  });

  it('shows an error by its message, and its stack only when asked', () => {
    const fields = { msg: 'failed', err: { type: 'Error', message: 'boom', stack: 'Error: boom\n    at x' } };
    expect(formatLogMessage(fields, 'msg', false)).toBe('failed error=boom');
    expect(formatLogMessage(fields, 'msg', true)).toBe('failed error=boom\n    Error: boom\n        at x');
  });

  it('never lets a control character out, whatever the network sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (message, value) => {
        const line = formatLogMessage({ msg: message, value, nested: { value } }, 'msg', false);
        // eslint-disable-next-line no-control-regex
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      }),
    );
  });

  it('cuts a value that is too long', () => {
    expect(formatLogMessage({ msg: 'x', value: 'a'.repeat(10_000) }, 'msg', false).length).toBeLessThan(500);
  });
});

it('colours need a terminal that has them and a user who did not refuse', () => {
  expect(wantsColor(true, {})).toBe(true);
  expect(wantsColor(true, { NO_COLOR: '' })).toBe(true);
  expect(wantsColor(true, { NO_COLOR: '1' })).toBe(false);
  expect(wantsColor(true, { TERM: 'dumb' })).toBe(false);
  expect(wantsColor(false, {})).toBe(false);
});
