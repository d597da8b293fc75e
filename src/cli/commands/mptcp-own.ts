/**
 * Weft's own part of `weft mptcp`: takes the own options out of the line, lets ip's options before the words mean
 * what they mean (`-n NAME` above all), and hands the words to the command they name.
 */
import { enterNamedNamespace, report, runIp } from '../compat/ip-command.ts';
import { parseIpOptions } from '../compat/ip-options.ts';
import type { Output } from '../compat/output.ts';
import { failureCode } from '../compat/settle.ts';
import { runConnections } from './mptcp-connections.ts';
import { runCounters } from './mptcp-counters.ts';
import { runEndpointSet } from './mptcp-endpoint-set.ts';
import { MPTCP_HELP } from './mptcp-help.ts';
import { JsonLinesPrinter } from './mptcp-json.ts';
import { nearestWord } from '../../base/index.ts';
import { USAGE_ERROR, type OwnCommandLine } from './mptcp-own-line.ts';

type OwnCommand = (line: OwnCommandLine) => number | Promise<number>;

const COMMANDS: Readonly<Record<string, OwnCommand>> = {
  connections: runConnections,
  counters: runCounters,
};

/** Letters enough to be none of ip's words by mistake. */
const LEAST_PREFIX = 3;

function ownCommand(word: string): string | undefined {
  const names = Object.keys(COMMANDS);
  return word.length < LEAST_PREFIX ? undefined : names.find((name) => name.startsWith(word));
}

/** ip's own answer, and a hint when the word comes near to one of ours. */
async function runUnderstoodByIp(argv: readonly string[], words: readonly string[], output: Output) {
  const code = await runIp(argv, output, { object: ['mptcp'] });
  const near = nearestWord(words[0] ?? '', Object.keys(COMMANDS));
  if (code !== 0 && near !== undefined) output.error(`weft: did you mean "weft mptcp ${near}"?\n`);
  return code;
}

async function run(argv: readonly string[], output: Output): Promise<number> {
  if (argv.includes('--help')) {
    output.write(MPTCP_HELP);
    output.flush();
    return 0;
  }
  const json = argv.includes('--json');
  const rest = argv.filter((word) => word !== '--json');
  const { namespaces, outcome } = parseIpOptions(rest);
  const words = outcome.kind === 'run' ? outcome.words : [];
  const own = ownCommand(words[0] ?? '');
  const isSet = 'endpoint'.startsWith(words[0] ?? '-') && words[1] === 'set';
  if (own === undefined && !isSet) {
    if (!json) return runUnderstoodByIp(rest, words, output);
    return runIp(rest, output, { object: ['mptcp'], printer: new JsonLinesPrinter() });
  }
  for (const name of namespaces) {
    const exit = enterNamedNamespace(name);
    if (exit !== undefined) return report(exit, output);
  }
  if (isSet) return runEndpointSet({ words: words.slice(2), json, output });
  const command = COMMANDS[own ?? ''];
  if (command === undefined) return USAGE_ERROR;
  return command({ words: words.slice(1), json, output });
}

/** @param argv the words after `weft mptcp` */
export async function runOwn(argv: readonly string[], output: Output): Promise<number> {
  try {
    return await run(argv, output);
  } catch (error) {
    return failureCode(error, output);
  }
}
