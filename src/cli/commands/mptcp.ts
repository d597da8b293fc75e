/**
 * `weft mptcp …`: ip-mptcp(8) to the byte, and beside it Weft's own better ways, which are recognised by words and
 * options that ip does not have: `connections`, `counters`, `endpoint set`, `--json`, `--help`. What belongs to ip
 * is never touched here.
 *
 * `weft mptcp [OPTIONS] WORDS` means `ip [OPTIONS] mptcp WORDS`; `--json` may stand anywhere.
 */
import { runIp } from '../compat/ip-command.ts';
import { parseIpOptions } from '../compat/ip-options.ts';
import { Output } from '../compat/output.ts';
import { settle } from '../compat/settle.ts';

const IP_WORDS = ['help', 'endpoint', 'limits', 'monitor'];

/** `true` when the line is for mptcp-own.ts, which also gives hints about words that nobody knows. */
function isOwn(argv: readonly string[]): boolean {
  if (argv.includes('--json') || argv.includes('--help')) return true;
  const { outcome } = parseIpOptions(argv);
  if (outcome.kind !== 'run') return false;
  const [word, second] = outcome.words;
  if (word === undefined || word === '') return false;
  const known = IP_WORDS.find((name) => name.startsWith(word));
  return known === undefined || (known === 'endpoint' && second === 'set');
}

async function runOwnPart(argv: readonly string[]): Promise<void> {
  const { runOwn } = await import('./mptcp-own.ts');
  process.exitCode = await runOwn(argv, new Output());
}

/** @param argv the words after `weft mptcp` */
export function runMptcp(argv: readonly string[]): void {
  if (isOwn(argv)) void runOwnPart(argv);
  else settle((output) => runIp(argv, output, { object: ['mptcp'] }));
}
