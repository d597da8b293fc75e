/**
 * Reads the keys of one section as typed values (pure). Each `take…` names a key with its default; what is wrong goes
 * into the list of issues, and the default stands in for it, so that one reading finds everything. `finish` warns of
 * keys that nobody took.
 *
 * A value that the original takes in another sense than it looks (octal, trailing letters, words for numbers) keeps
 * the original's sense, and a warning tells it.
 */
import { isIpv6, canonicalIp, nearestWord, networkOf, type Prefix } from '../../base/index.ts';
import { parseCNumber } from './c-number.ts';
import type { DialectEntry, DialectSection } from './dialect.ts';
import type { IssueList } from './issue.ts';

export interface IntegerRule {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  /** Added to the error: why, or what stands for what. */
  readonly note?: string;
}

export type IpVersion = 4 | 6;

/** The address that stands for none. */
export const unspecified = (version: IpVersion): string => (version === 6 ? '::' : '0.0.0.0');

const bitsOf = (version: IpVersion): number => (version === 6 ? 128 : 32);
const versionOf = (address: string): IpVersion => (isIpv6(address) ? 6 : 4);

/** Keys, and what may be a mistyped one, are in no message. */
const isSecret = (text: string): boolean => text !== 'auth_type' && /auth|key/i.test(text);

export class SectionReader {
  readonly #section: DialectSection;
  readonly #issues: IssueList;
  /** The last entry of each key. BOUNDED: by the file. */
  readonly #entries = new Map<string, DialectEntry>();
  readonly #taken = new Set<string>();

  constructor(section: DialectSection, issues: IssueList) {
    this.#section = section;
    this.#issues = issues;
    for (const entry of section.entries) {
      const before = this.#entries.get(entry.key);
      if (before !== undefined && before.value !== entry.value) {
        issues.warn(entry.line, `${this.#where(entry)} replaces that of line ${before.line}`);
      }
      this.#entries.set(entry.key, entry);
    }
  }

