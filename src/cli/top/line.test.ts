import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bar, fit, foreign, layColumns, lengthOf, renderLine, rowLine, type Column } from './line.ts';

describe('foreign', () => {
  it('leaves nothing that a terminal obeys, that takes no cell or two, or that turns the text around', () => {
    expect(foreign('\u001b[2Jevil\u0007\n')).toBe('\\x1b[2Jevil\\x07\\x0a');
    expect(foreign('a\u202ebc\u200bd\u0301\u4e2d\u{1f600}e')).toBe('a\\x202ebc?d???e');
    expect(foreign('café – “so”…')).toBe('café - "so"...');
    expect(foreign('café', false)).toBe('caf?');
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.boolean(), (text, unicode) => {
        const shown = foreign(text, unicode);
        expect(shown).toMatch(unicode ? /^[ -~\u00a0-\u00ac\u00ae-\u024f]*$/ : /^[ -~]*$/);
      }),
    );
  });
});

describe('renderLine', () => {
  it('cuts before it colours, and ends every colour', () => {
    const line = [['ab'], ['cdef', 'red'], ['gh', 'bold']] as const;
    expect(renderLine(line, { width: 4, color: true, unicode: true })).toBe('ab\u001b[31mcd\u001b[0m');
    expect(renderLine(line, { width: 4, color: false, unicode: true })).toBe('abcd');
    expect(renderLine(line, { width: 80, color: false, unicode: true })).toBe('abcdefgh');
  });
});

describe('bar', () => {
  it('is as wide as asked, whatever the share is', () => {
    expect(bar(0.5, 4, true)).toBe('██  ');
    expect(bar(0.5, 4, false)).toBe('##  ');
    expect(bar(1 / 16, 1, true)).toBe('▏');
    fc.assert(
      fc.property(fc.double(), fc.nat(40), fc.boolean(), (share, cells, unicode) => {
        expect(bar(share, cells, unicode)).toHaveLength(cells);
      }),
    );
  });
});

describe('fit', () => {
  it('shows that something was cut', () => {
    expect(fit('abcdef', 4, true)).toBe('abc…');
    expect(fit('abcdef', 4, false)).toBe('abc~');
    expect(fit('abcd', 4, true)).toBe('abcd');
    expect(fit('abcd', 0, true)).toBe('');
  });
});

describe('layColumns', () => {
  const columns: Column[] = [
    { title: 'NAME', least: 10, most: 30 },
    { title: 'EXTRA', least: 5, most: 5, rank: 1, align: 'right' },
    { title: 'RATE', least: 6, most: 6, align: 'right' },
    { title: 'MORE', least: 4, most: 8, rank: 2 },
  ];

  it('gives each what it needs, then the rest from the left, and leaves out the least important', () => {
    expect(layColumns(columns, 40).map(({ title, width }) => [title, width])).toEqual([
      ['NAME', 22],
      ['EXTRA', 5],
      ['RATE', 6],
      ['MORE', 4],
    ]);
    expect(layColumns(columns, 27).map(({ title }) => title)).toEqual(['NAME', 'RATE', 'MORE']);
    expect(layColumns(columns, 5).map(({ title }) => title)).toEqual(['NAME', 'RATE']);
  });

  it('makes rows that fit', () => {
    const text = fc.string({ unit: 'grapheme-ascii' });
    fc.assert(
      fc.property(
        fc.integer({ min: 17, max: 200 }),
        fc.array(text, { minLength: 4, maxLength: 4 }),
        (width, cells) => {
          const laid = layColumns(columns, width);
          const line = rowLine(
            cells.map((cell) => [cell] as const),
            laid,
            true,
          );
          expect(lengthOf(line)).toBeLessThanOrEqual(width);
          expect(lengthOf(line)).toBe(laid.reduce((sum, column) => sum + column.width, laid.length - 1));
        },
      ),
    );
  });
});
