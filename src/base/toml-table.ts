/**
 * Reads the values of one TOML table with types (pure), and notes each mistake with its line and what was probably
 * meant, so that a reader of the file can go on to the next.
 */
import type { TomlValue } from 'smol-toml';
import { nearestWord } from './nearest.ts';
import type { TomlLines } from './toml-lines.ts';

export interface TomlMistake {
  readonly line: number;
  /** `what is wrong — what is allowed`. */
  readonly text: string;
}

export type Table = Readonly<Record<string, TomlValue>>;

const DAY_SECONDS = 86_400;

export const isTable = (value: TomlValue | undefined): value is Table & TomlValue =>
  typeof value === 'object' && !Array.isArray(value) && !(value instanceof Date);

/** A value as it would be written, on one line. */
export function shown(value: TomlValue): string {
  const text = JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'bigint' ? Number(item) : item,
  );
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** One table of the file, with where it stands. */
export class TableReader {
  readonly #table: Table;
  readonly #lines: TomlLines;
  readonly #place: readonly [string, number];
  readonly #mistakes: TomlMistake[];

  constructor(table: Table, lines: TomlLines, place: readonly [string, number], mistakes: TomlMistake[]) {
    this.#table = table;
    this.#lines = lines;
    this.#place = place;
    this.#mistakes = mistakes;
  }

  get line(): number {
    return this.#lines.lineOf(...this.#place);
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#table, key);
  }

  wrong(text: string, key?: string): undefined {
    this.#mistakes.push({ line: this.#lines.lineOf(...this.#place, key), text });
  }

  checkKeys(known: readonly string[]): void {
    for (const key of Object.keys(this.#table)) {
      if (known.includes(key)) continue;
      const near = nearestWord(key, known);
      const hint = near === undefined ? `there are ${known.join(', ')}` : `did you mean "${near}"?`;
      this.wrong(`unknown key "${key}" — ${hint}`, key);
    }
  }

  value(key: string): TomlValue | undefined {
    return this.has(key) ? this.#table[key] : undefined;
  }

  /** One value, or a list of them. @param allowed for the message */
  list<T>(
    key: string,
    allowed: string | ((item: TomlValue) => string),
    read: (item: TomlValue) => T | undefined,
  ): T[] | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    const items = Array.isArray(value) ? value : [value];
    if (items.length === 0) this.wrong(`${key}: the list is empty — leave the key out`, key);
    const result: T[] = [];
    for (const item of items) {
      const got = read(item);
      if (got !== undefined) result.push(got);
      else {
        const hint = typeof allowed === 'string' ? allowed : allowed(item);
        this.wrong(`${key}: ${shown(item)} is not understood — ${hint}`, key);
      }
    }
    return result;
  }

  integer(key: string, least: number, most: number): number | undefined {
    const value = this.value(key);
    if (value === undefined || (isWhole(value) && value >= least && value <= most)) return value;
    return this.wrong(`${key}: ${shown(value)} is not a whole number from ${least} to ${most}`, key);
  }

  boolean(key: string): boolean | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === 'boolean') return value;
    return this.wrong(`${key}: ${shown(value)} is neither true nor false`, key);
  }

  text(key: string): string | undefined {
    const value = this.value(key);
    if (value === undefined || (typeof value === 'string' && value !== '')) return value;
    return this.wrong(`${key}: ${shown(value)} is not a text`, key);
  }

  /** Seconds in the file. */
  durationMs(key: string): number | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value > 0 && value <= DAY_SECONDS) return value * 1000;
    return this.wrong(`${key}: ${shown(value)} is not a number of seconds, above 0 and at most a day`, key);
  }
}

export const isWhole = (value: TomlValue): value is number =>
  typeof value === 'number' && Number.isInteger(value);
