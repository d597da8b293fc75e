/**
 * Carries out a command line of `mpt`: reads what interface.conf says to the client, sends the command to the server on
 * this host, prints its answer. Grammar, texts and exit codes are the tunnel layer's (tunnel/client).
 */
import { printable } from '../../base/index.ts';
import { askTunnelServer, readClientSettings } from '../../service/index.ts';
import { formatClientHelp, formatNoAnswer, parseClientArguments, takeFolder } from '../../tunnel/index.ts';
import type { LocalOutcome } from '../../tunnel/index.ts';
import type { Output } from './output.ts';

const OK = 0;
const ILLEGAL = 1;

/** A server's text line by line: any local process may have taken the port. */
const shown = (text: string): string => text.split('\n').map(printable).join('\n');

/** What the client prints about an outcome; the original's words. */
function formatOutcome(outcome: LocalOutcome): string {
  if (outcome.kind === 'no-answer') return formatNoAnswer(1) + formatNoAnswer(2);
  const reply = `${outcome.ok ? 'CMD_OK:' : 'CMD-ERROR:'}${shown(outcome.text)}`;
  const whole = reply.endsWith('\n') ? reply : `${reply}\n`;
  return outcome.ended ? whole : whole + formatNoAnswer(2);
}

/**
 * @param argv the words after the program's name
 * @returns the exit code, which says only whether the command could be read
 */
export function runMpt(argv: readonly string[], output: Output): number | Promise<number> {
  const taken = takeFolder(argv);
  if (taken === undefined) {
    output.error('mpt: --conf needs the name of a folder\n');
    output.write(formatClientHelp());
    output.flush();
    return ILLEGAL;
  }
  const { problem, ...settings } = readClientSettings(taken.folder);
  if (problem !== undefined) output.error(`mpt: ${printable(problem)}\n`);
  const start = parseClientArguments(taken.rest, settings);
  output.write(start.output);
  output.flush();
  if (start.kind === 'end') return start.exitCode;
  const { isIpv6, port, text } = start;
  if (port === 0) {
    output.error(
      `mpt: cmdport_local = 0 says "any port" — name the server's with -PORT; "mptsrv" prints it\n`,
    );
    output.write(formatOutcome({ kind: 'no-answer' }));
    output.flush();
    return OK;
  }
  return askTunnelServer({ command: text, port, isIpv6, timeoutMs: settings.timeoutS * 1000 }).then(
    (outcome) => {
      output.write(formatOutcome(outcome));
      output.flush();
      return OK;
    },
  );
}
