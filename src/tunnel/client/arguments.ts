/**
 * The `mpt` client from its arguments to its exit code, without the conversation between (pure).
 *
 *   mpt [--conf DIR] [-6] [-PORT] COMMAND ARGUMENTS
 *
 * `--conf` is Weft's own: the original reads `conf` of the working folder.
 *
 * The exit code says whether the command could be read: 0 yes, 1 unknown command or help, 3 bad address, 4 bad mask,
 * 5 bad parameters. As in the original, an error of the server's and no answer are 0 too.
 */
import { CommandError, parseCommandWords, type ClientCommand } from './command.ts';
import { formatClientHelp, formatCommandHelp } from './help.ts';

/** What `interface.conf` says to the client, with the client's own defaults filled in. */
export interface ClientSettings {
  readonly commandPort: number;
  readonly timeoutS: number;
}

/** Of the working folder. */
export const CONFIGURATION_FOLDER = 'conf';

/** Takes `--conf DIR` or `--conf=DIR` off the front, which the programs of MPT have in Weft only. */
export function takeFolder(
  args: readonly string[],
): { readonly folder: string; readonly isGiven: boolean; readonly rest: readonly string[] } | undefined {
  const [first = '', second] = args;
  if (first === '--conf') {
    return second === undefined || second === ''
      ? undefined
      : { folder: second, isGiven: true, rest: args.slice(2) };
  }
  const value = /^--conf=(.*)$/s.exec(first)?.[1];
  if (value === undefined) return { folder: CONFIGURATION_FOLDER, isGiven: false, rest: args };
  return value === '' ? undefined : { folder: value, isGiven: true, rest: args.slice(1) };
}

export type ClientStart =
  | {
      readonly kind: 'command';
      readonly isIpv6: boolean;
      readonly port: number;
      /** For reading; what is sent are the words as they were typed. */
      readonly command: ClientCommand;
      readonly text: string;
      /** Printed first. */
      readonly output: string;
    }
  | { readonly kind: 'end'; readonly exitCode: number; readonly output: string };

const EXIT_HELP = 1;

/** The two lines that the client always begins with. */
export function formatClientSettings({ commandPort, timeoutS }: ClientSettings): string {
  return `mpt configuration:\n\tLocal cmd port: ${commandPort}\n\tcmd timeout: ${timeoutS}\n`;
}

const SENTENCES: Readonly<Record<CommandError, string>> = {
  [CommandError.illegal]: 'ERROR: Illegal command\n',
  [CommandError.address]: 'ERROR: Invalid IP specified\n',
  [CommandError.mask]: 'ERROR: Invalid netmask specified\n',
  [CommandError.parameters]: 'ERROR: Wrong parameters specified\n',
};

function parsePort(option: string): number | undefined {
  const port = Number(/^-(\d{1,5})$/.exec(option)?.[1] ?? 0);
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/** Reads the arguments after the program's name. */
export function parseClientArguments(args: readonly string[], settings: ClientSettings): ClientStart {
  const words = [...args];
  let isIpv6 = false;
  let port = settings.commandPort;
  const end = (exitCode: number, text: string): ClientStart => {
    const head = formatClientSettings({ ...settings, commandPort: port });
    return { kind: 'end', exitCode, output: head + text };
  };
  while (words[0]?.startsWith('-') === true) {
    const option = words.shift() ?? '';
    const given = parsePort(option);
    // -6 comes first; after it, and after a port, a single digit would be a port that nobody has.
    if (option === '-6') isIpv6 = true;
    else if (given !== undefined) port = given;
    else if (option.startsWith('-h') || option === '--help') return end(EXIT_HELP, formatClientHelp());
    else return end(CommandError.illegal, SENTENCES[CommandError.illegal] + formatClientHelp());
  }
  if (words.length === 0) return end(EXIT_HELP, formatClientHelp());
  const reading = parseCommandWords(words);
  if ('command' in reading) {
    const output = formatClientSettings({ ...settings, commandPort: port });
    return { kind: 'command', isIpv6, port, command: reading.command, text: words.join(' '), output };
  }
  const { error, word } = reading;
  let help = '';
  if (error === CommandError.illegal) help = formatClientHelp();
  else if (error === CommandError.parameters && word !== undefined) help = formatCommandHelp(word);
  return end(error, SENTENCES[error] + help);
}

/** After each `cmd_timeout` without an answer; `attempt` 1, then 2. */
export function formatNoAnswer(attempt: 1 | 2): string {
  return `ERROR: No answer from mptsrv - unsuccessful receive ${attempt}\n`;
}
