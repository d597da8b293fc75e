/**
 * Conditions and actions of nftables rules as the expressions that the kernel runs (pure). Each expression works on
 * registers; those of one condition are the ones that nft(8) makes of the same words, so that `nft list` shows them.
 *
 *   NFTA_RULE_EXPRESSIONS > NFTA_LIST_ELEM > { NFTA_EXPR_NAME text, NFTA_EXPR_DATA > attributes of the expression }
 *
 * Numbers of the protocol are in network order; what an expression compares is in the order in which it is loaded:
 * packet bytes as they are, everything else (mark, states, address types) as the host has it.
 *
 * References: <linux/netfilter/nf_tables.h>, <linux/netfilter/nf_conntrack_common.h>.
 */
import { WeftError } from '../base/errors.ts';
import { isIpv6, networkOf, parseIp, type Prefix } from '../base/ip.ts';
import { PayloadWriter } from './attributes.ts';
import type { NfAction, NfConnectionState, NfMatch } from './nf-tables-types.ts';

const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;

const NFT_REG_VERDICT = 0;
const NFT_REG_1 = 1;
const NFT_CMP_EQ = 0;
const NFT_CMP_NEQ = 1;

const META = { mark: 3, iifname: 6, oifname: 7, nfproto: 15, l4proto: 16 } as const;
const NFPROTO = { ipv4: 2, ipv6: 10 } as const;
const L4PROTO = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58 } as const;

const PAYLOAD_NETWORK = 1;
const PAYLOAD_TRANSPORT = 2;
/** Where addresses and ports stand in their headers (RFC 791, RFC 8200, RFC 9293). */
const SOURCE_AT = { ipv4: 12, ipv6: 8 } as const;
const DESTINATION_AT = { ipv4: 16, ipv6: 24 } as const;
const DESTINATION_PORT_AT = 2;
const TCP_FLAGS_AT = 13;
const TCP_SYN = 0x02;
const TCP_FIN_SYN_RST_ACK = 0x17;

const NFT_FIB_RESULT_ADDRTYPE = 3;
const NFTA_FIB_F_DADDR = 2;
const RTN_LOCAL = 2;

const NFT_CT_STATE = 0;
const NFT_CT_STATUS = 2;
const CT_STATES: Readonly<Record<NfConnectionState, number>> = {
  invalid: 1,
  established: 2,
  related: 4,
  new: 8,
};
const IPS_DST_NAT = 1 << 5;

const IFNAMSIZ = 16;
const NF_NAT_RANGE_MAP_IPS = 1;
const NF_NAT_RANGE_PROTO_SPECIFIED = 2;
const NFT_NAT_SNAT = 0;

/** NF_DROP, NF_ACCEPT, NFT_RETURN. */
const VERDICTS = { drop: 0, accept: 1, return: -5 } as const;

/** NFT_REJECT_TCP_RST; NFT_REJECT_ICMPX_UNREACH with NFT_REJECT_ICMPX_PORT_UNREACH or ..._ADMIN_PROHIBITED. */
const REJECTS = {
  'tcp-reset': { type: 1, code: 0 },
  'port-unreachable': { type: 2, code: 1 },
  'admin-prohibited': { type: 2, code: 3 },
} as const;

/** Writes the list of expressions of one rule. */
export class ExpressionWriter {
  readonly #list: PayloadWriter;

  constructor(list: PayloadWriter) {
    this.#list = list;
  }

