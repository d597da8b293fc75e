/**
 * Batch files as ip -batch reads them (pure): physical lines in, commands out.
 *
 * A `#` begins a comment, even within quotes. A line that ends in a backslash goes on in the next, which loses its
 * own comment first. Words are separated by spaces, tabs and line ends; one that begins with a quote ends at the
 * next quote of its kind, and what follows begins a new word; a quote within a word is an ordinary character.
 */

/** BOUNDED: ip takes fewer than 512 words a line. */
const MAX_WORDS = 511;

export type BatchStep =
  | {
      readonly kind: 'command';
      readonly words: string[];
      readonly lineNumber: number;
      /** It began in an earlier line. */
      readonly continued: boolean;
    }
  /** The program ends. */
  | { readonly kind: 'error'; readonly stderr: string };

const WORD_OR_QUOTED = /[ \t\r\n]*(?:(["'])|([^ \t\r\n]+))/y;

/** The words of a line, or what is wrong with it. */
export function splitWords(line: string): string[] | string {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    WORD_OR_QUOTED.lastIndex = at;
    const match = WORD_OR_QUOTED.exec(line);
    if (match === null) return words;
    const [, quote, word] = match;
    at = WORD_OR_QUOTED.lastIndex;
    if (quote === undefined) {
      words.push(word ?? '');
    } else {
      const end = line.indexOf(quote, at);
      if (end < 0) return 'Unterminated quoted string\n';
      words.push(line.slice(at, end));
      at = end + 1;
    }
    if (words.length > MAX_WORDS) return 'Too many arguments to command\n';
  }
}

const withoutComment = (line: string) => {
  const hash = line.indexOf('#');
  return hash < 0 ? line : line.slice(0, hash);
};

export class BatchLines {
  #lineNumber = 0;
  /** What came before a backslash at a line's end. */
  #begun: string | undefined;

  /**
   * Takes the next physical line, with its line end if it has one.
   * @returns `undefined` when there is nothing to do: an empty line, a comment, or a command that goes on
   */
  handleLine(line: string): BatchStep | undefined {
    this.#lineNumber++;
    const whole = (this.#begun ?? '') + withoutComment(line);
    if (whole.endsWith('\\\n')) {
      this.#begun = whole.slice(0, -2);
      return undefined;
    }
    const continued = this.#begun !== undefined;
    this.#begun = undefined;
    const words = splitWords(whole);
    if (typeof words === 'string') return { kind: 'error', stderr: words };
    return words.length === 0
      ? undefined
      : { kind: 'command', words, lineNumber: this.#lineNumber, continued };
  }

  /**
   * Counts a line whose meaning the caller knows already.
   * @returns its number, or `undefined` when it is the continuation of another and has to be handled
   */
  passLine(): number | undefined {
    return this.#begun === undefined ? ++this.#lineNumber : undefined;
  }

  /** The file ended. A command whose continuation is missing is dropped, with the warning that is returned. */
  handleEnd(): string | undefined {
    return this.#begun === undefined ? undefined : 'Missing continuation line\n';
  }
}
