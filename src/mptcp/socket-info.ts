/**
 * What the kernel tells of one MPTCP connection, as structures: mptcp_info, the arrays of MPTCP_TCPINFO and
 * MPTCP_SUBFLOW_ADDRS, and mptcp_full_info. Pure codecs; the system calls are in socket-info-read.ts. mptcp_info
 * is also what sock_diag answers (INET_DIAG_INFO). A field past what this kernel wrote is `undefined`.
 *
 *   mptcp_info (96 bytes in Linux 6.18; 48 before 6.5; host byte order)
 *    0 u8  subflows (beside the first)   16 u64 write_seq             64 u64 bytes_received
 *    1 u8  add_addr_signal               24 u64 snd_una               72 u64 bytes_acked
 *    2 u8  add_addr_accepted             32 u64 rcv_nxt               80 u8  subflows_total (with the first)
 *    3 u8  subflows_max                  40 u8  local_addr_used       81 u8  endp_laminar_max (6.18)
 *    4 u8  add_addr_signal_max           41 u8  local_addr_max        82 u8  endp_fullmesh_max (7.0)
 *    5 u8  add_addr_accepted_max         42 u8  csum_enabled          84 u32 last_data_sent, ms
 *    8 u32 flags                         44 u32 retransmits           88 u32 last_data_recv, ms
 *          1 fallback, 2 remote key      48 u64 bytes_retrans         92 u32 last_ack_recv, ms
 *   12 u32 token                         56 u64 bytes_sent
 *
 *   mptcp_subflow_data (16), then num_subflows elements of size_user bytes each
 *    0 u32 size_subflow_data  4 u32 num_subflows  8 u32 size_kernel  12 u32 size_user
 *   element of MPTCP_TCPINFO: tcp_info; of MPTCP_SUBFLOW_ADDRS: 0 local, 128 remote (sockaddr_storage each)
 *
 *   mptcp_full_info (40, then mptcp_info)
 *    0 u32 size_tcpinfo_kernel  4 u32 size_tcpinfo_user  8 u32 size_sfinfo_kernel  12 u32 size_sfinfo_user
 *   16 u32 num_subflows  20 u32 size_arrays_user  24 u64 pointer to mptcp_subflow_info[]  32 u64 pointer to tcp_info[]
 *   mptcp_subflow_info (264): 0 u32 id (counts up; not an address id)  8 local  136 remote
 *
 * References: <linux/mptcp.h>, net/mptcp/sockopt.c.
 */
import { parseSockaddr, type SocketAddress } from '../native/index.ts';
import { parseTcpInfo, type TcpInfo } from './tcp-info.ts';

export const SOL_MPTCP = 284;
export const MPTCP_INFO = 1;
export const MPTCP_TCPINFO = 2;
export const MPTCP_SUBFLOW_ADDRS = 3;
export const MPTCP_FULL_INFO = 4;

/** Room for today's 96 bytes and for some growth. */
export const MPTCP_INFO_BYTES = 192;

/** Where fields of mptcp_info are, for who reads a few of them of thousands of connections (socket-scan.ts). */
export const MPTCP_INFO_AT = {
  addAddrSignal: 1,
  addAddrAccepted: 2,
  subflowsMax: 3,
  addAddrAcceptedMax: 5,
  flags: 8,
  token: 12,
  bytesSent: 56,
  bytesReceived: 64,
} as const;

const FLAG_FALLBACK = 1;
const FLAG_REMOTE_KEY = 2;

/** A field is `undefined` when the kernel did not write it. */
type Field<T = number> = T | undefined;

