import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outputWidth, paragraph, table, wrap } from './text-layout.ts';

const plain = fc.string({ unit: fc.constantFrom('a', 'b', ':', '.', '1', ' ') });

describe('wrap', () => {
  it('keeps every line within the width and loses no character but the spaces at its breaks', () => {
    fc.assert(
      fc.property(plain, fc.integer({ min: 1, max: 30 }), (text, width) => {
        const lines = wrap(text, width);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
        expect(lines.join('').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''));
      }),
    );
  });
});

it('paragraph indents what follows the first line', () => {
  expect(paragraph('one two three', 11, '- ')).toBe('- one two\n  three');
});

describe('table', () => {
  const columns = [{ title: 'link' }, { title: 'address' }, { title: 'bytes', align: 'right' }] as const;

  it('aligns', () => {
    const rows = [
      ['wifi0', '10.0.0.2', '7'],
      ['l', '2001:db8::1', '12345'],
    ];
    expect(table(columns, rows)).toBe(
      [
        'link   address      bytes', //
        'wifi0  10.0.0.2         7',
        'l      2001:db8::1  12345',
      ].join('\n'),
    );
  });

  it('leaves out a column that is empty in every row', () => {
    expect(table(columns, [['a', '', '1']])).toBe('link  bytes\na         1');
  });

  it('fits the width, and says everything all the same', () => {
    const address = '2001:db8:1111:2222:3333:4444:5555:6666';
    const wide = Array.from({ length: 4 }, (_, i) => ({ title: `address ${i}` }));
    const text = table(wide, [Array.from({ length: 4 }, () => address)], 80);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    const rows = text.split('\n').slice(1);
    expect(rows.map((line) => line.split(/\s+/)[0]).join('')).toBe(address);
  });

  it('never lets a control character out', () => {
    expect(table([{ title: 'x' }], [['\u001b[2J']])).toBe('x\n\\x1b[2J');
  });
});

it('outputWidth follows a terminal within reason', () => {
  expect(outputWidth({})).toBe(80);
  expect(outputWidth({ isTTY: true, columns: 100 })).toBe(100);
  expect(outputWidth({ isTTY: true, columns: 500 })).toBe(120);
});
