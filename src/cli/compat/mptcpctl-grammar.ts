/** The command line of mptcpctl (pure): what mptcp-virtual's script took, and options for programs that call it. */
import { nearestWord } from '../../base/index.ts';

export const MPTCPCTL_COMMANDS = [
  'start',
  'stop',
  'status',
  'import',
  'export',
  'upgrade',
  'monitor',
  'update',
  'update-ifaces',
] as const;
export type MptcpctlCommand = (typeof MPTCPCTL_COMMANDS)[number];

export interface MptcpctlLine {
  readonly kind: 'run';
  readonly command: MptcpctlCommand;
  readonly json: boolean;
  readonly verbose: boolean;
  /** What follows the command: for `start` the options of `weft up`, for `import` and `export` the file. */
  readonly words: readonly string[];
}

export interface MptcpctlExit {
  readonly kind: 'exit';
  readonly exitCode: number;
  readonly stdout?: string;
  readonly stderr?: string;
}

/** A mistake in the command line. */
export const USAGE_ERROR = 2;

export const MPTCPCTL_USAGE = `Usage: mptcpctl [--json] [--verbose] COMMAND

  start [OPTIONS]  start the proxy, in the background; options are those of
                   "weft up", e.g. --backend appliance, --backup lte0
  stop             stop it, and undo what was made on this machine
  status           is it alive, on which paths, and is MPTCP really in use
  import FILE      take an appliance: an OVA, or a folder of "weft appliance
                   build"
  export FILE      write the appliance as an OVA
  upgrade          build or take a newer appliance, try it, keep it if it starts
  monitor          follow changes of this machine's links, until Ctrl-C
  update           look once what has changed, and follow that
  update-ifaces    list the links that are taken

  --json           one JSON object on standard output (monitor: one a change)
  --verbose        say more when something fails
  --help           print this
  --version        print the version

Exit codes: 0 done, or so before; 1 it could not be done (status: not running);
2 a mistake in the command line.

Programs use it by its address: http_proxy=http://127.0.0.1:13128
`;

/** Those that take words of their own. */
const TAKES_FILE: ReadonlySet<string> = new Set(['import', 'export', 'upgrade']);

const isCommand = (word: string): word is MptcpctlCommand =>
  (MPTCPCTL_COMMANDS as readonly string[]).includes(word);

const mistake = (text: string): MptcpctlExit => ({
  kind: 'exit',
  exitCode: USAGE_ERROR,
  stderr: `mptcpctl: ${text}\n`,
});

function unknownCommand(word: string): MptcpctlExit {
  const near = nearestWord(word, MPTCPCTL_COMMANDS);
  const meant = near === undefined ? '' : `; did you mean "${near}"?`;
  return mistake(`there is no command "${word}"${meant} ("mptcpctl --help" lists what there is)`);
}

/** What is wrong with the words behind a command. */
function excess(command: MptcpctlCommand, words: readonly string[]): string | undefined {
  if (command === 'start') return undefined;
  const option = words.find((word) => word.startsWith('-') && word !== '-');
  if (option !== undefined) return `"${command}" has no option "${option}"`;
  const most = TAKES_FILE.has(command) ? 1 : 0;
  return words.length > most ? `"${command}" takes no "${words[most] ?? ''}"` : undefined;
}

/** The line without options that count everywhere, and whether they were there. */
function takeFlag(words: readonly string[], flag: string): { rest: string[]; given: boolean } {
  const rest = words.filter((word) => word !== flag);
  return { rest, given: rest.length < words.length };
}

/** With --json a program gets its object whatever it typed. */
function alsoAsJson(line: MptcpctlExit): MptcpctlExit {
  const [error = ''] = (line.stderr ?? '').split('\n');
  if (line.exitCode === 0) return line;
  const text = error.startsWith('Usage: ') ? 'no command was given' : error.replace(/^mptcpctl: /, '');
  return { ...line, stdout: `${JSON.stringify({ ok: false, messages: [], error: text, code: 'USAGE' })}\n` };
}

export function parseMptcpctl(argv: readonly string[], version: string): MptcpctlLine | MptcpctlExit {
  const line = parseWords(argv, version);
  return line.kind === 'exit' && argv.includes('--json') ? alsoAsJson(line) : line;
}

function parseWords(argv: readonly string[], version: string): MptcpctlLine | MptcpctlExit {
  const json = takeFlag(argv, '--json');
  const verbose = takeFlag(json.rest, '--verbose');
  const [first, ...words] = verbose.rest;
  if (first === undefined) return { kind: 'exit', exitCode: USAGE_ERROR, stderr: MPTCPCTL_USAGE };
  if (['--help', '-h', 'help'].includes(first)) return { kind: 'exit', exitCode: 0, stdout: MPTCPCTL_USAGE };
  if (['--version', '-V'].includes(first)) {
    return { kind: 'exit', exitCode: 0, stdout: `mptcpctl (weft ${version})\n` };
  }
  if (!isCommand(first)) return unknownCommand(first);
  if (words.includes('--help') || words.includes('-h')) {
    return { kind: 'exit', exitCode: 0, stdout: MPTCPCTL_USAGE };
  }
  const problem = excess(first, words);
  if (problem !== undefined) return mistake(problem);
  if ((first === 'import' || first === 'export') && words.length === 0) {
    return mistake(`usage: mptcpctl ${first} FILE`);
  }
  return { kind: 'run', command: first, json: json.given, verbose: verbose.given, words };
}
