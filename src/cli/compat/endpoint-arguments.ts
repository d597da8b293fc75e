/**
 * The arguments of `endpoint add|delete|change|show` (pure): flags, `id N`, `dev NAME`, `port N` and an address in
 * any order, the last of equal ones counting. Whatever is none of them is taken for an address.
 *
 * The order of the checks is visible in which error comes first: words from left to right, a device being
 * looked for where it stands, then what is missing, then combinations.
 */
import { EndpointFlag, type EndpointSpec } from '../../mptcp/index.ts';
import { parseCNumber, U16_MAX, U8_MAX } from './c-number.ts';
import { parseInetAddress } from './inet-address.ts';
import { badAddress, incompleteCommand, missingArgument, wrongArgument, type Exit } from './outcome.ts';

export type EndpointCommand = 'add' | 'delete' | 'change' | 'show';

/** The index of the link with that name in the namespace at hand; `undefined` when there is none. */
export type LinkIndexOf = (name: string) => number | undefined;

/** `no…` are words of `change`, where leaving a flag out takes it away. */
const FLAGS: Readonly<Record<string, number>> = {
  signal: EndpointFlag.signal,
  subflow: EndpointFlag.subflow,
  laminar: EndpointFlag.laminar,
  backup: EndpointFlag.backup,
  fullmesh: EndpointFlag.fullmesh,
  implicit: EndpointFlag.implicit,
  nobackup: 0,
  nofullmesh: 0,
};

const CHANGEABLE = EndpointFlag.backup | EndpointFlag.fullmesh;
const SIGNAL_FULLMESH = EndpointFlag.signal | EndpointFlag.fullmesh;

/** What the words said, before the combinations are judged. */
interface Words {
  flags: number;
  id?: number;
  port: number;
  linkIndex?: number;
  address?: string;
}

/** <linux/if.h> IFNAMSIZ, the zero at the end included. */
const MAX_NAME_BYTES = 15;

function isLinkName(name: string): boolean {
  return (
    name !== '' &&
    name !== '.' &&
    name !== '..' &&
    new TextEncoder().encode(name).length <= MAX_NAME_BYTES &&
    !/[/ \t\n\v\f\r]/.test(name)
  );
}

/** `if5` names the link with index 5, whether it is there or not; what follows the number is ignored. */
function indexInName(name: string): number | undefined {
  const match = /^if([+-]?)(\d+)/.exec(name);
  if (match === null) return undefined;
  const value = Number(match[2]);
  const index = (match[1] === '-' ? -value : value) >>> 0;
  return index === 0 ? undefined : index;
}

function takeFlag(words: Words, word: string, flag: number, command: EndpointCommand): Exit | undefined {
  words.flags |= flag;
  if (command === 'add' && (words.flags & SIGNAL_FULLMESH) === SIGNAL_FULLMESH) {
    return wrongArgument(word, "flags mustn't have both signal and fullmesh");
  }
  if (command === 'change' && (words.flags & ~CHANGEABLE) !== 0) {
    return wrongArgument(word, 'invalid flags, backup and fullmesh only');
  }
  return undefined;
}

const VALUED = ['id', 'dev', 'port'] as const;

function takeValue(
  words: Words,
  key: (typeof VALUED)[number],
  value: string,
  linkIndexOf: LinkIndexOf,
): Exit | undefined {
  if (key === 'id') {
    const id = parseCNumber(value, U8_MAX);
    if (id === undefined) return wrongArgument(value, 'invalid ID\n');
    words.id = id;
  } else if (key === 'dev') {
    if (!isLinkName(value)) return wrongArgument(value, 'invalid interface name\n');
    const linkIndex = linkIndexOf(value) ?? indexInName(value);
    if (linkIndex === undefined) return wrongArgument(value, 'device does not exist\n');
    words.linkIndex = linkIndex;
  } else {
    const port = parseCNumber(value, U16_MAX);
    if (port === undefined) return wrongArgument(value, 'expected port');
    words.port = port;
  }
  return undefined;
}

function readWords(
  argv: readonly string[],
  command: EndpointCommand,
  linkIndexOf: LinkIndexOf,
): Words | Exit {
  const words: Words = { flags: 0, port: 0 };
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? '';
    const flag = Object.hasOwn(FLAGS, word) ? FLAGS[word] : undefined;
    let exit: Exit | undefined;
    const key = word === '' ? undefined : VALUED.find((name) => name.startsWith(word));
    if (flag !== undefined) {
      exit = takeFlag(words, word, flag, command);
    } else if (key === undefined) {
      const address = parseInetAddress(word);
      if (address === undefined) exit = badAddress(word);
      else words.address = address;
    } else {
      const value = argv[++at];
      exit = value === undefined ? incompleteCommand() : takeValue(words, key, value, linkIndexOf);
    }
    if (exit !== undefined) return exit;
  }
  return words;
}

function checkCombination(words: Words, command: EndpointCommand): Exit | undefined {
  const { id, address } = words;
  if (command === 'add' && address === undefined) return missingArgument('ADDRESS');
  if (command === 'delete') {
    if (id === undefined) return missingArgument('ID');
    if (id !== 0 && address !== undefined) {
      return wrongArgument('ADDRESS', 'invalid for non-zero id address\n');
    }
    if (id === 0 && address === undefined) {
      return wrongArgument('ID', 'address is needed for deleting id 0 address\n');
    }
  } else if (id === 0) {
    return wrongArgument('ID', 'cannot be 0\n');
  }
  if (words.port === 0) return undefined;
  if (command === 'add' && (words.flags & EndpointFlag.signal) === 0) {
    return wrongArgument('port', 'flags must have signal when using port');
  }
  if (command === 'change' && id !== undefined) {
    return wrongArgument('port', "port can't be used with id");
  }
  return undefined;
}

/** The spec to send: what was not said, or is 0, is left out. */
export function parseEndpointArguments(
  argv: readonly string[],
  command: EndpointCommand,
  linkIndexOf: LinkIndexOf,
): { readonly kind: 'spec'; readonly spec: EndpointSpec } | Exit {
  const words = readWords(argv, command, linkIndexOf);
  if ('kind' in words) return words;
  const { linkIndex, id, flags, port, address } = words;
  const exit = checkCombination(words, command);
  if (exit !== undefined) return exit;
  return {
    kind: 'spec',
    spec: {
      ...(id === undefined || id === 0 ? {} : { id }),
      ...(flags === 0 ? {} : { flags }),
      ...(linkIndex === undefined ? {} : { linkIndex }),
      ...(port === 0 ? {} : { port }),
      ...(address === undefined ? {} : { address }),
    },
  };
}
