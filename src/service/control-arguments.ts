/**
 * Reads what somebody sent with a control call (pure): the names of a query or of a JSON object against those that the
 * call knows, and values by their kinds. What a call does not know is a mistake and is said, never passed over.
 *
 * Not here: whether a value makes sense. The kernel and the owners of what is changed judge that.
 */
import { nearestWord, WeftError } from '../base/index.ts';

/** BOUNDED: what a text in an argument may be long. */
export const TEXT_MAX_LENGTH = 256;

/** BOUNDED: how much of somebody's text an error quotes. */
const QUOTED_MAX_LENGTH = 40;

export function badArgument(text: string): WeftError {
  return new WeftError(text, { code: 'BAD_ARGUMENT' });
}

export const quoted = (value: unknown): string => {
  // JSON has no word for a number that was too large for it.
  const isOwn = typeof value === 'string' || typeof value === 'number' || value === undefined;
  const text = isOwn ? String(value) : JSON.stringify(value);
  return `"${text.length > QUOTED_MAX_LENGTH ? `${text.slice(0, QUOTED_MAX_LENGTH)}…` : text}"`;
};

/** Looked for in short words only: the effort grows with their length. */
function meant(word: unknown, known: readonly string[]): string {
  if (typeof word !== 'string' || word.length > QUOTED_MAX_LENGTH) return '';
  const near = nearestWord(word, known);
  return near === undefined ? '' : ` (did you mean "${near}"?)`;
}

function unknownName(name: string, known: readonly string[]): WeftError {
  if (known.length === 0) return badArgument(`this call takes nothing, and ${quoted(name)} was given`);
  return badArgument(`this call takes no ${quoted(name)}${meant(name, known)}: ${known.join(', ')}`);
}

/**
 * The values of a query, each name once.
 * @throws WeftError `BAD_ARGUMENT`
 */
export function queryValues<Name extends string>(
  query: URLSearchParams,
  names: readonly Name[],
): Partial<Record<Name, string>> {
  const values: Partial<Record<Name, string>> = {};
  for (const [name, value] of query) {
    const known = names.find((candidate) => candidate === name);
    if (known === undefined) throw unknownName(name, names);
    if (Object.hasOwn(values, known)) throw badArgument(`"${known}" is given more than once`);
    values[known] = value;
  }
  return values;
}

/**
 * The fields of a JSON object.
 * @throws WeftError `BAD_ARGUMENT`
 */
export function bodyFields<Name extends string>(
  value: unknown,
  names: readonly Name[],
): Partial<Record<Name, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badArgument(`this call takes an object with ${names.join(', ')}`);
  }
  for (const name of Object.keys(value)) {
    if (!(names as readonly string[]).includes(name)) throw unknownName(name, names);
  }
  return value;
}

/** @throws WeftError `BAD_ARGUMENT` */
export function takeText(name: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') throw badArgument(`"${name}" is to be a text`);
  if (value.length > TEXT_MAX_LENGTH) {
    throw badArgument(`"${name}" is too long: ${value.length} characters, at most ${TEXT_MAX_LENGTH}`);
  }
  return value;
}

/** @throws WeftError `BAD_ARGUMENT` */
export function takeBoolean(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw badArgument(`"${name}" is to be true or false, not ${quoted(value)}`);
}

/** @throws WeftError `BAD_ARGUMENT` */
export function takeInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw badArgument(`"${name}" is to be a whole number from ${min} to ${max}, not ${quoted(value)}`);
}

/** A number of a query. @throws WeftError `BAD_ARGUMENT` */
export function takeDigits(name: string, value: string, min: number, max: number): number {
  return takeInteger(name, /^\d{1,15}$/.test(value) ? Number(value) : value, min, max);
}

/** @throws WeftError `BAD_ARGUMENT` */
export function takeWord<Word extends string>(name: string, value: unknown, words: readonly Word[]): Word {
  const word = words.find((candidate) => candidate === value);
  if (word !== undefined) return word;
  const names = words.join(', ');
  throw badArgument(`"${name}" is to be one of ${names}, not ${quoted(value)}${meant(value, words)}`);
}
