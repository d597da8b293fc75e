/**
 * Policy rules on the wire (pure): RTM_NEWRULE and relatives.
 *
 *   fib_rule_hdr (12): 0 family | 1 destination length | 2 source length | 3 tos | 4 table | 5, 6 reserved
 *                      7 action (u8 each) | 8 flags u32
 *
 * References: ip-rule(8), <linux/fib_rules.h>.
 */
import { AF_INET, AF_INET6, familyOf, type Prefix } from '../base/ip.ts';
import { requireIp } from './address.ts';
import { parseAttributes, PayloadWriter } from './attributes.ts';
import { parsePrefix } from './route.ts';
import { FR_ACT_TO_TBL, type Rule } from './route-types.ts';

export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;

const RULE_HEADER_BYTES = 12;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_TABLE = 15;
const FRA_OIFNAME = 17;
const FRA_PROTOCOL = 21;

/** A rule to add or delete: "packets from SOURCE look in TABLE". */
export interface RuleSpec {
  readonly family?: number;
  readonly priority: number;
  readonly source?: Prefix;
  readonly destination?: Prefix;
  readonly table: number;
  readonly protocol?: number;
  readonly inputLink?: string;
  readonly outputLink?: string;
}

export function emitRule(spec: RuleSpec): Uint8Array {
  const named = spec.source?.address ?? spec.destination?.address;
  const header = new Uint8Array(RULE_HEADER_BYTES);
  header[0] = spec.family ?? (named === undefined ? AF_INET : familyOf(named));
  header[1] = spec.destination?.length ?? 0;
  header[2] = spec.source?.length ?? 0;
  header[4] = spec.table < 256 ? spec.table : 0;
  header[7] = FR_ACT_TO_TBL;
  const writer = new PayloadWriter().struct(header);
  writer.u32(FRA_PRIORITY, spec.priority).u32(FRA_TABLE, spec.table);
  if (spec.source !== undefined) writer.bytes(FRA_SRC, requireIp(spec.source.address));
  if (spec.destination !== undefined) writer.bytes(FRA_DST, requireIp(spec.destination.address));
  if (spec.inputLink !== undefined) writer.text(FRA_IIFNAME, spec.inputLink);
  if (spec.outputLink !== undefined) writer.text(FRA_OIFNAME, spec.outputLink);
  if (spec.protocol !== undefined) writer.u8(FRA_PROTOCOL, spec.protocol);
  return writer.finish();
}

export function emitRuleDump(): Uint8Array {
  return new PayloadWriter().struct(new Uint8Array(RULE_HEADER_BYTES)).finish();
}

/** `undefined` when the payload is too short or of another family. */
export function parseRule(payload: Uint8Array): Rule | undefined {
  if (payload.length < RULE_HEADER_BYTES) return undefined;
  const [family, destinationLength = 0, sourceLength = 0, , table = 0, , , action = 0] = payload;
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const attributes = parseAttributes(payload, RULE_HEADER_BYTES);
  const source = parsePrefix(attributes, FRA_SRC, sourceLength);
  const destination = parsePrefix(attributes, FRA_DST, destinationLength);
  const inputLink = attributes.text(FRA_IIFNAME);
  const outputLink = attributes.text(FRA_OIFNAME);
  const mark = attributes.u32(FRA_FWMARK);
  return {
    family,
    priority: attributes.u32(FRA_PRIORITY) ?? 0,
    table: attributes.u32(FRA_TABLE) ?? table,
    action,
    protocol: attributes.u8(FRA_PROTOCOL) ?? 0,
    ...(source === undefined ? {} : { source }),
    ...(destination === undefined ? {} : { destination }),
    ...(inputLink === undefined ? {} : { inputLink }),
    ...(outputLink === undefined ? {} : { outputLink }),
    ...(mark === undefined ? {} : { mark }),
  };
}
