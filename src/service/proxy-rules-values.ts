/**
 * The values of the proxy's rules file, one reader for each kind (pure): destinations, clients, ports, ways.
 * Format: docs/proxy.md.
 */
import { canonicalIp, isWhole, networkOf, parseIp, unmapV4, type Prefix } from '../base/index.ts';
import {
  LINK_LOCAL_PREFIXES,
  LOOPBACK_PREFIXES,
  PRIVATE_PREFIXES,
  type NamePattern,
  type PortRange,
} from '../proxy/index.ts';
import { domainToASCII } from 'node:url';

/** What one word of `to` stands for. */
export interface Destinations {
  readonly names: readonly NamePattern[];
  readonly prefixes: readonly Prefix[];
}

const both = (name: string): NamePattern[] => [
  { name, subdomains: false },
  { name, subdomains: true },
];

const GROUPS: ReadonlyMap<string, Destinations> = new Map([
  ['loopback', { names: both('localhost'), prefixes: LOOPBACK_PREFIXES }],
  ['private', { names: [], prefixes: PRIVATE_PREFIXES }],
  ['link-local', { names: [], prefixes: LINK_LOCAL_PREFIXES }],
]);

export const GROUP_NAMES: readonly string[] = [...GROUPS.keys()];

export const TO_HINT =
  'expected "example.org", "*.example.org" (all below it), ".example.org" (both), an address, a prefix such as ' +
  `"192.0.2.0/24", or one of ${GROUP_NAMES.map((name) => `"${name}"`).join(', ')}`;

export const FROM_HINT =
  'expected an address, a prefix such as "192.168.1.0/24", or "loopback", "private", "link-local"';

export const PORT_HINT = 'expected a port from 1 to 65535, or a range such as "8000-8999"';

/** A prefix, an address alone, or why the text is neither. */
export function readPrefix(text: string): Prefix | { readonly reason: string } | undefined {
  const [addressText = '', lengthText, ...rest] = text.split('/');
  const canonical = canonicalIp(addressText);
  if (canonical === undefined || rest.length > 0) return undefined;
  const address = unmapV4(canonical);
  const bits = (parseIp(address)?.length ?? 0) * 8;
  if (lengthText === undefined) return { address, length: bits };
  const length = Number(lengthText);
  if (!/^\d{1,3}$/.test(lengthText) || length > bits || address !== canonical) {
    return { reason: `"${text}" has no length from 0 to ${bits}` };
  }
  const network = networkOf(address, length);
  if (network === address) return { address, length };
  return { reason: `"${text}" has bits beyond its length; meant is "${network}/${length}", perhaps` };
}

/** Letters, digits, hyphen, underscore, dot; as http/target.ts takes them. */
const NAME = /^[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_-])?$/;

/** A host name as rules compare it; `undefined` when it is none. */
function readName(text: string): string | undefined {
  const plain = text.endsWith('.') ? text.slice(0, -1) : text;
  // Underscores are outside what IDNA knows, and are in real names.
  const ascii = /^[\x21-\x7e]*$/.test(plain) ? plain.toLowerCase() : domainToASCII(plain);
  if (ascii.length > 253 || !NAME.test(ascii) || ascii.includes('..')) return undefined;
  // `10.1` is an address to the resolver; as a name it would never be met.
  return /^[\d.]+$/.test(ascii) ? undefined : ascii;
}

/** One member of `to`. */
export function readDestination(item: unknown): Destinations | { readonly reason: string } | undefined {
  if (typeof item !== 'string') return undefined;
  const group = GROUPS.get(item);
  if (group !== undefined) return group;
  const prefix = readPrefix(item);
  if (prefix !== undefined) return 'reason' in prefix ? prefix : { names: [], prefixes: [prefix] };
  const below = item.startsWith('*.');
  const withItself = item.startsWith('.');
  const name = readName(below ? item.slice(2) : withItself ? item.slice(1) : item);
  if (name === undefined) return undefined;
  if (withItself) return { names: both(name), prefixes: [] };
  return { names: [{ name, subdomains: below }], prefixes: [] };
}

/** One member of `from`. */
export function readClients(item: unknown): readonly Prefix[] | { readonly reason: string } | undefined {
  if (typeof item !== 'string') return undefined;
  const group = GROUPS.get(item);
  if (group !== undefined) return group.prefixes;
  const prefix = readPrefix(item);
  return prefix === undefined || 'reason' in prefix ? prefix : [prefix];
}

export function readPorts(item: unknown): PortRange | undefined {
  const text = typeof item === 'string' ? item : isWhole(item as number) ? String(item) : '';
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1] ?? NaN);
  const last = Number(match?.[2] ?? first);
  return first >= 1 && first <= last && last <= 65_535 ? { first, last } : undefined;
}
