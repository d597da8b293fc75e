/**
 * Socket diagnostics on the wire (pure): the request for all sockets of a kind, and one socket of the answer, with
 * its info structure as bytes (parsed by mptcp, which knows it).
 *
 *   inet_diag_req_v2 (56): 0 family | 1 protocol | 2 ext | 3 pad (u8 each) | 4 states u32 | 8 socket id (48)
 *   socket id (48): 0 source port be16 | 2 destination port be16 | 4 source 16 | 20 destination 16
 *                   36 link index u32 | 40 cookie u32 x 2
 *   inet_diag_msg (72): 0 family | 1 state | 2 timer | 3 retransmits (u8 each) | 4 socket id (48)
 *                   52 expires u32 | 56 receive queue u32 | 60 send queue u32 | 64 uid u32 | 68 inode u32
 *
 * References: sock_diag(7), <linux/inet_diag.h>, <linux/mptcp.h> (MPTCP_SUBFLOW_ATTR_*).
 */
import { AF_INET, AF_INET6, formatIp, isIpv6, parseIp, type Family } from '../base/ip.ts';
import { IPPROTO_MPTCP, IPPROTO_TCP } from '../native/index.ts';
import { parseAttributes, PayloadWriter, type Attributes } from './attributes.ts';

export const SOCK_DIAG_BY_FAMILY = 20;
const REQUEST_BYTES = 56;
const MESSAGE_BYTES = 72;
const INET_DIAG_REQ_PROTOCOL = 3;
const INET_DIAG_INFO = 2;
const INET_DIAG_CONG = 4;
const INET_DIAG_ULP_INFO = 19;
const INET_DIAG_CGROUP_ID = 21;
const INET_ULP_INFO_MPTCP = 3;
const TCP_TIME_WAIT = 6;
const TCP_LISTEN = 10;

/** All states but LISTEN (bit numbers are TCP states). */
export const STATES_CONNECTED = 0xfff & ~(1 << TCP_LISTEN);
export const STATES_ALL = 0xfff;
/** Neither listeners nor those that only wait for late packets, of which a busy host has thousands. */
export const STATES_LIVE = STATES_CONNECTED & ~(1 << TCP_TIME_WAIT);

export interface DiagSocket {
  readonly family: Family;
  /** TCP state number (1 established … 10 listen). */
  readonly state: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Bound to this link; 0 when not. */
  readonly linkIndex: number;
  readonly receiveQueueBytes: number;
  readonly sendQueueBytes: number;
  readonly uid: number;
  /** Names the socket in /proc/PID/fd. */
  readonly inode: number;
  /** mptcp_info or tcp_info, as long as the kernel's. */
  readonly info?: Uint8Array;
  readonly congestionControl?: string;
  /** Inode number of the socket's control group (v2). */
  readonly cgroupId?: bigint;
}

/** What the MPTCP layer says of a TCP socket. */
export interface SubflowUlp {
  /** Belongs to the connection whose mptcpi_token is this. */
  readonly localToken: number;
  readonly remoteToken: number;
  readonly localId: number;
  readonly remoteId: number;
  /** MPTCP_SUBFLOW_FLAG_*. */
  readonly flags: number;
}

export interface DiagSubflow extends DiagSocket {
  readonly subflow: SubflowUlp;
}

/** MPTCP_SUBFLOW_FLAG_* */
export const SubflowFlag = {
  mpCapableRemote: 1,
  mpCapableLocal: 2,
  mpJoinRemote: 4,
  mpJoinLocal: 8,
  backupRemote: 16,
  backupLocal: 32,
  fullyEstablished: 64,
  connected: 128,
  mapValid: 256,
} as const;

const TOKEN_OFFSET = 48;

function withProtocol(header: Uint8Array, protocol: number): Uint8Array {
  const writer = new PayloadWriter().struct(header);
  // The field is 8 bits wide and MPTCP's number is not.
  if (protocol !== IPPROTO_TCP) writer.u32(INET_DIAG_REQ_PROTOCOL, protocol);
  return writer.finish();
}

/** Asks for the one MPTCP connection that has this local token, instead of the socket's cookie. */
export function emitDiagOfToken(token: number): Uint8Array {
  const header = new Uint8Array(REQUEST_BYTES);
  header[0] = AF_INET;
  header[1] = IPPROTO_TCP;
  const view = new DataView(header.buffer);
  view.setUint32(4, STATES_ALL, true);
  view.setUint32(TOKEN_OFFSET, token, true);
  return withProtocol(header, IPPROTO_MPTCP);
}

