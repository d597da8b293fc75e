/**
 * The command words of the object mptcp (pure): what `ip mptcp WORDS` asks for, or the error it ends with.
 * Command words may be cut to any prefix; the first of the list that begins with it is meant.
 */
import type { Limits } from '../../mptcp/index.ts';
import { parseCNumber, U32_MAX } from './c-number.ts';
import { parseEndpointArguments, type LinkIndexOf } from './endpoint-arguments.ts';
import type { MptcpRequest } from './mptcp-request.ts';
import {
  foreignObject,
  incompleteCommand,
  unknownCommand,
  unknownObject,
  usageExit,
  wrongArgument,
  type CommandFailure,
  type Exit,
} from './outcome.ts';
import { IP_USAGE, MPTCP_USAGE } from './usage.ts';

export type Understood = { readonly kind: 'request'; readonly request: MptcpRequest };

const understood = (request: MptcpRequest): Understood => ({ kind: 'request', request });

/** The first of `list` that `word` is a prefix of. */
function match<Word extends string>(word: string, list: readonly Word[]): Word | undefined {
  return word === '' ? undefined : list.find((candidate) => candidate.startsWith(word));
}

/** ip's objects in the order in which abbreviations find them. */
const OBJECTS =
  'address addrlabel maddress route rule neighbor neighbour ntable ntbl link l2tp fou ila macsec tunnel tunl tuntap tap token tcpmetrics tcp_metrics monitor xfrm mroute mrule netns netconf vrf sr nexthop mptcp ioam stats help'.split(
    ' ',
  );

function parseLimitsArguments(argv: readonly string[]): Partial<Limits> | Exit {
  const limits: { -readonly [Key in keyof Limits]?: Limits[Key] } = {};
  for (let at = 0; at < argv.length; at += 2) {
    const word = argv[at] ?? '';
    const name = match(word, ['subflows', 'add_addr_accepted']);
    if (name === undefined) return wrongArgument(word, 'unknown limit');
    const text = argv[at + 1];
    if (text === undefined) return incompleteCommand();
    const value = parseCNumber(text, U32_MAX);
    if (value === undefined) return wrongArgument(text, `invalid ${name}\n`);
    if (name === 'subflows') limits.subflows = value;
    else limits.addAddrAccepted = value;
  }
  return limits;
}

function parseEndpoint(argv: readonly string[], linkIndexOf: LinkIndexOf): Understood | Exit {
  const word = argv[0];
  if (word === undefined) return understood({ kind: 'show-endpoints' });
  const command = match(word, ['add', 'change', 'delete', 'show', 'flush']);
  if (command === undefined) return unknownCommand(word);
  if (command === 'flush') return understood({ kind: 'flush-endpoints' });
  if (command === 'show' && argv.length === 1) return understood({ kind: 'show-endpoints' });
  const parsed = parseEndpointArguments(argv.slice(1), command, linkIndexOf);
  if (parsed.kind === 'exit') return parsed;
  return understood({ kind: `${command}-endpoint`, spec: parsed.spec });
}

function parseLimits(argv: readonly string[]): Understood | Exit {
  const word = argv[0];
  if (word === undefined) return understood({ kind: 'show-limits' });
  const command = match(word, ['set', 'show']);
  if (command === undefined) return unknownCommand(word);
  const limits = parseLimitsArguments(argv.slice(1));
  if ('kind' in limits) return limits;
  return understood(command === 'set' ? { kind: 'set-limits', limits } : { kind: 'show-limits' });
}

/** @param words what follows `ip mptcp` */
export function parseMptcpWords(words: readonly string[], linkIndexOf: LinkIndexOf): Understood | Exit {
  const [word, ...rest] = words;
  if (word === undefined) return usageExit(MPTCP_USAGE);
  switch (match(word, ['help', 'endpoint', 'limits', 'monitor'])) {
    case 'help':
      return usageExit(MPTCP_USAGE);
    case 'endpoint':
      return parseEndpoint(rest, linkIndexOf);
    case 'limits':
      return parseLimits(rest);
    case 'monitor':
      return rest[0] === undefined ? understood({ kind: 'monitor' }) : unknownCommand(rest[0]);
    default:
      return unknownCommand(word);
  }
}

/** @param words what follows `ip` and its options: an object and its words, at least one */
export function parseIpWords(
  words: readonly string[],
  linkIndexOf: LinkIndexOf,
): Understood | Exit | CommandFailure {
  const [word = '', ...rest] = words;
  const object = match(word, OBJECTS);
  if (object === undefined) return unknownObject(word);
  if (object === 'help') return usageExit(IP_USAGE);
  return object === 'mptcp' ? parseMptcpWords(rest, linkIndexOf) : foreignObject(word);
}
