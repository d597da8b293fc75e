/**
 * The commands of the `mpt` client as types, and their grammar (pure). The client checks it before it sends the words,
 * and the server again.
 *
 *   addr|address {add|del} IP[/LENGTH] dev INTERFACE
 *   int|interface INTERFACE {up|down}
 *   path {up|down} PUBLIC_IP REMOTE_IP
 *   path                                    (Weft's own: what is measured of the paths)
 *   show status
 *   reload [FILE]   restart [FILE]   save [FILE]
 *   delete FILE     create FILE
 *
 * As in the original, `int` in a wrong form is an illegal command, not one with wrong parameters. Where the original's
 * pattern has no room for real IPv6 addresses, they are taken; without a length they get 64, as its guide says, and IPv4
 * addresses 24.
 */
import { canonicalIp, isIpv6 } from '../../base/index.ts';
import { isLinkName } from '../config/interface-config.ts';

export type ClientCommand =
  | {
      readonly kind: 'address';
      readonly action: 'add' | 'del';
      readonly address: string;
      readonly length: number;
      readonly interfaceName: string;
    }
  | { readonly kind: 'interface'; readonly interfaceName: string; readonly isUp: boolean }
  | {
      readonly kind: 'path';
      readonly isUp: boolean;
      readonly publicAddress: string;
      readonly remoteAddress: string;
    }
  | { readonly kind: 'status' | 'paths' }
  /** Without a file: all of them. */
  | { readonly kind: 'reload' | 'restart' | 'save'; readonly file?: string }
  | { readonly kind: 'delete' | 'create'; readonly file: string };

/** What is wrong with a command; the numbers are the client's exit codes. */
export const CommandError = {
  illegal: 1,
  address: 3,
  mask: 4,
  parameters: 5,
} as const;

export type CommandError = (typeof CommandError)[keyof typeof CommandError];

export type CommandWord =
  'address' | 'interface' | 'path' | 'show' | 'reload' | 'restart' | 'delete' | 'save' | 'create';

export type CommandReading =
  | { readonly command: ClientCommand }
  /** `word`: of which command it would have been. */
  | { readonly error: CommandError; readonly word?: CommandWord };

const WORDS: Readonly<Record<string, CommandWord>> = {
  addr: 'address',
  address: 'address',
  int: 'interface',
  interface: 'interface',
  path: 'path',
  show: 'show',
  reload: 'reload',
  restart: 'restart',
  delete: 'delete',
  save: 'save',
  create: 'create',
};

const DEFAULT_LENGTH = { v4: 24, v6: 64 } as const;
const FILE_NAME = /^[^\s/]{1,255}$/;

function parseAddress(words: readonly string[]): CommandReading {
  const word = 'address';
  const [action, prefix, dev, interfaceName] = words;
  const isWhole =
    words.length === 4 && dev === 'dev' && interfaceName !== undefined && isLinkName(interfaceName);
  if (!isWhole || (action !== 'add' && action !== 'del') || prefix === undefined) {
    return { error: CommandError.parameters, word };
  }
  const [text = '', digits, ...more] = prefix.split('/');
  const address = canonicalIp(text);
  if (address === undefined) return { error: CommandError.address, word };
  const limit = isIpv6(address) ? 128 : 32;
  const length = digits === undefined ? DEFAULT_LENGTH[isIpv6(address) ? 'v6' : 'v4'] : Number(digits);
  if (more.length > 0 || (digits !== undefined && !/^\d{1,3}$/.test(digits)) || length > limit) {
    return { error: CommandError.mask, word };
  }
  return { command: { kind: 'address', action, address, length, interfaceName } };
}

function parseInterface(words: readonly string[]): CommandReading {
  const [interfaceName, state] = words;
  const isWhole = words.length === 2 && interfaceName !== undefined && isLinkName(interfaceName);
  if (!isWhole || (state !== 'up' && state !== 'down')) return { error: CommandError.illegal };
  return { command: { kind: 'interface', interfaceName, isUp: state === 'up' } };
}

function parsePath(words: readonly string[]): CommandReading {
  const word = 'path';
  if (words.length === 0) return { command: { kind: 'paths' } };
  const [state, source, destination] = words;
  if (words.length !== 3 || (state !== 'up' && state !== 'down')) {
    return { error: CommandError.parameters, word };
  }
  const publicAddress = canonicalIp(source ?? '');
  const remoteAddress = canonicalIp(destination ?? '');
  if (publicAddress === undefined || remoteAddress === undefined)
    return { error: CommandError.address, word };
  return { command: { kind: 'path', isUp: state === 'up', publicAddress, remoteAddress } };
}

function parseFile(
  word: 'reload' | 'restart' | 'save' | 'delete' | 'create',
  words: readonly string[],
): CommandReading {
  const [file] = words;
  const isWrong = words.length > 1 || (file !== undefined && !FILE_NAME.test(file));
  if (isWrong) return { error: CommandError.parameters, word };
  if (word === 'delete' || word === 'create') {
    return file === undefined ? { error: CommandError.parameters, word } : { command: { kind: word, file } };
  }
  return { command: { kind: word, ...(file !== undefined && { file }) } };
}

/** Reads the words of a command. Nothing is thrown: the words may come from any local process. */
export function parseCommandWords(words: readonly string[]): CommandReading {
  const [first = '', ...rest] = words;
  const word = Object.hasOwn(WORDS, first) ? WORDS[first] : undefined;
  switch (word) {
    case undefined:
      return { error: CommandError.illegal };
    case 'address':
      return parseAddress(rest);
    case 'interface':
      return parseInterface(rest);
    case 'path':
      return parsePath(rest);
    case 'show':
      return rest.length === 1 && rest[0] === 'status'
        ? { command: { kind: 'status' } }
        : { error: CommandError.parameters, word };
    default:
      return parseFile(word, rest);
  }
}

/** The command as one text, as it came to the server. */
export function parseCommandText(text: string): CommandReading {
  return parseCommandWords(text.split(/\s+/).filter((word) => word !== ''));
}

const state = (isUp: boolean): string => (isUp ? 'up' : 'down');

/** Whether a command only looks. */
export const isReading = ({ kind }: ClientCommand): boolean => kind === 'status' || kind === 'paths';

/** The words that are sent for a command. */
export function formatCommand(command: ClientCommand): string {
  switch (command.kind) {
    case 'address':
      return `address ${command.action} ${command.address}/${command.length} dev ${command.interfaceName}`;
    case 'interface':
      return `interface ${command.interfaceName} ${state(command.isUp)}`;
    case 'path':
      return `path ${state(command.isUp)} ${command.publicAddress} ${command.remoteAddress}`;
    case 'status':
      return 'show status';
    case 'paths':
      return 'path';
    default:
      return command.file === undefined ? command.kind : `${command.kind} ${command.file}`;
  }
}