export interface MptcpInfo {
  /** Subflows beside the first that count against `subflowsMax`. */
  readonly subflows: Field;
  /** Addresses announced to the other end. */
  readonly addAddrSignal: Field;
  /** Addresses announced by the other end and used. */
  readonly addAddrAccepted: Field;
  readonly subflowsMax: Field;
  readonly addAddrSignalMax: Field;
  readonly addAddrAcceptedMax: Field;
  readonly flags: Field;
  /** The connection went back to plain TCP. */
  readonly fallback: Field<boolean>;
  /** The other end's key came: it speaks MPTCP. */
  readonly remoteKeyReceived: Field<boolean>;
  readonly token: Field;
  /** Sequence numbers are decimal text: 64 random bits fit neither a number nor JSON. */
  readonly writeSequence: Field<string>;
  readonly sendUnacknowledged: Field<string>;
  readonly receiveNext: Field<string>;
  readonly localAddressesUsed: Field;
  readonly localAddressesMax: Field;
  readonly checksumEnabled: Field<boolean>;
  /** Retransmissions of data on another subflow. */
  readonly retransmits: Field;
  readonly bytesRetransmitted: Field;
  readonly bytesSent: Field;
  readonly bytesReceived: Field;
  readonly bytesAcked: Field;
  /** Subflows now, the first one included. */
  readonly subflowsTotal: Field;
  readonly laminarEndpointsMax: Field;
  readonly fullmeshEndpointsMax: Field;
  readonly lastDataSentMs: Field;
  readonly lastDataReceivedMs: Field;
  readonly lastAckReceivedMs: Field;
}

/** Reads any prefix of mptcp_info; never throws. */
export function parseMptcpInfo(bytes: Uint8Array): MptcpInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const has = (at: number, length: number) => at + length <= bytes.length;
  const u8 = (at: number) => (has(at, 1) ? view.getUint8(at) : undefined);
  const u32 = (at: number) => (has(at, 4) ? view.getUint32(at, true) : undefined);
  const u64 = (at: number) => (has(at, 8) ? Number(view.getBigUint64(at, true)) : undefined);
  const sequence = (at: number) => (has(at, 8) ? view.getBigUint64(at, true).toString() : undefined);
  const flags = u32(8);
  const checksum = u8(42);
  return {
    subflows: u8(0),
    addAddrSignal: u8(1),
    addAddrAccepted: u8(2),
    subflowsMax: u8(3),
    addAddrSignalMax: u8(4),
    addAddrAcceptedMax: u8(5),
    flags,
    fallback: flags === undefined ? undefined : (flags & FLAG_FALLBACK) !== 0,
    remoteKeyReceived: flags === undefined ? undefined : (flags & FLAG_REMOTE_KEY) !== 0,
    token: u32(12),
    writeSequence: sequence(16),
    sendUnacknowledged: sequence(24),
    receiveNext: sequence(32),
    localAddressesUsed: u8(40),
    localAddressesMax: u8(41),
    checksumEnabled: checksum === undefined ? undefined : checksum !== 0,
    // Before Linux 6.5 these bytes were the padding at the end.
    retransmits: has(48, 8) ? u32(44) : undefined,
    bytesRetransmitted: u64(48),
    bytesSent: u64(56),
    bytesReceived: u64(64),
    bytesAcked: u64(72),
    subflowsTotal: u8(80),
    laminarEndpointsMax: u8(81),
    fullmeshEndpointsMax: u8(82),
    lastDataSentMs: u32(84),
    lastDataReceivedMs: u32(88),
    lastAckReceivedMs: u32(92),
  };
}

/** One subflow: its two ends, and its TCP numbers. */
export interface SubflowInfo {
  /** Counts up within the connection from 1; not an address id. Only MPTCP_FULL_INFO tells it. */
  readonly id: Field;
  readonly local: Field<SocketAddress>;
  readonly remote: Field<SocketAddress>;
  readonly tcp: Field<TcpInfo>;
}

export const SUBFLOW_DATA_BYTES = 16;
export const SUBFLOW_ADDRS_BYTES = 256;
const SOCKADDR_STORAGE = 128;

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Writes the request for an array of elements of `elementBytes` each at the start of `out`. */
export function emitSubflowData(elementBytes: number, out: Uint8Array): void {
  const view = viewOf(out);
  view.setUint32(0, SUBFLOW_DATA_BYTES, true);
  view.setUint32(4, 0, true);
  view.setUint32(8, 0, true);
  view.setUint32(12, elementBytes, true);
}

export interface SubflowData {
  /** How many subflows there are, which may be more than there was room for. */
  readonly subflowCount: number;
  /** One for each subflow there was room for, cut to what the kernel knows. */
  readonly elements: Uint8Array[];
}