/** One end of a connection and the other, as the socket that is asked for has them. */
export interface SocketPair {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** Asks for the one TCP socket with these ends. The kernel may answer with a listener on the local one. */
export function emitDiagOfPair(pair: SocketPair): Uint8Array {
  const header = new Uint8Array(REQUEST_BYTES);
  header[0] = isIpv6(pair.localAddress) ? AF_INET6 : AF_INET;
  header[1] = IPPROTO_TCP;
  const view = new DataView(header.buffer);
  view.setUint32(4, STATES_ALL, true);
  view.setUint16(8, pair.localPort, false);
  view.setUint16(10, pair.remotePort, false);
  header.set(parseIp(pair.localAddress) ?? [], 12);
  header.set(parseIp(pair.remoteAddress) ?? [], 28);
  // INET_DIAG_NOCOOKIE
  header.fill(0xff, TOKEN_OFFSET);
  return header;
}

/** Asks for the sockets of one family and protocol (IPPROTO_*) that are in one of `states` (bits). */
export function emitDiagDump(family: Family, protocol: number, states: number): Uint8Array {
  const header = new Uint8Array(REQUEST_BYTES);
  header[0] = family;
  header[1] = IPPROTO_TCP;
  header[2] = (1 << (INET_DIAG_INFO - 1)) | (1 << (INET_DIAG_CONG - 1));
  new DataView(header.buffer).setUint32(4, states, true);
  return withProtocol(header, protocol);
}

function readSocket(payload: Uint8Array, attributes: Attributes): DiagSocket | undefined {
  const family = payload[0];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const addressBytes = family === AF_INET ? 4 : 16;
  const info = attributes.bytes(INET_DIAG_INFO);
  const congestionControl = attributes.text(INET_DIAG_CONG);
  const cgroupId = attributes.u64(INET_DIAG_CGROUP_ID);
  return {
    family,
    state: view.getUint8(1),
    localAddress: formatIp(payload.subarray(8, 8 + addressBytes)),
    localPort: view.getUint16(4, false),
    remoteAddress: formatIp(payload.subarray(24, 24 + addressBytes)),
    remotePort: view.getUint16(6, false),
    linkIndex: view.getUint32(40, true),
    receiveQueueBytes: view.getUint32(56, true),
    sendQueueBytes: view.getUint32(60, true),
    uid: view.getUint32(64, true),
    inode: view.getUint32(68, true),
    ...(info === undefined ? {} : { info }),
    ...(congestionControl === undefined ? {} : { congestionControl }),
    ...(cgroupId === undefined ? {} : { cgroupId }),
  };
}

const TOKEN_REM = 1;
const TOKEN_LOC = 2;
const FLAGS = 8;
const ID_REM = 9;
const ID_LOC = 10;

function readUlp(attributes: Attributes): SubflowUlp | undefined {
  const mptcp = attributes.nested(INET_DIAG_ULP_INFO)?.nested(INET_ULP_INFO_MPTCP);
  const localToken = mptcp?.u32(TOKEN_LOC);
  if (mptcp === undefined || localToken === undefined) return undefined;
  return {
    localToken,
    remoteToken: mptcp.u32(TOKEN_REM) ?? 0,
    localId: mptcp.u8(ID_LOC) ?? 0,
    remoteId: mptcp.u8(ID_REM) ?? 0,
    flags: mptcp.u32(FLAGS) ?? 0,
  };
}

/** `undefined` when the payload is too short or of another family. */
export function parseDiagSocket(payload: Uint8Array): DiagSocket | undefined {
  if (payload.length < MESSAGE_BYTES) return undefined;
  return readSocket(payload, parseAttributes(payload, MESSAGE_BYTES));
}

/** `undefined` also for a TCP socket that is no subflow. */
export function parseDiagSubflow(payload: Uint8Array): DiagSubflow | undefined {
  if (payload.length < MESSAGE_BYTES) return undefined;
  const attributes = parseAttributes(payload, MESSAGE_BYTES);
  const subflow = readUlp(attributes);
  const socket = subflow === undefined ? undefined : readSocket(payload, attributes);
  return socket === undefined || subflow === undefined ? undefined : { ...socket, subflow };
}
