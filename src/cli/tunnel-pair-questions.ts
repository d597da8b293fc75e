/**
 * What `weft tunnel init` asks for when it was not said on the command line: tunnel addresses, paths, networks behind
 * the ends. Pure but for the function that asks.
 */
import { isLoopback, type Prefix } from '../base/index.ts';
import { readHostAddresses } from '../netlink/index.ts';
import type { PairPath } from '../service/index.ts';
import { parseAddressPair, parseNetwork, parsePath, type Parsed } from './tunnel-pair-words.ts';

/** Puts a question. `undefined`: there is no more input. */
export type Ask = (question: string) => Promise<string | undefined>;

export interface PairAnswers {
  readonly tunnel: readonly (readonly [Prefix, Prefix])[];
  readonly paths: readonly PairPath[];
  readonly networks: readonly (readonly [0 | 1, Prefix])[];
}

export const DEFAULT_TUNNEL: readonly [Prefix, Prefix] = [
  { address: '10.200.0.1', length: 30 },
  { address: '10.200.0.2', length: 30 },
];
const DEFAULT_TEXT = DEFAULT_TUNNEL.map(({ address, length }) => `${address}/${length}`).join(',');

/** BOUNDED: wrong answers to one question. */
const TRIES_MAX = 5;

/** Asks until the answer can be read. @returns `undefined` for an empty answer, or when nobody answers any more */
async function askFor<T>(
  ask: Ask,
  question: string,
  parse: (text: string) => Parsed<T>,
): Promise<T | undefined> {
  let asked = question;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const text = (await ask(asked))?.trim() ?? '';
    if (text === '') return undefined;
    const parsed = parse(text);
    if ('value' in parsed) return parsed.value;
    asked = `${parsed.problem}\n${question}`;
  }
  return undefined;
}

async function askForAll<T>(
  ask: Ask,
  question: (index: number) => string,
  parse: (text: string) => Parsed<T>,
  limit: number,
): Promise<readonly T[]> {
  const values: T[] = [];
  while (values.length < limit) {
    const value = await askFor(ask, question(values.length), parse);
    if (value === undefined) break;
    values.push(value);
  }
  return values;
}

/** `eth0 192.0.2.1, wlan0 192.168.1.7`; pure but for the look. */
export function describeOwnLinks(): string {
  // A pair may be planned elsewhere, on a Mac for instance; it is only a help.
  if (process.platform !== 'linux') return '';
  return readHostAddresses()
    .filter(({ address }) => !isLoopback(address))
    .map(({ address, link }) => `${link} ${address}`)
    .join(', ');
}

const PATHS_ASKED_MAX = 20;

/**
 * @param given what the command line said already is not asked again
 * @param links what this host has, as a help
 */
export async function askForPair(
  ask: Ask,
  names: readonly [string, string],
  given: PairAnswers,
  links: string,
): Promise<PairAnswers> {
  const [left, right] = names;
  let { networks, paths, tunnel } = given;
  if (tunnel.length === 0) {
    const question = `Tunnel addresses of ${left} and ${right} [${DEFAULT_TEXT}]: `;
    tunnel = [(await askFor(ask, question, parseAddressPair)) ?? DEFAULT_TUNNEL];
  }
  if (paths.length === 0) {
    const help = `Each path joins a link of ${left} to a link of ${right}, such as eth1=192.0.2.1,eth1=198.51.100.7.\n${links === '' ? '' : `This host has ${links}.\n`}`;
    const question = (index: number) =>
      `${index === 0 ? help : ''}Path ${index} (empty: ${index === 0 ? 'give up' : 'no more'}): `;
    paths = await askForAll(ask, question, parsePath, PATHS_ASKED_MAX);
    if (paths.length > 0 && networks.length === 0) {
      const networkQuestion = () =>
        `A network behind an end, such as ${left}=192.168.1.0/24 (empty: ${networks.length === 0 ? 'none' : 'no more'}): `;
      networks = await askForAll(ask, networkQuestion, (text) => parseNetwork(text, names), PATHS_ASKED_MAX);
    }
  }
  return { tunnel, paths, networks };
}
