import { expect, it } from 'vitest';
import { printable } from './text.ts';

it('printable keeps what is text, and shows what a terminal would obey', () => {
  expect(printable('größe → ok')).toBe('größe → ok');
  expect(printable('\u001b[2J')).toBe('\\x1b[2J');
  expect(printable('x\u202eyz\u2066')).toBe('x\\x202eyz\\x2066');
  expect(printable('a\nb\u2028c\u009b')).toBe('a\\x0ab\\x2028c\\x9b');
});
