/**
 * The options that stand before the object on ip's command line (pure), as iproute2 7.1 takes them: any option may
 * be cut to any prefix that no earlier one of its list has, and a second dash before it is ignored.
 *
 * Options take effect in order: a namespace that cannot be entered is reported before a later option is looked at.
 * So `namespaces` holds those named before parsing ended, to be entered first, whatever the outcome.
 */
import { parseCNumber, U32_MAX } from './c-number.ts';
import {
  ARGUMENT_ERROR,
  missingArgument,
  unknownOption,
  usageExit,
  wrongArgument,
  type Exit,
} from './outcome.ts';
import { IP_USAGE, VERSION_LINE } from './usage.ts';

export type ColorChoice = 'never' | 'auto' | 'always';
export type TimestampChoice = 'none' | 'long' | 'short';

export interface IpOptions {
  readonly json: boolean;
  readonly pretty: boolean;
  readonly oneline: boolean;
  readonly color: ColorChoice;
  readonly timestamp: TimestampChoice;
  readonly force: boolean;
  /** Batch file; `-` is standard input. */
  readonly batch?: string;
  readonly receiveBufferBytes?: number;
}

export interface ParsedIpOptions {
  /** In the order given; `undefined` where the name is missing. */
  readonly namespaces: readonly (string | undefined)[];
  /** What to do then: the rest of the words with the options, or the end. */
  readonly outcome: Exit | { readonly kind: 'run'; readonly options: IpOptions; readonly words: string[] };
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

interface State {
  readonly options: Mutable<IpOptions>;
  readonly namespaces: (string | undefined)[];
}

/** What one option does; `value` is its argument where it takes one. */
type Effect = (state: State, value: string | undefined) => Exit | undefined;

interface Rule {
  readonly name: string;
  /** `prefix`: may be shortened; `exact`: not. */
  readonly match: 'prefix' | 'exact';
  readonly takesValue: boolean;
  readonly effect: Effect;
}

const ignored: Effect = () => undefined;
const flag = (name: string, effect: Effect = ignored): Rule => ({
  name,
  match: 'prefix',
  takesValue: false,
  effect,
});
const exact = (name: string): Rule => ({ name, match: 'exact', takesValue: false, effect: ignored });
const valued = (name: string, effect: Effect): Rule => ({ name, match: 'prefix', takesValue: true, effect });

function set<Key extends keyof IpOptions>(key: Key, value: IpOptions[Key]): Effect {
  return ({ options }) => {
    (options as Mutable<Record<Key, IpOptions[Key]>>)[key] = value;
    return undefined;
  };
}

const FAMILIES: ReadonlySet<string> = new Set(['inet', 'inet6', 'link', 'mpls', 'bridge']);

const family: Effect = (_state, value) => {
  if (value === undefined) return missingArgument('family type');
  if (value === 'help') return usageExit(IP_USAGE);
  return FAMILIES.has(value) ? undefined : wrongArgument(value, 'invalid protocol family');
};

const receiveBuffer: Effect = ({ options }, value) => {
  if (value === undefined) return missingArgument('rcvbuf size');
  const bytes = parseCNumber(value, U32_MAX);
  if (bytes === undefined) {
    return { kind: 'exit', exitCode: ARGUMENT_ERROR, stderr: `Invalid rcvbuf size '${value}'\n` };
  }
  options.receiveBufferBytes = bytes;
  return undefined;
};

const batch: Effect = ({ options }, value) => {
  if (value === undefined) return missingArgument('batch file');
  options.batch = value;
  return undefined;
};

/** In the order in which they are tried: `-r` is resolve, `-rc` is rcvbuf. */
const RULES: readonly Rule[] = [
  valued('loops', (_state, value) => (value === undefined ? missingArgument('loop count') : undefined)),
  valued('family', family),
  ...['4', '6', '0', 'M', 'B'].map(exact),
  flag('human-readable'),
  flag('iec'),
  flag('statistics'),
  flag('stats'),
  flag('details'),
  flag('resolve'),
  flag('oneline', set('oneline', true)),
  flag('timestamp', ({ options }) => {
    if (options.timestamp === 'none') options.timestamp = 'long';
    return undefined;
  }),
  flag('tshort', set('timestamp', 'short')),
  flag('Version', () => ({ kind: 'exit', exitCode: 0, stdout: VERSION_LINE })),
  flag('force', set('force', true)),
  valued('batch', batch),
  flag('brief'),
  flag('json', set('json', true)),
  flag('pretty', set('pretty', true)),
  valued('rcvbuf', receiveBuffer),
  flag('help', () => usageExit(IP_USAGE)),
  valued('netns', ({ namespaces }, value) => {
    namespaces.push(value);
    return undefined;
  }),
  flag('Numeric'),
  flag('all'),
  exact('echo'),
];

/** `-c`, `-color`, `-c=auto` …; the part before `=` may be shortened to nothing, as ip has it. */
function parseColor(word: string): ColorChoice | undefined {
  const [name = '', ...rest] = word.split('=');
  if (!'color'.startsWith(name) || word === '') return undefined;
  const choice = rest.join('=');
  if (choice === '' || choice === 'always') return 'always';
  return choice === 'auto' || choice === 'never' ? choice : undefined;
}

const matches = (rule: Rule, word: string) =>
  rule.match === 'exact' ? rule.name === word : rule.name.startsWith(word);

function applyOption(state: State, word: string, next: string | undefined): Exit | 'flag' | 'valued' {
  const rule = RULES.find((candidate) => matches(candidate, word));
  if (rule !== undefined) {
    return rule.effect(state, rule.takesValue ? next : undefined) ?? (rule.takesValue ? 'valued' : 'flag');
  }
  const color = parseColor(word);
  if (color === undefined) return unknownOption(`-${word}`);
  state.options.color = color;
  return 'flag';
}

export function parseIpOptions(argv: readonly string[]): ParsedIpOptions {
  const state: State = {
    options: {
      json: false,
      pretty: false,
      oneline: false,
      color: 'never',
      timestamp: 'none',
      force: false,
    },
    namespaces: [],
  };
  const { namespaces } = state;
  let at = 0;
  while (at < argv.length) {
    const argument = argv[at] ?? '';
    if (argument === '--') {
      at++;
      break;
    }
    if (!argument.startsWith('-')) break;
    const word = argument.slice(argument.startsWith('--') ? 2 : 1);
    const result = applyOption(state, word, argv[at + 1]);
    if (typeof result !== 'string') return { namespaces, outcome: result };
    // A missing namespace name fails when it is entered; nothing after it counts.
    at += result === 'valued' ? 2 : 1;
  }
  return { namespaces, outcome: { kind: 'run', options: state.options, words: argv.slice(at) } };
}