/** The answer to MPTCP_TCPINFO or MPTCP_SUBFLOW_ADDRS; `undefined` when it is not even a header. */
export function parseSubflowData(bytes: Uint8Array): SubflowData | undefined {
  if (bytes.length < SUBFLOW_DATA_BYTES) return undefined;
  const view = viewOf(bytes);
  const first = view.getUint32(0, true);
  const subflowCount = view.getUint32(4, true);
  const kernelBytes = view.getUint32(8, true);
  const stride = view.getUint32(12, true);
  const elements: Uint8Array[] = [];
  if (stride === 0) return { subflowCount, elements };
  const used = Math.min(stride, kernelBytes);
  for (let at = first; elements.length < subflowCount && at + stride <= bytes.length; at += stride) {
    elements.push(bytes.subarray(at, at + used));
  }
  return { subflowCount, elements };
}

/** One element of MPTCP_SUBFLOW_ADDRS: local, then remote. */
export function parseSubflowAddresses(bytes: Uint8Array): Pick<SubflowInfo, 'local' | 'remote'> {
  return {
    local: parseSockaddr(bytes.subarray(0, SOCKADDR_STORAGE)),
    remote: parseSockaddr(bytes.subarray(SOCKADDR_STORAGE, 2 * SOCKADDR_STORAGE)),
  };
}

export const FULL_INFO_HEADER_BYTES = 40;
export const SUBFLOW_INFO_BYTES = 264;
const SUBFLOW_INFO_ADDRESSES = 8;

/** Where the two arrays of a full-info request are and how large their elements are. */
export interface FullInfoRequest {
  readonly tcpInfoBytes: number;
  readonly subflowInfoBytes: number;
  /** How many elements each array has room for. */
  readonly capacity: number;
  readonly subflowInfoAddress: bigint;
  readonly tcpInfoAddress: bigint;
}

/** Writes the request at the start of `out`; the kernel writes mptcp_info behind it. */
export function emitFullInfo(request: FullInfoRequest, out: Uint8Array): void {
  const view = viewOf(out);
  view.setUint32(0, 0, true);
  view.setUint32(4, request.tcpInfoBytes, true);
  view.setUint32(8, 0, true);
  view.setUint32(12, request.subflowInfoBytes, true);
  view.setUint32(16, 0, true);
  view.setUint32(20, request.capacity, true);
  view.setBigUint64(24, request.subflowInfoAddress, true);
  view.setBigUint64(32, request.tcpInfoAddress, true);
}

/** A connection: its own numbers, and its subflows. */
export interface ConnectionInfo {
  readonly mptcp: MptcpInfo;
  /** How many subflows there are; `subflows` has those there was room for. */
  readonly subflowCount: number;
  readonly subflows: SubflowInfo[];
}

const roomFor = (array: Uint8Array, stride: number) => (stride === 0 ? 0 : Math.floor(array.length / stride));

/**
 * The answer to MPTCP_FULL_INFO: what the kernel wrote over the request, and the two arrays; `undefined` when the
 * first is shorter than its fixed part.
 */
export function parseFullInfo(
  answer: Uint8Array,
  subflowInfos: Uint8Array,
  tcpInfos: Uint8Array,
): ConnectionInfo | undefined {
  if (answer.length < FULL_INFO_HEADER_BYTES) return undefined;
  const view = viewOf(answer);
  const tcpStride = view.getUint32(4, true);
  const tcpUsed = Math.min(view.getUint32(0, true), tcpStride);
  const infoStride = view.getUint32(12, true);
  const infoUsed = Math.min(view.getUint32(8, true), infoStride);
  const subflowCount = view.getUint32(16, true);
  const capacity = Math.min(
    view.getUint32(20, true),
    roomFor(subflowInfos, infoStride),
    roomFor(tcpInfos, tcpStride),
  );
  const filled = Math.min(subflowCount, capacity);
  const subflows: SubflowInfo[] = [];
  for (let i = 0; i < filled; i++) {
    const info = subflowInfos.subarray(i * infoStride, i * infoStride + infoUsed);
    const tcp = tcpInfos.subarray(i * tcpStride, i * tcpStride + tcpUsed);
    subflows.push({
      id: info.length < 4 ? undefined : viewOf(info).getUint32(0, true),
      ...parseSubflowAddresses(info.subarray(SUBFLOW_INFO_ADDRESSES)),
      tcp: parseTcpInfo(tcp),
    });
  }
  return { mptcp: parseMptcpInfo(answer.subarray(FULL_INFO_HEADER_BYTES)), subflowCount, subflows };
}
