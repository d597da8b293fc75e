/** The options of `weft up`: what they are, how each value is read, and the words that give them to another process. */
import { InvalidArgumentError } from 'commander';
import { nearestWord } from '../base/index.ts';
import { BACKEND_WISHES, type BackendWish } from '../service/index.ts';
import { parseWebOrigin, type WebAddress, type WebOrigin } from '../web/index.ts';
import { addListen, parseListen, type ListenAddress } from './listen-address.ts';
import { addWebAddress, type WebOptionValues } from './web-options.ts';

export interface UpOptions extends WebOptionValues {
  readonly interface?: readonly string[];
  readonly exclude?: readonly string[];
  readonly backup?: readonly string[];
  readonly backend?: BackendWish;
  readonly listen?: readonly ListenAddress[];
  readonly allowRemote?: boolean;
  readonly transparent?: boolean;
  readonly transparentFrom?: readonly string[];
  readonly rejectQuic?: boolean;
  readonly rules?: string;
  readonly upstream?: string;
  readonly tokenFile?: string;
  readonly multipath: boolean;
  readonly background?: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** The kernel's own rule for names (dev_valid_name in net/core/dev.c); IFNAMSIZ is 16 with the terminating zero. */
const LINK_NAME = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;

export function collectLink(value: string, previous: readonly string[] = []): readonly string[] {
  if (!LINK_NAME.test(value)) {
    throw new InvalidArgumentError('No link can have this name; "ip link" shows those of this machine.');
  }
  return [...previous, value];
}

export function collectListen(
  value: string,
  previous: readonly ListenAddress[] = [],
): readonly ListenAddress[] {
  const parsed = parseListen(value);
  if (typeof parsed === 'string') throw new InvalidArgumentError(`${parsed}.`);
  return addListen(previous, parsed);
}

export function collectWeb(value: string, previous?: WebOptionValues['web']): readonly WebAddress[] {
  const addresses = addWebAddress(value, previous);
  if (typeof addresses === 'string') throw new InvalidArgumentError(`${addresses}.`);
  return addresses;
}

export function collectWebOrigin(value: string, previous: readonly WebOrigin[] = []): readonly WebOrigin[] {
  const origin = parseWebOrigin(value);
  if (typeof origin === 'string') throw new InvalidArgumentError(`${origin}.`);
  return [...previous, origin];
}

export function parseBackend(value: string): BackendWish {
  const known = BACKEND_WISHES.find((wish) => wish === value);
  if (known !== undefined) return known;
  const near = nearestWord(value, BACKEND_WISHES);
  const meant = near === undefined ? '' : ` (did you mean "${near}"?)`;
  throw new InvalidArgumentError(`It is ${BACKEND_WISHES.join(', ')}${meant}.`);
}

/** Words that only say how to start, so that they are neither recorded nor handed on. */
const HOW_TO_START = new Set(['--background']);

/** The command line's options as they were given, without those words. */
export function optionWords(argv: readonly string[]): string[] {
  return argv.filter((word) => !HOW_TO_START.has(word));
}

/** The same for records and messages: a URL may have been given with a password in it. */
export function withoutSecrets(words: readonly string[]): string[] {
  return words.map((word) => word.replace(/(:\/\/[^/@:]*):[^/@]*@/, '$1:…@'));
}
