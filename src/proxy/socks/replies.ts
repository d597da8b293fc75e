/**
 * What SOCKS has to say about a tunnel that there is not (pure): few words, where HTTP has a sentence.
 */
import type { TunnelFailure } from '../tunnels.ts';
import { SOCKS5_REPLIES, type Socks5Reply } from './socks5.ts';

/** RFC 1928 section 6; a time limit is told as an unreachable host, which is what it means for a program. */
const BY_KIND: Readonly<Partial<Record<TunnelFailure['kind'], Socks5Reply>>> = {
  'not-found': SOCKS5_REPLIES.hostUnreachable,
  'resolver-failed': SOCKS5_REPLIES.hostUnreachable,
  refused: SOCKS5_REPLIES.refused,
  unreachable: SOCKS5_REPLIES.networkUnreachable,
  timeout: SOCKS5_REPLIES.hostUnreachable,
  reset: SOCKS5_REPLIES.refused,
  loop: SOCKS5_REPLIES.notAllowed,
  forbidden: SOCKS5_REPLIES.notAllowed,
};

const STATUS_FORBIDDEN = 403;

export function replyOf({ kind, status }: Pick<TunnelFailure, 'kind' | 'status'>): Socks5Reply {
  return BY_KIND[kind] ?? (status === STATUS_FORBIDDEN ? SOCKS5_REPLIES.notAllowed : SOCKS5_REPLIES.failed);
}
