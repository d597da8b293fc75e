/**
 * Why an upstream could not be reached, in words for a person and in a few kinds for counters. No I/O.
 *
 * Wording: `could not reach example.org port 443: connection refused on all 2 addresses (ECONNREFUSED)`.
 */
import { errorText, WeftError } from '../../base/index.ts';
import { UpstreamError, type UpstreamFailure } from '../upstream/upstream-error.ts';

export type DialFailure =
  | 'not-found'
  | 'resolver-failed'
  | 'refused'
  | 'unreachable'
  | 'timeout'
  | 'reset'
  | 'loop'
  | 'forbidden'
  /** A rule of the policy. */
  | 'policy'
  /** The upstream proxy could not be used. */
  | 'upstream-failed'
  /** The upstream proxy will not. */
  | 'upstream-refused'
  /** The upstream proxy tried, and the destination did not answer. */
  | 'upstream-target'
  | 'no-resources'
  | 'aborted'
  | 'other';

/** HTTP status codes that answer each kind (RFC 9110 section 15; 508 is RFC 5842). */
const STATUS: Readonly<Record<DialFailure, number>> = {
  'not-found': 502,
  'resolver-failed': 502,
  refused: 502,
  unreachable: 502,
  timeout: 504,
  reset: 502,
  loop: 508,
  forbidden: 403,
  policy: 403,
  'upstream-failed': 502,
  'upstream-refused': 502,
  'upstream-target': 502,
  'no-resources': 503,
  aborted: 502,
  other: 502,
};

interface Meaning {
  readonly kind: DialFailure;
  readonly text: string;
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOTFOUND: { kind: 'not-found', text: 'there is no such name' },
  ENODATA: { kind: 'not-found', text: 'the name has no address' },
  EAI_NODATA: { kind: 'not-found', text: 'the name has no address' },
  EAI_AGAIN: { kind: 'resolver-failed', text: 'the name servers do not answer' },
  EAI_FAIL: { kind: 'resolver-failed', text: 'the name servers failed' },
  ECONNREFUSED: { kind: 'refused', text: 'connection refused' },
  ECONNRESET: { kind: 'reset', text: 'connection reset' },
  ENETUNREACH: { kind: 'unreachable', text: 'no route to that network' },
  EHOSTUNREACH: { kind: 'unreachable', text: 'no route to that host' },
  EADDRNOTAVAIL: { kind: 'unreachable', text: 'no local address to connect from' },
  EAFNOSUPPORT: { kind: 'unreachable', text: 'this host has no such address family' },
  EACCES: { kind: 'forbidden', text: 'a local firewall or policy forbids it' },
  EPERM: { kind: 'forbidden', text: 'a local firewall or policy forbids it' },
  ETIMEDOUT: { kind: 'timeout', text: 'no answer in time' },
  EMFILE: { kind: 'no-resources', text: 'the proxy has no file descriptors left' },
  ENFILE: { kind: 'no-resources', text: 'this host has no file descriptors left' },
  ENOBUFS: { kind: 'no-resources', text: 'this host has no memory for sockets left' },
  ENOMEM: { kind: 'no-resources', text: 'this host has no memory left' },
  ABORT_ERR: { kind: 'aborted', text: 'given up' },
};

/** Which failure of several attempts tells most; the first of these that occurred is reported. */
const MOST_TELLING: readonly DialFailure[] = [
  'no-resources',
  'refused',
  'reset',
  'timeout',
  'forbidden',
  'unreachable',
  'other',
];

