/**
 * What a terminal in raw mode sends, as keys (pure).
 *
 *   ESC [ A          cursor keys; also ESC O A (application mode) and ESC [ 1 ; 2 A (with a modifier)
 *   ESC [ 5 ~        page up and others
 *   0x03, 0x1a …     control keys
 *
 * BOUNDED: an unfinished sequence is at most 16 characters; a longer one is dropped.
 * References: ECMA-48 section 5.4, terminfo(5).
 */
export type KeyName =
  | 'up'
  | 'down'
  | 'page-up'
  | 'page-down'
  | 'home'
  | 'end'
  | 'enter'
  | 'escape'
  | 'backspace'
  | 'tab'
  | 'interrupt'
  | 'suspend'
  | 'redraw'
  | 'clear-line';

/** `text`: one printable character. */
export type Key = { readonly name: KeyName } | { readonly name: 'text'; readonly text: string };

const SEQUENCE_MAX_LENGTH = 16;

const FINAL: Readonly<Record<string, KeyName>> = {
  A: 'up',
  B: 'down',
  H: 'home',
  F: 'end',
};

const NUMBERED: Readonly<Record<string, KeyName>> = {
  1: 'home',
  4: 'end',
  5: 'page-up',
  6: 'page-down',
  7: 'home',
  8: 'end',
};

const CONTROL: Readonly<Record<string, KeyName>> = {
  '\u0003': 'interrupt',
  '\u0008': 'backspace',
  '\u0009': 'tab',
  '\u000a': 'enter',
  '\u000c': 'redraw',
  '\u000d': 'enter',
  '\u0015': 'clear-line',
  '\u001a': 'suspend',
  '\u001b': 'escape',
  '\u007f': 'backspace',
};

// eslint-disable-next-line no-control-regex
const CSI = /^\u001b\[([0-9;<=>?]*)([ -/]*)([@-~])/;
// eslint-disable-next-line no-control-regex
const SS3 = /^\u001bO([@-~])/;
// eslint-disable-next-line no-control-regex
const UNFINISHED = /^\u001b(?:\[[0-9;<=>? -/]*|O)$/;

export class KeyReader {
  readonly #decoder = new TextDecoder();
  #rest = '';

  /** @param bytes as they were read; a sequence may come in pieces */
  read(bytes: Uint8Array): Key[] {
    let text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    this.#rest = '';
    const keys: Key[] = [];
    while (text !== '') {
      if (UNFINISHED.test(text)) {
        if (text.length <= SEQUENCE_MAX_LENGTH) this.#rest = text;
        break;
      }
      const [length, key] = firstKey(text);
      if (key !== undefined) keys.push(key);
      text = text.slice(length);
    }
    return keys;
  }
}

/** @returns how many characters it takes, and the key, if it is one that is known */
function firstKey(text: string): [length: number, key?: Key] {
  const csi = CSI.exec(text);
  if (csi !== null) {
    const [whole, parameters = '', , final = ''] = csi;
    const name = final === '~' ? NUMBERED[parameters.split(';')[0] ?? ''] : FINAL[final];
    return name === undefined ? [whole.length] : [whole.length, { name }];
  }
  const ss3 = SS3.exec(text);
  if (ss3 !== null) {
    const name = FINAL[ss3[1] ?? ''];
    return name === undefined ? [ss3[0].length] : [ss3[0].length, { name }];
  }
  const character = String.fromCodePoint(text.codePointAt(0) ?? 0);
  const name = CONTROL[character];
  if (name !== undefined) return [1, { name }];
  if (character < ' ' || (character >= '\u0080' && character < '\u00a0')) return [character.length];
  return [character.length, { name: 'text', text: character }];
}
