/**
 * Which addresses a far end lets its clients reach (pure): the internet, and what `--allow` opens. The machine that it
 * runs on, its private networks and addresses with special meaning stay out of reach, however they are written.
 *
 * Invariant: an address that carries another one inside (IPv4-mapped, NAT64, 6to4) is judged by that one too.
 *
 * Reference: the IANA special-purpose address registries (RFC 6890 and successors). Documentation prefixes are not
 * here: nothing answers at them.
 */
import { formatIp, inPrefix, parseIp, unmapV4, type Prefix } from '../../base/index.ts';

function prefixes(text: string): Prefix[] {
  return text.split(' ').map((entry) => {
    const [address = '', length = ''] = entry.split('/');
    return { address, length: Number(length) };
  });
}

const SPECIAL = prefixes(
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.168.0.0/16 ' +
    '198.18.0.0/15 224.0.0.0/4 240.0.0.0/4 ' +
    // ::/96 holds ::, ::1 and IPv4-compatible addresses; 2001::/32 is Teredo.
    '::/96 64:ff9b:1::/48 100::/64 2001::/32 fc00::/7 fe80::/10 fec0::/10 ff00::/8',
);

const NAT64: Prefix = { address: '64:ff9b::', length: 96 };
const SIX_TO_FOUR: Prefix = { address: '2002::', length: 16 };

/** The IPv4 address that a translator or tunnel would make of it. */
function innerIpv4(address: string): string | undefined {
  const bytes = parseIp(address);
  if (bytes?.length !== 16) return undefined;
  if (inPrefix(address, NAT64)) return formatIp(bytes.subarray(12));
  if (inPrefix(address, SIX_TO_FOUR)) return formatIp(bytes.subarray(2, 6));
  return undefined;
}

export class Reachable {
  readonly #allow: readonly Prefix[];

  /** @param allow addresses in canonical text */
  constructor(allow: readonly Prefix[]) {
    this.#allow = allow;
  }

  /**
   * Whether a client may reach it.
   * @param isOwn whether it is an address of this machine; asked only where nothing else decides
   */
  allows(address: string, isOwn: (address: string) => boolean): boolean {
    const plain = unmapV4(address);
    if (parseIp(plain) === undefined) return false;
    if (this.#allow.some((prefix) => inPrefix(plain, prefix))) return true;
    if (SPECIAL.some((prefix) => inPrefix(plain, prefix))) return false;
    const inner = innerIpv4(plain);
    if (inner !== undefined && !this.allows(inner, isOwn)) return false;
    return !isOwn(plain);
  }
}