function codeOf(thrown: unknown): string {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

function meaningOf(thrown: unknown): Meaning {
  return MEANINGS[codeOf(thrown)] ?? { kind: 'other', text: errorText(thrown) };
}

export class DialError extends WeftError {
  readonly failure: DialFailure;
  /** What a client is answered with. */
  readonly status: number;

  constructor(message: string, failure: DialFailure, cause?: unknown, status = STATUS[failure]) {
    super(message, { code: `DIAL_${failure.toUpperCase().replaceAll('-', '_')}`, cause });
    this.failure = failure;
    this.status = status;
  }
}

const at = (host: string, port: number) => `could not reach ${host} port ${port}`;

export function resolveFailed(host: string, port: number, thrown: unknown): DialError {
  const { kind, text } = meaningOf(thrown);
  const code = codeOf(thrown);
  return new DialError(`${at(host, port)}: ${text}${code === '' ? '' : ` (${code})`}`, kind, thrown);
}

/** From the failures of every address that was tried, in the order in which they came. */
export function connectFailed(host: string, port: number, failures: readonly unknown[]): DialError {
  const meanings = failures.map((thrown) => ({ thrown, ...meaningOf(thrown) }));
  const kind = MOST_TELLING.find((candidate) => meanings.some((meaning) => meaning.kind === candidate));
  const chosen = meanings.find((meaning) => meaning.kind === kind) ?? meanings[0];
  if (chosen === undefined) return new DialError(`${at(host, port)}: the name has no address`, 'not-found');
  const same = meanings.filter((meaning) => meaning.text === chosen.text).length;
  const count = meanings.length;
  const where =
    count === 1 ? '' : same === count ? ` on all ${count} addresses` : ` on ${same} of ${count} addresses`;
  const code = codeOf(chosen.thrown);
  return new DialError(
    `${at(host, port)}: ${chosen.text}${where}${code === '' ? '' : ` (${code})`}`,
    chosen.kind,
    chosen.thrown,
  );
}

/** @param route what was decided by then; absent: the name servers were still to answer */
export function dialTimedOut(
  host: string,
  port: number,
  timeoutMs: number,
  route: { readonly kind: string; readonly upstream?: string } | undefined,
): DialError {
  const through = route?.upstream === undefined ? '' : ` through the upstream proxy "${route.upstream}"`;
  const what = route === undefined ? 'the name servers did not answer' : `no answer${through}`;
  return new DialError(`${at(host, port)}: ${what} within ${timeoutMs / 1000} s (ETIMEDOUT)`, 'timeout');
}

export function dialAborted(host: string, port: number): DialError {
  return new DialError(`${at(host, port)}: the client went away`, 'aborted');
}

export function dialForbidden(host: string, port: number, why: string): DialError {
  return new DialError(`${at(host, port)}: ${why}`, 'forbidden');
}

export function dialLoop(host: string, port: number): DialError {
  return new DialError(`${at(host, port)}: that is this proxy itself`, 'loop');
}

/** @param reason of the rule, in its writer's words */
export function dialRefusedByRule(host: string, port: number, reason: string | undefined): DialError {
  const why = reason === undefined ? '' : ` (${reason})`;
  return new DialError(`${at(host, port)}: a rule of this proxy refuses it${why}`, 'policy');
}

const UPSTREAM_KINDS: Readonly<Record<UpstreamFailure, DialFailure>> = {
  unreachable: 'upstream-failed',
  handshake: 'upstream-failed',
  broken: 'upstream-failed',
  refused: 'upstream-refused',
  target: 'upstream-target',
  timeout: 'timeout',
  aborted: 'aborted',
};

/** What of several attempts through an upstream proxy tells most: that it was reached and answered. */
const MOST_TELLING_OF_UPSTREAM: readonly UpstreamFailure[] = [
  'target',
  'refused',
  'handshake',
  'broken',
  'unreachable',
  'timeout',
  'aborted',
];

/** From the failures of every attempt through an upstream proxy; their texts name it. */
export function throughUpstreamFailed(host: string, port: number, failures: readonly unknown[]): DialError {
  const known = failures.filter((thrown) => thrown instanceof UpstreamError);
  const kind = MOST_TELLING_OF_UPSTREAM.find((candidate) =>
    known.some(({ failure }) => failure === candidate),
  );
  const chosen = known.find(({ failure }) => failure === kind);
  if (chosen === undefined) {
    return new DialError(`${at(host, port)}: ${errorText(failures[0])}`, 'upstream-failed', failures[0]);
  }
  const text = `${at(host, port)}: ${errorText(chosen)}`;
  return new DialError(text, UPSTREAM_KINDS[chosen.failure], chosen, chosen.status);
}
