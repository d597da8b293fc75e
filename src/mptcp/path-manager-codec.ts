/**
 * Requests, answers and events of the generic netlink family `mptcp_pm` (pure).
 *
 * Ports are in host order in requests and answers, in network order in events.
 * Attribute order in an address nest is that of iproute2: id, flags, link, port, family, address.
 *
 * References: <linux/mptcp_pm.h>, Documentation/netlink/specs/mptcp_pm.yaml.
 */
import { AF_INET, AF_INET6, formatIp, parseIp } from '../base/ip.ts';
import { WeftError } from '../base/errors.ts';
import {
  findU32,
  genericPayload,
  GENL_HEADER_BYTES,
  parseAttributes,
  u16At,
  u32At,
  visitAttributes,
  type PayloadWriter,
} from '../netlink/index.ts';
import type { Endpoint, EndpointSpec, Limits, MptcpEvent } from './model.ts';

export const MPTCP_PM_NAME = 'mptcp_pm';
export const MPTCP_PM_VERSION = 1;
export const MPTCP_PM_EVENT_GROUP = 'mptcp_pm_events';

/** MPTCP_PM_CMD_* */
export const PathManagerCommand = {
  addAddress: 1,
  deleteAddress: 2,
  getAddress: 3,
  flushAddresses: 4,
  setLimits: 5,
  getLimits: 6,
  setFlags: 7,
  announce: 8,
  remove: 9,
  createSubflow: 10,
  destroySubflow: 11,
} as const;

const ATTR_ADDR = 1;
const ATTR_RCV_ADD_ADDRS = 2;
const ATTR_SUBFLOWS = 3;
const ATTR_TOKEN = 4;
const ATTR_LOC_ID = 5;
const ATTR_ADDR_REMOTE = 6;

const ADDR_FAMILY = 1;
const ADDR_ID = 2;
const ADDR_ADDR4 = 3;
const ADDR_ADDR6 = 4;
const ADDR_PORT = 5;
const ADDR_FLAGS = 6;
const ADDR_IF_IDX = 7;

/** An address and port of one end of a subflow. */
export interface SubflowAddress {
  readonly address: string;
  readonly port?: number;
}

function emitAddressNest(writer: PayloadWriter, type: number, spec: EndpointSpec): void {
  writer.nest(type, (nest) => {
    if (spec.id !== undefined) nest.u8(ADDR_ID, spec.id);
    if (spec.flags !== undefined) nest.u32(ADDR_FLAGS, spec.flags);
    if (spec.linkIndex !== undefined) nest.s32(ADDR_IF_IDX, spec.linkIndex);
    if (spec.port !== undefined) nest.u16(ADDR_PORT, spec.port);
    if (spec.address === undefined) return;
    if (spec.address === '') {
      nest.u16(ADDR_FAMILY, 0).bytes(ADDR_ADDR6, new Uint8Array(0));
      return;
    }
    const bytes = parseIp(spec.address);
    if (bytes === undefined)
      throw new WeftError(`"${spec.address}" is not an IP address`, { code: 'BAD_ADDRESS' });
    const v6 = bytes.length === 16;
    nest.u16(ADDR_FAMILY, v6 ? AF_INET6 : AF_INET).bytes(v6 ? ADDR_ADDR6 : ADDR_ADDR4, bytes);
  });
}

/** A command without arguments: flush, get limits, dump of addresses. */
export function emitBare(command: number): Uint8Array {
  return genericPayload(command, MPTCP_PM_VERSION).finish();
}

export function emitEndpoint(command: number, spec: EndpointSpec): Uint8Array {
  const writer = genericPayload(command, MPTCP_PM_VERSION);
  emitAddressNest(writer, ATTR_ADDR, spec);
  return writer.finish();
}

export function emitLimits(limits: Partial<Limits>): Uint8Array {
  const writer = genericPayload(PathManagerCommand.setLimits, MPTCP_PM_VERSION);
  if (limits.addAddrAccepted !== undefined) writer.u32(ATTR_RCV_ADD_ADDRS, limits.addAddrAccepted);
  if (limits.subflows !== undefined) writer.u32(ATTR_SUBFLOWS, limits.subflows);
  return writer.finish();
}

/** A command of the userspace path manager on the connection `token`. */
export function emitTokenCommand(
  command: number,
  token: number,
  parts: { readonly local?: EndpointSpec; readonly remote?: EndpointSpec; readonly localId?: number },
): Uint8Array {
  const writer = genericPayload(command, MPTCP_PM_VERSION);
  writer.u32(ATTR_TOKEN, token);
  if (parts.localId !== undefined) writer.u8(ATTR_LOC_ID, parts.localId);
  if (parts.local !== undefined) emitAddressNest(writer, ATTR_ADDR, parts.local);
  if (parts.remote !== undefined) emitAddressNest(writer, ATTR_ADDR_REMOTE, parts.remote);
  return writer.finish();
}

