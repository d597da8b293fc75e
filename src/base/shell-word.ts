/** A word as a shell takes it back (pure): for commands that are shown, so that they can be typed. */
import { printable } from './text.ts';

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** `wlan0` as it is, `it's` as `'it'\''s'`. What no terminal should obey is shown as by `printable`. */
export function shellWord(word: string): string {
  const shown = printable(word);
  return PLAIN.test(shown) ? shown : `'${shown.replaceAll("'", String.raw`'\''`)}'`;
}

/** A command line of words. */
export const shellCommand = (words: readonly string[]): string => words.map(shellWord).join(' ');
