import { expect, it } from 'vitest';
import { shellCommand, shellWord } from './shell-word.ts';

it.each([
  ['wlan0', 'wlan0'],
  ['10.0.0.1/24', '10.0.0.1/24'],
  ['2001:db8::1', '2001:db8::1'],
  ['', "''"],
  ['two words', "'two words'"],
  ["it's", String.raw`'it'\''s'`],
  ['$(reboot)', "'$(reboot)'"],
  ['a\u001b[2Jb', String.raw`'a\x1b[2Jb'`],
])('%j is typed as %s', (word, expected) => {
  expect(shellWord(word)).toBe(expected);
});

it('joins words to a command', () => {
  expect(shellCommand(['weft', 'path', 'my link', 'backup'])).toBe("weft path 'my link' backup");
});
