import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseCNumber } from './c-number.ts';
import { LINE_BYTES_MAX, parseDialect } from './dialect.ts';

const values = (text: string, section = 's') =>
  parseDialect(`[s]\n${text}\n`)
    .sections.get(section)
    ?.entries.map(({ key, value }) => [key, value]);

it('takes values plain, quoted, commented and empty, and lower-cases names', () => {
  expect(
    values(
      [
        'Name = Office One  ; the one',
        'a=1#x',
        'q = "a;b#c" ; d',
        "r = 'it;em'",
        'e =',
        'f = ; nothing',
        'g = ""',
        "h = ''",
        '# no = 1',
        '   ; no = 2',
        'two words = 3',
        'tail = "not closed',
        'KEY = VaLue = 2',
      ].join('\n'),
    ),
  ).toEqual([
    ['name', 'Office One'],
    ['a', '1'],
    ['q', 'a;b#c'],
    ['r', 'it;em'],
    ['e', ''],
    ['f', ''],
    ['g', ''],
    ['h', ''],
    ['two words', '3'],
    ['tail', 'not closed'],
    ['key', 'VaLue = 2'],
  ]);
});

it('joins lines and numbers them', () => {
  const file = parseDialect('x = 0\n[ One ]\r\na = 1 \\\n  2\\\n3\nb = 4\n[Two]\n[one]\na = 5\n');
  expect(file.issues).toEqual([]);
  expect(file.sections.get('')?.entries).toEqual([{ key: 'x', value: '0', line: 1 }]);
  expect(file.sections.get('one')).toEqual({
    name: 'one',
    line: 2,
    entries: [
      { key: 'a', value: '1   23', line: 5 },
      { key: 'b', value: '4', line: 6 },
      { key: 'a', value: '5', line: 9 },
    ],
  });
});

it('tells the line of what it cannot read', () => {
  const file = parseDialect('[a]\nnonsense\n= 5\n[]\n[b\nok = 1\nlast = 2');
  expect(file.issues.map(({ severity, line }) => [severity, line])).toEqual([
    ['error', 2],
    ['error', 3],
    ['error', 4],
    ['error', 5],
    ['warning', 7],
  ]);
  expect(file.sections.get('a')?.entries.map(({ value }) => value)).toEqual(['1', '2']);
});

it('refuses lines that the original would cut', () => {
  const line = (bytes: number) => `k = ${'x'.repeat(bytes - 5)}\n`;
  expect(parseDialect(line(LINE_BYTES_MAX)).issues).toEqual([]);
  expect(parseDialect(line(LINE_BYTES_MAX + 1)).issues).toMatchObject([{ severity: 'error', line: 1 }]);
  expect(parseDialect(`k = ${'ü'.repeat(510)}\n`).issues).toHaveLength(1);
  expect(parseDialect(`k = ${'a'.repeat(600)}\\\n${'a'.repeat(600)}\n`).issues).toHaveLength(1);
});

it('reads any text without throwing', () => {
  const word = fc.constantFrom('[', ']', '=', '"', "'", ';', '#', '\\', '\n', ' ', 'a', 'ß', '\0', '\r');
  const text = fc.oneof(
    fc.string(),
    fc.array(word, { maxLength: 200, size: 'max' }).map((words) => words.join('')),
  );
  fc.assert(
    fc.property(text, (content) => {
      for (const section of parseDialect(content).sections.values()) {
        for (const { key, value } of section.entries) {
          expect(key).toBe(key.trim().toLowerCase());
          expect(value).toBe(value.trim());
        }
      }
    }),
    { numRuns: 1000 },
  );
});

it('reads numbers in C notation', () => {
  const cases: [string, number, string][] = [
    ['12', 12, 'exact'],
    ['0', 0, 'exact'],
    ['-7', -7, 'exact'],
    ['+7', 7, 'exact'],
    ['0x1F', 31, 'exact'],
    ['010', 8, 'octal'],
    ['09', 0, 'trailing'],
    ['0x', 0, 'trailing'],
    ['100ms', 100, 'trailing'],
    ['12 34', 12, 'trailing'],
    ['ten', 0, 'not a number'],
    ['', 0, 'empty'],
  ];
  for (const [text, value, form] of cases) expect(parseCNumber(text), text).toEqual({ value, form });
});