  #add(name: string, fill: (data: PayloadWriter) => void): void {
    this.#list.nest(NFTA_LIST_ELEM, (element) => {
      element.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, fill);
    });
  }

  #meta(key: number): void {
    this.#add('meta', (data) => data.be32(1, NFT_REG_1).be32(2, key));
  }

  #payload(base: number, offset: number, length: number): void {
    this.#add('payload', (data) => {
      data.be32(1, NFT_REG_1).be32(2, base).be32(3, offset).be32(4, length);
    });
  }

  #mask(mask: Uint8Array): void {
    this.#add('bitwise', (data) => {
      data.be32(1, NFT_REG_1).be32(2, NFT_REG_1).be32(3, mask.length);
      data.nest(4, (nest) => nest.bytes(NFTA_DATA_VALUE, mask));
      data.nest(5, (nest) => nest.bytes(NFTA_DATA_VALUE, new Uint8Array(mask.length)));
    });
  }

  #compare(value: Uint8Array, not = false): void {
    this.#add('cmp', (data) => {
      data.be32(1, NFT_REG_1).be32(2, not ? NFT_CMP_NEQ : NFT_CMP_EQ);
      data.nest(3, (nest) => nest.bytes(NFTA_DATA_VALUE, value));
    });
  }

  #load(value: Uint8Array): void {
    this.#add('immediate', (data) => {
      data.be32(1, NFT_REG_1).nest(2, (nest) => nest.bytes(NFTA_DATA_VALUE, value));
    });
  }

  #conntrack(key: number, bits: number, none: boolean): void {
    this.#add('ct', (data) => data.be32(1, NFT_REG_1).be32(2, key));
    this.#mask(hostU32(bits));
    this.#compare(hostU32(0), !none);
  }

  #address(at: typeof SOURCE_AT | typeof DESTINATION_AT, prefix: Prefix, not: boolean): void {
    const family = isIpv6(prefix.address) ? 'ipv6' : 'ipv4';
    this.#meta(META.nfproto);
    this.#compare(Uint8Array.of(NFPROTO[family]));
    // Nothing but the family to compare.
    if (prefix.length === 0 && !not) return;
    const network = prefixBytes(prefix);
    // nft(8) loads whole bytes where that is enough.
    const wholeBytes = prefix.length > 0 && prefix.length % 8 === 0;
    const length = wholeBytes ? prefix.length / 8 : network.length;
    this.#payload(PAYLOAD_NETWORK, at[family], length);
    if (!wholeBytes) this.#mask(maskBytes(network.length, prefix.length));
    this.#compare(network.subarray(0, length), not);
  }

  match(match: NfMatch): void {
    switch (match.match) {
      case 'family':
        this.#meta(META.nfproto);
        this.#compare(Uint8Array.of(NFPROTO[match.is]));
        break;
      case 'protocol':
        this.#meta(META.l4proto);
        this.#compare(Uint8Array.of(L4PROTO[match.is]));
        break;
      case 'inputLink':
      case 'outputLink':
        this.#meta(match.match === 'inputLink' ? META.iifname : META.oifname);
        this.#compare(linkNameBytes(match.is), match.not);
        break;
      case 'source':
        this.#address(SOURCE_AT, match.in, match.not ?? false);
        break;
      case 'destination':
        this.#address(DESTINATION_AT, match.in, match.not ?? false);
        break;
      case 'destinationPort':
        this.#payload(PAYLOAD_TRANSPORT, DESTINATION_PORT_AT, 2);
        this.#compare(portBytes(match.is), match.not);
        break;
      case 'destinationIsLocal':
        this.#add('fib', (data) => {
          data.be32(1, NFT_REG_1).be32(2, NFT_FIB_RESULT_ADDRTYPE).be32(3, NFTA_FIB_F_DADDR);
        });
        this.#compare(hostU32(RTN_LOCAL), match.not);
        break;
      case 'mark':
        this.#meta(META.mark);
        this.#compare(hostU32(match.is), match.not);
        break;
      case 'tcpOpening':
        this.#payload(PAYLOAD_TRANSPORT, TCP_FLAGS_AT, 1);
        this.#mask(Uint8Array.of(TCP_FIN_SYN_RST_ACK));
        this.#compare(Uint8Array.of(TCP_SYN));
        break;
      case 'connectionState':
        this.#conntrack(
          NFT_CT_STATE,
          match.in.reduce((bits, state) => bits | CT_STATES[state], 0),
          false,
        );
        break;
      case 'isRedirected':
        this.#conntrack(NFT_CT_STATUS, IPS_DST_NAT, match.not ?? false);
        break;
    }
  }

  action(action: NfAction): void {
    switch (action.action) {
      case 'accept':
      case 'drop':
      case 'return':
        this.#verdict(VERDICTS[action.action]);
        break;
      case 'redirect':
        this.#load(portBytes(action.port));
        this.#add('redir', (data) => {
          data.be32(1, NFT_REG_1).be32(2, NFT_REG_1).be32(3, NF_NAT_RANGE_PROTO_SPECIFIED);
        });
        break;
      case 'masquerade':
        this.#add('masq', () => {});
        break;
      case 'sourceNat': {
        const family = NFPROTO[isIpv6(action.to) ? 'ipv6' : 'ipv4'];
        this.#load(addressBytes(action.to));
        this.#add('nat', (data) => {
          data.be32(1, NFT_NAT_SNAT).be32(2, family).be32(3, NFT_REG_1).be32(4, NFT_REG_1);
          data.be32(7, NF_NAT_RANGE_MAP_IPS);
        });
        break;
      }
      case 'reject': {
        const { type, code } = REJECTS[action.with];
        this.#add('reject', (data) => data.be32(1, type).u8(2, code));
        break;
      }
    }
  }

  #verdict(code: number): void {
    this.#add('immediate', (data) => {
      data.be32(1, NFT_REG_VERDICT);
      data.nest(2, (nest) => {
        nest.nest(NFTA_DATA_VERDICT, (verdict) => verdict.be32(NFTA_VERDICT_CODE, code));
      });
    });
  }
}

function hostU32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
  return bytes;
}

function portBytes(port: number): Uint8Array {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new WeftError(`"${port}" is not a port`, { code: 'BAD_PORT', hint: 'ports are 1 to 65535' });
  }
  return Uint8Array.of(port >> 8, port & 0xff);
}

function addressBytes(address: string): Uint8Array {
  const bytes = parseIp(address);
  if (bytes === undefined) throw new WeftError(`"${address}" is not an IP address`, { code: 'BAD_ADDRESS' });
  return bytes;
}

function prefixBytes({ address, length }: Prefix): Uint8Array {
  const bytes = addressBytes(networkOf(address, length));
  if (!Number.isInteger(length) || length < 0 || length > bytes.length * 8) {
    throw new WeftError(`"${address}/${length}" is not a prefix`, { code: 'BAD_PREFIX' });
  }
  return bytes;
}

function maskBytes(bytes: number, bits: number): Uint8Array {
  return Uint8Array.from(
    { length: bytes },
    (_, i) => (0xff << (8 - Math.max(0, Math.min(8, bits - i * 8)))) & 0xff,
  );
}

/** Padded with zeros: the whole name is compared, not its beginning. */
function linkNameBytes(name: string): Uint8Array {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.length >= IFNAMSIZ || bytes.includes(0)) {
    throw new WeftError(`"${name}" is not the name of a link`, { code: 'BAD_LINK_NAME' });
  }
  const padded = new Uint8Array(IFNAMSIZ);
  padded.set(bytes);
  return padded;
}
