/**
 * Header fields in a proxy's hands (pure): which belong to one connection only and stay behind, which are added,
 * and whether a message's framing can be trusted. Fields are flat lists of name, value, name, value …, as Node's
 * `rawHeaders` has them, so that order, case and repetition survive.
 *
 * References: RFC 9110 sections 7.6.1 (Connection), 7.6.2 (Max-Forwards), 7.6.3 (Via), 10.1.1 (Expect);
 * RFC 9112 section 6 (message body length).
 */

export type RawFields = readonly string[];

/** The name that Weft has in Via. */
export const VIA_NAME = 'weft';

/** Fields of one hop, whether or not Connection names them. Transfer-Encoding is made anew for each side. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
]);

/** Never dropped because Connection names them: they route or frame the message, or reveal loops. */
const NOT_FOR_CONNECTION: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'via',
  'expect',
  'trailer',
]);

/** BOUNDED: fields of one message. The parser bounds their bytes, and would silently drop those past a number. */
const MAX_FIELDS = 1000;

export function hasTooManyFields(fields: RawFields): boolean {
  return fields.length > MAX_FIELDS * 2;
}

/** Calls `visit` for each field. */
export function eachField(
  fields: RawFields,
  visit: (name: string, value: string, lowerName: string) => void,
): void {
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i]!;
    visit(name, fields[i + 1]!, name.toLowerCase());
  }
}

/** Every value of a field, in order. */
export function valuesOf(fields: RawFields, lowerName: string): string[] {
  const values: string[] = [];
  eachField(fields, (_name, value, lower) => {
    if (lower === lowerName) values.push(value);
  });
  return values;
}

/** The members of a field that is a comma-separated list, in lower case. */
export function listMembers(fields: RawFields, lowerName: string): string[] {
  return valuesOf(fields, lowerName)
    .flatMap((value) => value.split(','))
    .map((member) => member.trim().toLowerCase())
    .filter((member) => member !== '');
}

/** The fields that go on to the next hop. `alsoDrop` names, in lower case, those that the caller replaces. */
export function endToEndFields(fields: RawFields, alsoDrop: readonly string[] = []): string[] {
  const named = new Set(listMembers(fields, 'connection').filter((name) => !NOT_FOR_CONNECTION.has(name)));
  for (const name of alsoDrop) named.add(name);
  const kept: string[] = [];
  eachField(fields, (name, value, lower) => {
    if (!HOP_BY_HOP.has(lower) && !named.has(lower)) kept.push(name, value);
  });
  return kept;
}

/** The sender reads trailers (RFC 9110 section 10.1.4). */
export function acceptsTrailers(fields: RawFields): boolean {
  return listMembers(fields, 'te').some((member) => member.split(';')[0]?.trim() === 'trailers');
}

/** Adds this proxy to Via: `1.1 weft`. */
export function withVia(fields: string[], httpVersion: string): string[] {
  fields.push('Via', `${httpVersion} ${VIA_NAME}`);
  return fields;
}

/** How often this proxy, or another Weft, has handled the message already. */
export function timesSeen(fields: RawFields): number {
  return listMembers(fields, 'via').filter((member) => member.split(/\s+/)[1] === VIA_NAME).length;
}

export type Body =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: string }
  | { readonly kind: 'chunked' };

export interface BadFraming {
  /** 400 or 501. */
  readonly status: number;
  readonly reason: string;
}

/**
 * How the body of a request is delimited, or why the request must be refused. The parser has already refused
 * most forms of request smuggling; this stands behind it and does not depend on that.
 */
export function requestBody(fields: RawFields, httpVersion: string): Body | BadFraming {
  const lengths = valuesOf(fields, 'content-length');
  const codings = valuesOf(fields, 'transfer-encoding');
  if (codings.length > 0) {
    if (lengths.length > 0) return bad('both Content-Length and Transfer-Encoding');
    // RFC 9112 section 6.1: an HTTP/1.0 sender cannot know chunks, so the framing is faulty.
    if (httpVersion !== '1.1') return bad(`Transfer-Encoding in an HTTP/${httpVersion} request`);
    const members = listMembers(fields, 'transfer-encoding');
    if (members.at(-1) !== 'chunked') return bad('Transfer-Encoding that does not end with "chunked"');
    if (members.length > 1) return { status: 501, reason: 'a transfer coding other than "chunked"' };
    return { kind: 'chunked' };
  }
  const length = lengths[0];
  if (length === undefined) return { kind: 'none' };
  if (lengths.length > 1) return bad('more than one Content-Length');
  if (!/^\d{1,15}$/.test(length)) return bad('a Content-Length that is not a number');
  return { kind: 'length', length };
}

const bad = (reason: string): BadFraming => ({ status: 400, reason });

export function isBadFraming(body: Body | BadFraming): body is BadFraming {
  return 'reason' in body;
}

/**
 * Max-Forwards of TRACE and OPTIONS: what to send on, `undefined` for none given, 0 as `last` when this proxy is
 * to answer itself. RFC 9110 section 7.6.2.
 */
export function maxForwards(fields: RawFields): { readonly last: boolean; readonly next?: string } {
  const text = valuesOf(fields, 'max-forwards')[0]?.trim();
  if (text === undefined || !/^\d{1,9}$/.test(text)) return { last: false };
  const value = Number(text);
  return value === 0 ? { last: true } : { last: false, next: String(value - 1) };
}
