/**
 * The command line of mptcpize, made into what is to be done (pure). Texts and exit codes are those of mptcpd's
 * mptcpize; `--via` is Weft's own.
 */
import type { Via } from '../../service/index.ts';
import { parseArgp, type OptionSpec } from './argp.ts';
import {
  MPTCPIZE_COMMANDS,
  MPTCPIZE_HELP,
  MPTCPIZE_TRY,
  MPTCPIZE_USAGE,
  mptcpizeVersion,
} from './mptcpize-texts.ts';

export type MptcpizeRequest =
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'refuse'; readonly text: string; readonly exitCode: number }
  | { readonly kind: 'help' }
  | {
      readonly kind: 'run';
      readonly command: readonly string[];
      readonly debug: boolean;
      readonly via: Via | undefined;
    }
  | { readonly kind: 'enable' | 'disable'; readonly unit: string };

/** mptcpize ends so for a command that is wrong. */
export const COMMAND_ERROR = 255;
/** EX_USAGE of <sysexits.h>, by which argp ends. */
const OPTION_ERROR = 64;

const OPTIONS: readonly OptionSpec[] = [
  { name: 'help', short: '?' },
  { name: 'usage' },
  { name: 'version', short: 'V' },
];

const refuse = (text: string, exitCode = COMMAND_ERROR): MptcpizeRequest => ({
  kind: 'refuse',
  text,
  exitCode,
});
const missing = (what: string) => refuse(`missing ${what} argument\n${MPTCPIZE_COMMANDS}`);

/** `run`'s own options stand before the program; the first other word is the program, whatever follows. */
function parseRun(words: readonly string[]): MptcpizeRequest {
  let debug = false;
  let via: Via | undefined;
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '-d') debug = true;
    else if (word === '--via' || word.startsWith('--via=')) {
      const value = word === '--via' ? words[++at] : word.slice('--via='.length);
      if (value !== 'proxy' && value !== 'preload') {
        return refuse(`--via: "${value ?? ''}" is neither proxy nor preload\n`);
      }
      via = value;
    } else {
      if (word === '--') at++;
      break;
    }
  }
  const command = words.slice(at);
  return command.length === 0 ? missing('command') : { kind: 'run', command, debug, via };
}

/** @param argv the words after the program's name */
export function parseMptcpize(argv: readonly string[], weftVersion: string): MptcpizeRequest {
  const words: string[] = [];
  for (const token of parseArgp(argv, OPTIONS, true)) {
    if (token.kind === 'error') return refuse(`mptcpize: ${token.text}\n${MPTCPIZE_TRY}`, OPTION_ERROR);
    if (token.kind === 'word') words.push(token.word);
    else if (token.name === 'help') return { kind: 'print', text: MPTCPIZE_HELP };
    else if (token.name === 'usage') return { kind: 'print', text: MPTCPIZE_USAGE };
    else return { kind: 'print', text: mptcpizeVersion(weftVersion) };
  }
  const [command, ...rest] = words;
  switch (command) {
    case undefined:
    case 'help':
      return { kind: 'help' };
    case 'run':
      return parseRun(rest);
    case 'enable':
    case 'disable': {
      const [unit] = rest;
      return unit === undefined ? missing('unit') : { kind: command, unit };
    }
    default:
      return refuse(`unknown arg ${command}\n`);
  }
}
