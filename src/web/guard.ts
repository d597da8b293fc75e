/**
 * Who may ask what (pure): a request's head in, a verdict out. Everything that reaches the page's handlers has passed
 * here, in this order:
 *
 *   form      method, target, no field twice, sizes, the type of a body
 *   place     Host is a name of ours (no DNS rebinding), Origin is ours, Sec-Fetch-Site is not another site
 *   key       the session's cookie, or the token as `Authorization: Bearer`; to change something with the cookie also
 *             the session's second token in `x-weft-token`, which no other site can read or send
 *
 * Invariant: what has not shown a key learns nothing but that; what comes by another site's page is refused even with
 * the cookie. References: docs/web.md; Fetch Metadata Request Headers (W3C); RFC 6750 (Bearer).
 */
import { hostNamesOf, type LocalEnd, type WebOrigin } from './addresses.ts';
import {
  parseTarget,
  readCookie,
  readHeaders,
  TARGET_MAX_LENGTH,
  type HeaderFields,
} from './request-head.ts';

/** BOUNDED: what one request may carry. */
export const BODY_MAX_BYTES = 64 << 10;

export interface GuardedRequest {
  readonly method: string;
  /** The request's target as it came. */
  readonly target: string;
  /** Name and value by turns, as they came. */
  readonly rawHeaders: readonly string[];
  /** The address that the connection came to. */
  readonly local: LocalEnd;
  /** Whose process asks (asker.ts). */
  readonly asker: () => string;
}

export interface GuardRules {
  /** By which a reverse proxy is reached. BOUNDED: by the command line. */
  readonly origins: readonly WebOrigin[];
  /** /metrics without a key, for programs of this machine. */
  readonly openMetrics: boolean;
}

export interface Session {
  /** What a page of ours sends with what changes something. */
  readonly changeToken: string;
}

/** What is a key; each compares in a time that tells nothing. */
export interface Keys {
  isToken(text: string): boolean;
  /** Of the one who has begun it. */
  findSession(cookie: string, asker: string): Session | undefined;
  isSame(a: string, b: string): boolean;
}

export interface Refused {
  readonly kind: 'refused';
  readonly status: number;
  readonly code: string;
  readonly reason: string;
  /** A key was shown, and it was none. */
  readonly wrongKey?: boolean;
}

export interface Passed {
  readonly kind: 'passed';
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly path: string;
  readonly query: string;
  readonly headers: HeaderFields;
  /** `open`: to what anybody on this machine may read. */
  readonly by: 'session' | 'token' | 'open';
  readonly session?: Session;
}

/** The printed address was opened: the token is to become a session. */
export interface Entered {
  readonly kind: 'entered';
  /** The browser came by TLS, so its cookie is for TLS alone. */
  readonly secure: boolean;
}

export type Verdict = Refused | Passed | Entered;

const refused = (status: number, code: string, reason: string): Refused => ({
  kind: 'refused',
  status,
  code,
  reason,
});

const METHODS = ['GET', 'HEAD', 'POST'] as const;
type Method = (typeof METHODS)[number];
const isMethod = (text: string): text is Method => (METHODS as readonly string[]).includes(text);

/** What a reverse proxy adds: then who asks is not on this machine. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'] as const;

const METRICS = '/metrics';
const JSON_TYPE = /^application\/json(?:\s*;\s*charset="?utf-8"?)?$/i;
const BEARER = /^bearer +([!-~]+)$/i;

function checkBody(method: Method, headers: HeaderFields): Refused | undefined {
  const length = headers.get('content-length');
  const coding = headers.get('transfer-encoding');
  if (method !== 'POST') {
    if (coding === undefined && (length ?? '0') === '0') return undefined;
    return refused(400, 'BAD_REQUEST', `a ${method} has no body`);
  }
  if (length !== undefined && coding !== undefined) {
    return refused(400, 'BAD_REQUEST', 'the body has two lengths');
  }
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return refused(400, 'BAD_REQUEST', 'the only transfer coding is chunked');
  }
  if (length !== undefined && !/^\d+$/.test(length)) {
    return refused(400, 'BAD_REQUEST', 'the length of the body is no number');
  }
  if (Number(length ?? 0) > BODY_MAX_BYTES) {
    return refused(413, 'TOO_LARGE', 'the body of the request is too large');
  }
  if (!JSON_TYPE.test(headers.get('content-type') ?? '')) {
    return refused(415, 'BAD_TYPE', 'the body of a request is JSON (content-type: application/json)');
  }
  return undefined;
}

interface Place {
  /** The name by which it was asked for is one that TLS stands before. */
  readonly secure: boolean;
  /** It came through a reverse proxy. */
  readonly forwarded: boolean;
}

