/**
 * Generic netlink: families by name, their multicast groups, and the 4-byte header of their messages.
 *
 *   genlmsghdr: 0 command u8 | 1 version u8 | 2 reserved u16
 *
 * References: <linux/genetlink.h>, Documentation/netlink/genetlink.
 */
import { WeftError } from '../base/errors.ts';
import { ENOENT } from '../native/index.ts';
import { parseAttributes, PayloadWriter } from './attributes.ts';
import { type NetlinkConnection } from './connection.ts';
import { NetlinkError } from './errors.ts';
import type { Group } from './event-socket.ts';

const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CTRL_ATTR_MCAST_GROUPS = 7;
const CTRL_ATTR_MCAST_GRP_NAME = 1;
const CTRL_ATTR_MCAST_GRP_ID = 2;

export const GENL_HEADER_BYTES = 4;

export interface GenericFamily {
  readonly name: string;
  /** The message type to send requests with. */
  readonly id: number;
  readonly groups: readonly Group[];
}

/** A payload that begins with the generic header; attributes are written after it. */
export function genericPayload(command: number, version: number): PayloadWriter {
  return new PayloadWriter().struct(Uint8Array.of(command, version, 0, 0));
}

/** Looks a family up by name; `undefined` when this kernel has none of that name. */
export function findFamily(connection: NetlinkConnection, name: string): GenericFamily | undefined {
  const payload = genericPayload(CTRL_CMD_GETFAMILY, 1).text(CTRL_ATTR_FAMILY_NAME, name).finish();
  let answer;
  try {
    answer = connection.get(GENL_ID_CTRL, 0, payload, `look up generic netlink family "${name}"`);
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ENOENT) return undefined;
    throw error;
  }
  const attributes = parseAttributes(answer.payload, GENL_HEADER_BYTES);
  const id = attributes.u16(CTRL_ATTR_FAMILY_ID);
  if (id === undefined) {
    throw new WeftError(`the kernel's answer about family "${name}" has no id`, { code: 'BAD_ANSWER' });
  }
  const groups: Group[] = [];
  for (const member of attributes.list(CTRL_ATTR_MCAST_GROUPS)) {
    const group = parseAttributes(member);
    const groupId = group.u32(CTRL_ATTR_MCAST_GRP_ID);
    const groupName = group.text(CTRL_ATTR_MCAST_GRP_NAME);
    if (groupId !== undefined && groupName !== undefined) groups.push({ id: groupId, name: groupName });
  }
  return { name, id, groups };
}
