/**
 * The head of a request as the guard reads it (pure): target, fields and cookies, each only in the one form that
 * browsers and plain clients send. Whatever could be read in two ways is a problem, never a guess.
 *
 * References: RFC 9112 sections 3.2 and 5, RFC 6265 section 5.4.
 */

/** BOUNDED: Node's parser takes no more than `HEADER_MAX_BYTES` (server.ts) of head anyway. */
export const TARGET_MAX_LENGTH = 2048;

/** Fields that stand in a request once; a second one would be read by one program and not by another. */
const SINGLE = [
  'host',
  'origin',
  'cookie',
  'authorization',
  'content-type',
  'content-length',
  'transfer-encoding',
  'sec-fetch-site',
  'x-weft-token',
] as const;

export interface RequestTarget {
  readonly path: string;
  /** What stands behind the question mark, undecoded. */
  readonly query: string;
}

/** Names in the path are plain; nothing is decoded in it, so nothing can hide in it. */
const TARGET = /^(\/[A-Za-z0-9._/-]*)(?:\?([!-~]*))?$/;

/** `undefined`: not a path of ours, whatever it is (another form, an escape, a control character, `..`). */
export function parseTarget(text: string): RequestTarget | undefined {
  const match = TARGET.exec(text);
  const path = match?.[1] ?? '';
  if (match === null || path.startsWith('//') || path.includes('/.')) return undefined;
  return { path, query: match[2] ?? '' };
}

export type HeaderFields = ReadonlyMap<string, string>;

/**
 * Names in lower case, with their values; of names that may repeat, the first.
 * @param raw name and value by turns, as they came
 * @returns the name of a field that stands there twice and must not
 */
export function readHeaders(raw: readonly string[]): HeaderFields | string {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    if (!fields.has(name)) fields.set(name, raw[i + 1]!);
    else if ((SINGLE as readonly string[]).includes(name)) return name;
  }
  return fields;
}

/** The value of a cookie; of several with one name, none: somebody else's may be among them. */
export function readCookie(header: string, name: string): string | undefined {
  const values: string[] = [];
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=');
    if (at >= 0 && pair.slice(0, at).trim() === name) values.push(pair.slice(at + 1).trim());
  }
  return values.length === 1 ? values[0] : undefined;
}
