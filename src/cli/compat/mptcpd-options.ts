/**
 * The command line of mptcpd(8): its options, what they say, and how a wrong one ends (pure). Options, forms, messages
 * and exit codes are those of mptcpd; what it only mentions and then ignores — an unknown flag — is an error here.
 */
import {
  meant,
  LOG_DESTINATIONS,
  parseAddressFlags,
  parseLogDestination,
  parseNotifyFlags,
  parsePluginNames,
  type CommandLineOptions,
  type Parsed,
} from '../../service/index.ts';
import { addWebAddress, webWish, type WebOptionValues, type WebWish } from '../web-options.ts';
import { parseWebOrigin } from '../../web/index.ts';
import { parseArgp, type OptionSpec } from './argp.ts';
import { mptcpdHelp, mptcpdUsage, mptcpdVersion } from './mptcpd-texts.ts';
import type { Exit } from './outcome.ts';

/** EX_USAGE of <sysexits.h>, which argp ends with. */
export const USAGE_ERROR = 64;

/** In mptcpd's order, in which ambiguous ones are told. `program-name` and `HANG` are argp's own, in no help. */
const SPECS: readonly OptionSpec[] = [
  { name: 'debug', short: 'd' },
  { name: 'log', short: 'l', value: 'required' },
  { name: 'notify-flags', value: 'required' },
  { name: 'plugin-dir', value: 'required' },
  { name: 'path-manager', value: 'required' },
  { name: 'addr-flags', value: 'required' },
  { name: 'load-plugins', value: 'required' },
  { name: 'help', short: '?' },
  { name: 'usage' },
  { name: 'program-name', value: 'required' },
  { name: 'HANG', value: 'optional' },
  { name: 'version', short: 'V' },
  // Weft's own.
  { name: 'web', value: 'required', whole: true },
  { name: 'no-web', whole: true },
  { name: 'web-token-file', value: 'required', whole: true },
  { name: 'web-origin', value: 'required', whole: true },
];

export interface MptcpdProgram {
  /** As messages call it: `mptcpd`, `weft daemon`. */
  readonly name: string;
  readonly weftVersion: string;
  /** POSIXLY_CORRECT is set. */
  readonly optionsFirst?: boolean;
}

export type MptcpdCommandLine =
  | {
      readonly kind: 'run';
      readonly options: CommandLineOptions;
      /** Absent: no page. */
      readonly web?: WebWish;
    }
  | Exit;

/** What an option adds, or what is wrong with its value. */
type Effect = CommandLineOptions | string;

function flagOption<T>(
  name: string,
  parsed: Parsed<T>,
  use: (value: T) => CommandLineOptions,
): CommandLineOptions | string {
  return 'problem' in parsed ? `--${name}: ${parsed.problem}` : use(parsed.value);
}

function logOption(text: string): Effect {
  const parsed = parseLogDestination(text);
  if ('value' in parsed) return { log: parsed.value };
  return `Unknown logging option: "${text}"${meant(text, LOG_DESTINATIONS)}`;
}

function loadPluginsOption(text: string): Effect {
  if (text === '') return 'Empty load plugins commandline option.';
  return flagOption('load-plugins', parsePluginNames(text), (loadPlugins) => ({ loadPlugins }));
}

const EFFECTS: Readonly<Record<string, (text: string) => Effect>> = {
  debug: () => ({ debug: true }),
  log: logOption,
  'addr-flags': (text) =>
    flagOption('addr-flags', parseAddressFlags(text), (addressFlags) => ({ addressFlags })),
  'notify-flags': (text) =>
    flagOption('notify-flags', parseNotifyFlags(text), (notifyFlags) => ({ notifyFlags })),
  'plugin-dir': (text) =>
    text === '' ? 'Empty plugin directory command line option.' : { pluginDirectory: text },
  'path-manager': (text) =>
    text === '' ? 'Empty default path manager plugin command line option.' : { pathManager: text },
  'load-plugins': loadPluginsOption,
};

/** @returns what is wrong, as text; `undefined`: no option of the page */
function webOption(
  name: string,
  text: string,
  before: WebOptionValues,
): WebOptionValues | string | undefined {
  switch (name) {
    case 'web': {
      const web = addWebAddress(text, before.web);
      return typeof web === 'string' ? `--web: ${web}` : { web };
    }
    case 'no-web':
      return { web: false };
    case 'web-token-file':
      return text === '' ? '--web-token-file: no file is named' : { webTokenFile: text };
    case 'web-origin': {
      const origin = parseWebOrigin(text);
      if (typeof origin === 'string') return `--web-origin: ${origin}`;
      return { webOrigin: [...(before.webOrigin ?? []), origin] };
    }
    default:
      return undefined;
  }
}

const exit = (stdout: string): Exit => ({ kind: 'exit', exitCode: 0, stdout });

function textExit(name: string, program: MptcpdProgram): Exit | undefined {
  switch (name) {
    case 'help':
      return exit(mptcpdHelp(program.name));
    case 'usage':
      return exit(mptcpdUsage(program.name));
    case 'version':
      return exit(mptcpdVersion(program.weftVersion));
    default:
      return undefined;
  }
}

const tryHelp = (name: string) => `Try \`${name} --help' or \`${name} --usage' for more information.\n`;

/** Reads the words after the program's name. */
export function parseMptcpdCommandLine(argv: readonly string[], program: MptcpdProgram): MptcpdCommandLine {
  // argp lets an option change what messages call the program, all but getopt's.
  let { name } = program;
  const web: { -readonly [Key in keyof WebOptionValues]: WebOptionValues[Key] } = {};
  const options: { -readonly [Key in keyof CommandLineOptions]: CommandLineOptions[Key] } = {};
  const usageError = (text: string, speaker = name): Exit => ({
    kind: 'exit',
    exitCode: USAGE_ERROR,
    stderr: `${speaker}: ${text}\n${tryHelp(name)}`,
  });
  for (const token of parseArgp(argv, SPECS, program.optionsFirst)) {
    if (token.kind === 'error') return usageError(token.text, program.name);
    if (token.kind === 'word') return usageError('Too many arguments');
    const value = token.value ?? '';
    const text = textExit(token.name, { ...program, name });
    if (text !== undefined) return text;
    if (token.name === 'program-name') name = value;
    const page = webOption(token.name, value, web);
    if (typeof page === 'string') return usageError(page);
    Object.assign(web, page);
    const effect = EFFECTS[token.name]?.(value) ?? {};
    if (typeof effect === 'string') return usageError(effect);
    Object.assign(options, effect);
  }
  const wish = webWish(web);
  return { kind: 'run', options, ...(wish === undefined ? {} : { web: wish }) };
}
