/**
 * The words of `weft tunnel init` as typed values (pure), from the command line and from answers alike.
 *
 *   addresses  ADDRESS/LENGTH,ADDRESS/LENGTH                       of the first end, of the second
 *   path       LINK=ADDRESS,LINK=ADDRESS[,KEY=VALUE ...]           likewise; keys: weight, public1, public2, via1, via2
 *   network    END=ADDRESS/LENGTH
 *
 * Each function returns the value, or one sentence that says what is wrong.
 */
import { canonicalIp, isIpv6, nearestWord, networkOf, type Prefix } from '../base/index.ts';
import type { PairPath, PathEnd } from '../service/index.ts';
import { isLinkName, LINK_NAME_RULE, WEIGHT_MAX } from '../tunnel/index.ts';

export type Parsed<T> = { readonly value: T } | { readonly problem: string };

const problem = (text: string): { readonly problem: string } => ({ problem: text });

function parsePrefix(text: string): Prefix | undefined {
  const [addressText = '', digits = '', ...more] = text.split('/');
  const address = canonicalIp(addressText);
  if (address === undefined || more.length > 0 || !/^\d{1,3}$/.test(digits)) return undefined;
  const length = Number(digits);
  return length <= (isIpv6(address) ? 128 : 32) ? { address, length } : undefined;
}

export function parseAddressPair(text: string): Parsed<readonly [Prefix, Prefix]> {
  const words = text.split(',').map((word) => word.trim());
  const [left, right] = words.map(parsePrefix);
  if (words.length !== 2 || left === undefined || right === undefined) {
    return problem(`"${text}" is not ADDRESS/LENGTH,ADDRESS/LENGTH`);
  }
  return { value: [left, right] };
}

export function parseNetwork(
  text: string,
  names: readonly [string, string],
): Parsed<readonly [0 | 1, Prefix]> {
  const at = text.indexOf('=');
  const name = text.slice(0, Math.max(0, at)).trim();
  const prefix = parsePrefix(text.slice(at + 1).trim());
  const side = names.indexOf(name);
  if (at < 0 || prefix === undefined) return problem(`"${text}" is not END=ADDRESS/LENGTH`);
  if (side < 0) return problem(`"${name}" is no end: ${names.join(', ')}`);
  const network = networkOf(prefix.address, prefix.length);
  if (network !== prefix.address) {
    return problem(`"${text}" has bits behind its length: is it ${network}/${prefix.length}?`);
  }
  return { value: [side === 0 ? 0 : 1, prefix] };
}

function parsePathEnd(word: string): Parsed<PathEnd> {
  const at = word.lastIndexOf('=');
  const interfaceName = word.slice(0, Math.max(0, at)).trim();
  const address = canonicalIp(word.slice(at + 1).trim());
  if (at < 0 || address === undefined) return problem(`"${word}" is not LINK=ADDRESS`);
  if (!isLinkName(interfaceName)) return problem(`"${interfaceName}": ${LINK_NAME_RULE}`);
  return { value: { interfaceName, address } };
}

const PATH_KEYS = ['weight', 'public1', 'public2', 'via1', 'via2'];

interface PathExtras {
  weight: number;
  readonly ends: [Partial<PathEnd>, Partial<PathEnd>];
}

/** @returns what is wrong */
function takeExtra(word: string, extras: PathExtras): string | undefined {
  const [key = '', value = ''] = word.split('=').map((part) => part.trim());
  if (key === 'weight') {
    extras.weight = /^\d{1,5}$/.test(value) ? Number(value) : 0;
    const isAllowed = extras.weight >= 1 && extras.weight <= WEIGHT_MAX;
    return isAllowed ? undefined : `weight = "${value}": 1 to ${WEIGHT_MAX} are allowed`;
  }
  if (!PATH_KEYS.includes(key)) {
    const nearest = nearestWord(key, PATH_KEYS);
    const meant = nearest === undefined ? '' : `: did you mean "${nearest}"?`;
    return `"${key}" is not understood${meant} (it can be ${PATH_KEYS.join(', ')})`;
  }
  const side = key.endsWith('1') ? 0 : 1;
  const isPublic = key.startsWith('public');
  const address = isPublic && value === 'auto' ? 'auto' : canonicalIp(value);
  if (address === undefined) return `${key} = "${value}" is no address${isPublic ? ', and not "auto"' : ''}`;
  extras.ends[side] = { ...extras.ends[side], [isPublic ? 'publicAddress' : 'gateway']: address };
  return undefined;
}

export function parsePath(text: string): Parsed<PairPath> {
  const [leftWord = '', rightWord, ...more] = text.split(',').map((word) => word.trim());
  if (rightWord === undefined) return problem(`"${text}" is not LINK=ADDRESS,LINK=ADDRESS[,KEY=VALUE ...]`);
  const [left, right] = [parsePathEnd(leftWord), parsePathEnd(rightWord)];
  if ('problem' in left) return left;
  if ('problem' in right) return right;
  const extras: PathExtras = { weight: 1, ends: [{}, {}] };
  for (const word of more) {
    const wrong = takeExtra(word, extras);
    if (wrong !== undefined) return problem(wrong);
  }
  const [leftMore, rightMore] = extras.ends;
  return {
    value: {
      ends: [
        { ...left.value, ...leftMore },
        { ...right.value, ...rightMore },
      ],
      weight: extras.weight,
    },
  };
}
