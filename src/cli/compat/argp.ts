/**
 * A command line in the way of argp and getopt_long of the GNU C library (pure): long options may be cut to any
 * beginning that only one has, values come as `--name=VALUE` or as the next word, short options may be bundled
 * (`-dlVALUE`), options and other words stand in any order, and `--` ends the options. Error texts are getopt's.
 *
 * Options come out in their order, because what is wrong first is told first. References: getopt(3), argp(3).
 */

export interface OptionSpec {
  readonly name: string;
  readonly short?: string;
  /** Absent: the option takes no value. `optional`: only as `--name=VALUE`. */
  readonly value?: 'required' | 'optional';
  /** It is never cut short, so that it takes no beginning away from those that are. */
  readonly whole?: boolean;
}

export type Token =
  | { readonly kind: 'option'; readonly name: string; readonly value?: string }
  | { readonly kind: 'word'; readonly word: string }
  /** What getopt would print after the program's name and `: `. Ends the list. */
  | { readonly kind: 'error'; readonly text: string };

const error = (text: string): Token => ({ kind: 'error', text });

type Found = { readonly spec: OptionSpec } | { readonly wrong: Token };

function findLong(name: string, whole: string, specs: readonly OptionSpec[]): Found {
  const exact = specs.find((spec) => spec.name === name);
  const candidates =
    exact === undefined ? specs.filter((spec) => spec.whole !== true && spec.name.startsWith(name)) : [exact];
  const [spec] = candidates;
  if (spec === undefined) return { wrong: error(`unrecognized option '--${whole}'`) };
  if (candidates.length === 1) return { spec };
  const possible = candidates.map((candidate) => `'--${candidate.name}'`).join(' ');
  return { wrong: error(`option '--${whole}' is ambiguous; possibilities: ${possible}`) };
}

/** The words that are still to be read. */
class Words {
  readonly #words: readonly string[];
  #next = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  take(): string | undefined {
    return this.#words[this.#next++];
  }
}

function readLong(whole: string, rest: Words, specs: readonly OptionSpec[]): Token {
  const equals = whole.indexOf('=');
  const name = equals < 0 ? whole : whole.slice(0, equals);
  const found = findLong(name, whole, specs);
  if ('wrong' in found) return found.wrong;
  const { spec } = found;
  const option = (value?: string): Token =>
    value === undefined ? { kind: 'option', name: spec.name } : { kind: 'option', name: spec.name, value };
  if (equals >= 0) {
    if (spec.value === undefined) return error(`option '--${spec.name}' doesn't allow an argument`);
    return option(whole.slice(equals + 1));
  }
  if (spec.value !== 'required') return option();
  const value = rest.take();
  return value === undefined ? error(`option '--${spec.name}' requires an argument`) : option(value);
}

/** The options of one word such as `-dlstderr`, without its dash. */
function* readShort(letters: string, rest: Words, specs: readonly OptionSpec[]): Generator<Token> {
  for (let at = 0; at < letters.length; at++) {
    const letter = letters[at] ?? '';
    const spec = specs.find(({ short }) => short === letter);
    if (spec === undefined) {
      yield error(`invalid option -- '${letter}'`);
      return;
    }
    if (spec.value !== 'required') {
      yield { kind: 'option', name: spec.name };
      continue;
    }
    const value = at + 1 < letters.length ? letters.slice(at + 1) : rest.take();
    if (value === undefined) yield error(`option requires an argument -- '${letter}'`);
    else yield { kind: 'option', name: spec.name, value };
    return;
  }
}

function* readTokens(
  argv: readonly string[],
  specs: readonly OptionSpec[],
  optionsFirst: boolean,
): Generator<Token> {
  const rest = new Words(argv);
  // getopt moves other words behind the options, so they are told of last.
  const words: string[] = [];
  let onlyWords = false;
  for (let word = rest.take(); word !== undefined; word = rest.take()) {
    if (onlyWords || word === '-' || !word.startsWith('-')) {
      words.push(word);
      onlyWords ||= optionsFirst;
    } else if (word === '--') onlyWords = true;
    else if (word.startsWith('--')) yield readLong(word.slice(2), rest, specs);
    else yield* readShort(word.slice(1), rest, specs);
  }
  for (const word of words) yield { kind: 'word', word };
}

/**
 * Reads the words after the program's name, up to the first error.
 * @param optionsFirst the environment has POSIXLY_CORRECT: the first other word ends the options
 */
export function parseArgp(
  argv: readonly string[],
  specs: readonly OptionSpec[],
  optionsFirst = false,
): readonly Token[] {
  const tokens: Token[] = [];
  for (const token of readTokens(argv, specs, optionsFirst)) {
    tokens.push(token);
    if (token.kind === 'error') break;
  }
  return tokens;
}
