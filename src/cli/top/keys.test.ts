import fc from 'fast-check';
import { expect, it } from 'vitest';
import { KeyReader, type Key } from './keys.ts';

const read = (...pieces: string[]) => {
  const reader = new KeyReader();
  return pieces.flatMap((piece) => reader.read(Buffer.from(piece)));
};
const names = (keys: readonly Key[]) => keys.map((key) => (key.name === 'text' ? key.text : key.name));

it('knows the keys of xterm, of application mode and of the console', () => {
  expect(names(read('\u001b[A\u001bOB\u001b[1;2A\u001b[5~\u001b[6~\u001b[H\u001bOF\u001b[1~'))).toEqual([
    'up',
    'down',
    'up',
    'page-up',
    'page-down',
    'home',
    'end',
    'home',
  ]);
  expect(names(read('q\r\u007f\t\u0003\u001a\u000c\u0015 '))).toEqual([
    'q',
    'enter',
    'backspace',
    'tab',
    'interrupt',
    'suspend',
    'redraw',
    'clear-line',
    ' ',
  ]);
});

it('takes a sequence that comes in pieces, and a character of several bytes', () => {
  expect(names(read('\u001b[', 'A', '\u001b[1;', '2B'))).toEqual(['up', 'down']);
  const reader = new KeyReader();
  const bytes = Buffer.from('é');
  expect([...reader.read(bytes.subarray(0, 1)), ...reader.read(bytes.subarray(1))]).toEqual([
    { name: 'text', text: 'é' },
  ]);
});

it('takes an escape that stands alone as that key', () => {
  expect(names(read('\u001b'))).toEqual(['escape']);
  expect(names(read('\u001bq'))).toEqual(['escape', 'q']);
});

it('passes over what it does not know', () => {
  expect(names(read('\u001b[200~x\u001b[201~\u001b[15~\u001bOP\u0001\u0085'))).toEqual(['x']);
});

it('reads any bytes in any pieces, and holds little', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 }), (pieces) => {
      const reader = new KeyReader();
      for (const piece of pieces) {
        for (const key of reader.read(piece))
          if (key.name === 'text') expect(key.text).toMatch(/^[^\p{Cc}]$/u);
      }
      // Nothing that came before can swallow this.
      expect(names([...reader.read(Buffer.from('~\u001b[A')), ...reader.read(Buffer.from('q'))])).toContain(
        'q',
      );
    }),
  );
});
