/**
 * The Proxy-Status field (RFC 9209), as far as a far end and its client use it (pure): one member whose `details`
 * says in words why there is no tunnel.
 *
 *   Proxy-Status: weft; error=connection_refused; details="could not reach …"
 */
import { printable } from '../../base/index.ts';

const LONGEST_DETAILS = 400;

/** RFC 8941 strings are printable ASCII; what is none becomes a question mark. */
export function formatProxyStatus(error: string, details: string): string {
  const text = details
    .slice(0, LONGEST_DETAILS)
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .replaceAll(/["\\]/g, String.raw`\$&`);
  return `weft; error=${error}; details="${text}"`;
}

/** `undefined` when the field has none that can be read. */
export function parseProxyStatusDetails(value: string): string | undefined {
  const match = /;\s*details="((?:[^"\\]|\\["\\])*)"/.exec(value.slice(0, 4 * LONGEST_DETAILS));
  const details = match?.[1]?.replaceAll(/\\(["\\])/g, '$1').slice(0, LONGEST_DETAILS);
  return details === undefined || details === '' ? undefined : printable(details);
}