/** `undefined` when the payload holds no endpoint. */
export function parseEndpoint(payload: Uint8Array): Endpoint | undefined {
  const nest = parseAttributes(payload, GENL_HEADER_BYTES).nested(ATTR_ADDR);
  const address = nest?.ip(ADDR_ADDR4) ?? nest?.ip(ADDR_ADDR6);
  if (nest === undefined || address === undefined) return undefined;
  return {
    address,
    port: nest.u16(ADDR_PORT) ?? 0,
    id: nest.u8(ADDR_ID) ?? 0,
    flags: nest.u32(ADDR_FLAGS) ?? 0,
    linkIndex: nest.s32(ADDR_IF_IDX) ?? 0,
  };
}

export function parseLimits(payload: Uint8Array): Limits {
  return {
    addAddrAccepted: findU32(payload, GENL_HEADER_BYTES, ATTR_RCV_ADD_ADDRS) ?? 0,
    subflows: findU32(payload, GENL_HEADER_BYTES, ATTR_SUBFLOWS) ?? 0,
  };
}

/** MPTCP_ATTR_*: attribute numbers of events. */
const EVENT = {
  token: 1,
  family: 2,
  localId: 3,
  remoteId: 4,
  source4: 5,
  source6: 6,
  destination4: 7,
  destination6: 8,
  sourcePort: 9,
  destinationPort: 10,
  backup: 11,
  error: 12,
  flags: 13,
  timeout: 14,
  linkIndex: 15,
  resetReason: 16,
  resetFlags: 17,
  serverSide: 18,
} as const;

type Fields = { -readonly [Key in keyof MptcpEvent]: MptcpEvent[Key] };

/** A number of any width: older kernels send some of these narrower or wider than newer ones. */
function unsigned(bytes: Uint8Array, at: number, length: number): number | undefined {
  if (length >= 4) return u32At(bytes, at);
  return length >= 2 ? u16At(bytes, at) : bytes[at];
}

const ipAt = (bytes: Uint8Array, at: number, length: number) =>
  length === 4 || length === 16 ? formatIp(bytes.subarray(at, at + length)) : undefined;

const portAt = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]!;

/** Sets the field that one attribute is; one that is too short for its type is left out. */
function readEventField(fields: Fields, type: number, bytes: Uint8Array, at: number, length: number): void {
  if (length === 0) return;
  switch (type) {
    case EVENT.token:
      if (length >= 4) fields.token = u32At(bytes, at);
      break;
    case EVENT.family:
      if (length >= 2) fields.family = u16At(bytes, at);
      break;
    case EVENT.localId:
      fields.localId = bytes[at]!;
      break;
    case EVENT.remoteId:
      fields.remoteId = bytes[at]!;
      break;
    case EVENT.source4:
      setAddress(fields, 'sourceAddress4', ipAt(bytes, at, length));
      break;
    case EVENT.source6:
      setAddress(fields, 'sourceAddress6', ipAt(bytes, at, length));
      break;
    case EVENT.destination4:
      setAddress(fields, 'destinationAddress4', ipAt(bytes, at, length));
      break;
    case EVENT.destination6:
      setAddress(fields, 'destinationAddress6', ipAt(bytes, at, length));
      break;
    case EVENT.sourcePort:
      if (length >= 2) fields.sourcePort = portAt(bytes, at);
      break;
    case EVENT.destinationPort:
      if (length >= 2) fields.destinationPort = portAt(bytes, at);
      break;
    default:
      readRareField(fields, type, bytes, at, length);
  }
}

function readRareField(fields: Fields, type: number, bytes: Uint8Array, at: number, length: number): void {
  switch (type) {
    case EVENT.backup:
      fields.backup = bytes[at]!;
      break;
    case EVENT.error:
      fields.error = bytes[at]!;
      break;
    case EVENT.flags:
      if (length >= 2) fields.flags = u16At(bytes, at);
      break;
    case EVENT.timeout:
      if (length >= 4) fields.timeout = u32At(bytes, at);
      break;
    case EVENT.linkIndex:
      if (length >= 4) fields.linkIndex = u32At(bytes, at) | 0;
      break;
    case EVENT.resetReason:
      fields.resetReason = unsigned(bytes, at, length)!;
      break;
    case EVENT.resetFlags:
      fields.resetFlags = unsigned(bytes, at, length)!;
      break;
    case EVENT.serverSide:
      fields.serverSide = bytes[at]!;
      break;
    default:
    // Of a newer kernel.
  }
}

type AddressField = `${'source' | 'destination'}Address${4 | 6}`;

function setAddress(fields: Fields, field: AddressField, address: string | undefined): void {
  if (address !== undefined) fields[field] = address;
}

/**
 * Reads one message of the event group; the command number is the event's type. Busy hosts send tens of thousands a
 * second, so the message is read once and no field is made that the kernel did not send.
 */
export function parseEvent(payload: Uint8Array): MptcpEvent | undefined {
  const type = payload[0];
  if (type === undefined || payload.length < GENL_HEADER_BYTES) return undefined;
  const fields: Fields = { type };
  visitAttributes(payload, GENL_HEADER_BYTES, (attribute, at, end) =>
    readEventField(fields, attribute, payload, at, end - at),
  );
  return fields;
}