function checkPlace(request: GuardedRequest, headers: HeaderFields, rules: GuardRules): Refused | Place {
  const host = headers.get('host')?.toLowerCase() ?? '';
  const own = hostNamesOf(request.local).includes(host);
  const configured = rules.origins.filter((origin) => origin.host === host);
  if (!own && configured.length === 0) {
    return refused(403, 'BAD_HOST', 'this server is not known by the name that was asked for');
  }
  const origin = headers.get('origin');
  const known = [...(own ? [`http://${host}`] : []), ...rules.origins.map((item) => item.origin)];
  if (origin !== undefined && !known.includes(origin)) {
    return refused(403, 'BAD_ORIGIN', 'requests of pages of other sites are refused');
  }
  const site = headers.get('sec-fetch-site');
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    return refused(403, 'BAD_ORIGIN', 'requests that come from other sites are refused');
  }
  return {
    secure:
      configured.some((item) => item.secure) ||
      rules.origins.some((item) => item.secure && item.origin === origin),
    forwarded: !own || FORWARDED.some((name) => headers.has(name)),
  };
}

/** Cookies know no ports, so each server has a name for its own. */
export const cookieName = ({ port }: LocalEnd): string => `weft-${port}`;

const NO_KEY = refused(401, 'NO_SESSION', 'this needs the address with its token: "weft web" prints it');
const WRONG_KEY: Refused = {
  ...NO_KEY,
  code: 'WRONG_TOKEN',
  reason: 'the token is not the one of this Weft: "weft web" prints the address',
  wrongKey: true,
};

/** The one value of `token` in the address, if it was opened with one. */
function enteredToken(path: string, query: string): string | undefined {
  if (path !== '/' || query === '') return undefined;
  const tokens = new URLSearchParams(query).getAll('token');
  return tokens.length === 1 ? tokens[0] : undefined;
}

export function guard(request: GuardedRequest, rules: GuardRules, keys: Keys): Verdict {
  const { method, rawHeaders } = request;
  if (!isMethod(method))
    return refused(405, 'BAD_METHOD', `there is no ${METHODS.join(', ')} in this request`);
  if (request.target.length > TARGET_MAX_LENGTH) return refused(414, 'TOO_LARGE', 'the address is too long');
  const target = parseTarget(request.target);
  if (target === undefined)
    return refused(400, 'BAD_REQUEST', 'the address has a form that nothing here has');
  const headers = readHeaders(rawHeaders);
  if (typeof headers === 'string') return refused(400, 'BAD_REQUEST', `the field "${headers}" stands twice`);
  const place = checkPlace(request, headers, rules);
  if ('kind' in place) return place;
  const wrongBody = checkBody(method, headers);
  if (wrongBody !== undefined) return wrongBody;

  const { path, query } = target;
  const passed = { kind: 'passed', method, path, query, headers } as const;
  const authorization = headers.get('authorization');
  if (authorization !== undefined) {
    const token = BEARER.exec(authorization)?.[1] ?? '';
    return keys.isToken(token) ? { ...passed, by: 'token' } : WRONG_KEY;
  }
  const entering = method === 'GET' ? enteredToken(path, query) : undefined;
  if (entering !== undefined) {
    return keys.isToken(entering) ? { kind: 'entered', secure: place.secure } : WRONG_KEY;
  }
  const cookie = readCookie(headers.get('cookie') ?? '', cookieName(request.local));
  const session = cookie === undefined ? undefined : keys.findSession(cookie, request.asker());
  if (session === undefined) {
    const open = path === METRICS && method !== 'POST' && rules.openMetrics && !place.forwarded;
    return open ? { ...passed, by: 'open' } : NO_KEY;
  }
  if (method === 'POST' && !keys.isSame(headers.get('x-weft-token') ?? '', session.changeToken)) {
    return refused(
      403,
      'BAD_TOKEN',
      'what changes something needs the field x-weft-token of this session (GET /v1/session)',
    );
  }
  return { ...passed, by: 'session', session };
}