  #where(entry: DialectEntry): string {
    const value = isSecret(entry.key) ? '…' : entry.value;
    return `${entry.key} = "${value}" in [${this.#section.name}]`;
  }

  #take(key: string): DialectEntry | undefined {
    this.#taken.add(key);
    return this.#entries.get(key);
  }

  /** Whether the section has the key. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  lineOf(key: string): number {
    return this.#entries.get(key)?.line ?? this.#section.line;
  }

  /** Says that a key's value is not allowed; `key` may be absent from the section. */
  refuse(key: string, why: string): void {
    const entry = this.#entries.get(key);
    const what = entry === undefined ? `${key} in [${this.#section.name}]` : this.#where(entry);
    this.#issues.error(this.lineOf(key), `${what}: ${why}`);
  }

  warn(key: string, why: string): void {
    const entry = this.#entries.get(key);
    const what = entry === undefined ? `${key} in [${this.#section.name}]` : this.#where(entry);
    this.#issues.warn(this.lineOf(key), `${what}: ${why}`);
  }

  /** Keys that are read for nothing, as the original does. */
  ignore(...keys: readonly string[]): void {
    for (const key of keys) this.#taken.add(key);
  }

  /** A key in another spelling, when the usual one is not there. */
  takeAlias(usual: string, other: string): string {
    if (!this.has(other)) return usual;
    this.#taken.add(other);
    if (!this.has(usual)) return other;
    this.warn(other, `passed over, because ${usual} is there too`);
    return usual;
  }

  takeText(key: string, fallback: string): string {
    return this.#take(key)?.value ?? fallback;
  }

  takeInteger(key: string, rule: IntegerRule): number {
    const entry = this.#take(key);
    if (entry === undefined) return rule.fallback;
    const { value, form } = parseCNumber(entry.value);
    if (value < rule.min || value > rule.max) {
      const note = rule.note === undefined ? '' : ` (${rule.note})`;
      this.refuse(key, `allowed are ${rule.min} to ${rule.max}${note}`);
      return rule.fallback;
    }
    if (form !== 'exact') {
      const why = { empty: 'is empty', 'not a number': 'is no number', trailing: 'has more than a number' };
      this.warn(key, `${form === 'octal' ? 'a leading 0 makes it octal' : why[form]}; it counts as ${value}`);
    }
    return value;
  }

  /** `special` is the one number with a meaning; every other means the other version. */
  takeVersion(key: string, fallback: IpVersion, special: IpVersion): IpVersion {
    const other: IpVersion = special === 6 ? 4 : 6;
    const entry = this.#take(key);
    if (entry === undefined) return fallback;
    const { value } = parseCNumber(entry.value);
    if (value === special) return special;
    if (value !== other) this.warn(key, `neither 4 nor 6; it counts as ${other}`);
    return other;
  }

  /** An address without length, of the given version; canonical. */
  takeAddress(key: string, version: IpVersion): string {
    const entry = this.#take(key);
    const none = unspecified(version);
    if (entry === undefined) return none;
    const address = canonicalIp(entry.value);
    if (address !== undefined && versionOf(address) === version) return address;
    this.refuse(key, `an IPv${version} address is wanted, or ${none}`);
    return none;
  }

  /** `ADDRESS/LENGTH`; `undefined` when the key is absent or wrong. Canonical, host bits kept. */
  takePrefix(key: string, version: IpVersion): Prefix | undefined {
    const entry = this.#take(key);
    if (entry === undefined) return undefined;
    const [, text = '', digits = ''] = /^([^/\s]+)\s*\/\s*(\d{1,3})$/.exec(entry.value) ?? [];
    const address = canonicalIp(text);
    const length = Number(digits);
    if (
      digits !== '' &&
      address !== undefined &&
      versionOf(address) === version &&
      length <= bitsOf(version)
    ) {
      return { address, length };
    }
    const range = `LENGTH from 0 to ${bitsOf(version)}`;
    this.refuse(key, `ADDRESS/LENGTH is wanted, an IPv${version} address and a ${range}`);
    return undefined;
  }

  /** A network: the bits after the length are cleared, with a warning, because the original would never match it. */
  takeNetwork(key: string, version: IpVersion): Prefix {
    const prefix = this.takePrefix(key, version) ?? { address: unspecified(version), length: 0 };
    const address = networkOf(prefix.address, prefix.length);
    if (address !== prefix.address) {
      this.warn(key, `has bits after its length; it counts as ${address}/${prefix.length}`);
    }
    return { address, length: prefix.length };
  }

  /** Port numbers between spaces, commas or colons. */
  takePorts(key: string): readonly number[] {
    const words = (this.#take(key)?.value ?? '').split(/[\s,:]+/).filter((word) => word !== '');
    const ports = words.map(Number);
    if (ports.every((port) => Number.isInteger(port) && port >= 1 && port <= 65_535)) return ports;
    this.refuse(key, 'port numbers from 1 to 65535 are wanted, between spaces, commas or colons');
    return [];
  }

  takeWord<T extends string>(key: string, fallback: T, words: readonly T[]): T {
    const entry = this.#take(key);
    if (entry === undefined) return fallback;
    const text = entry.value.toLowerCase();
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    const near = nearestWord(text, words);
    this.refuse(
      key,
      `allowed are ${words.join(', ')}${near === undefined ? '' : ` (did you mean "${near}"?)`}`,
    );
    return fallback;
  }

  /** Warns of the keys that count for nothing. */
  finish(): void {
    const known = [...this.#taken];
    for (const entry of this.#entries.values()) {
      if (this.#taken.has(entry.key)) continue;
      const near = nearestWord(entry.key, known);
      const meant = near === undefined ? '' : ` (did you mean "${near}"?)`;
      this.#issues.warn(entry.line, `${this.#where(entry)} is unknown and counts for nothing${meant}`);
    }
  }
}
