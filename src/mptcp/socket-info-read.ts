/**
 * Asks the kernel about one connection that this process has open: getsockopt at level SOL_MPTCP. Connections of
 * other processes are seen through sock_diag instead. Structures are read in socket-info.ts.
 *
 * Every function answers `undefined` for a socket that does not speak MPTCP (plain TCP, or fallen back), and
 * throws SystemError when the descriptor is not an open socket. MPTCP_INFO needs Linux 5.16.
 */
import {
  ENOPROTOOPT,
  EOPNOTSUPP,
  getSocketOption,
  IPPROTO_TCP,
  OwnedBuffer,
  SystemError,
  TCP_INFO,
} from '../native/index.ts';
import {
  emitFullInfo,
  emitSubflowData,
  FULL_INFO_HEADER_BYTES,
  MPTCP_FULL_INFO,
  MPTCP_INFO,
  MPTCP_INFO_BYTES,
  MPTCP_SUBFLOW_ADDRS,
  MPTCP_TCPINFO,
  parseFullInfo,
  parseMptcpInfo,
  parseSubflowAddresses,
  parseSubflowData,
  SOL_MPTCP,
  SUBFLOW_ADDRS_BYTES,
  SUBFLOW_DATA_BYTES,
  SUBFLOW_INFO_BYTES,
  type ConnectionInfo,
  type MptcpInfo,
  type SubflowInfo,
} from './socket-info.ts';
import { fdOf, type SocketOrFd } from './socket-info-describe.ts';
import { parseTcpInfo, TCP_INFO_BYTES, type TcpInfo } from './tcp-info.ts';

/** Subflows there is room for at first; asked again with more when there are more. */
const FIRST_CAPACITY = 8;
/** More than the limits of any kernel allow (64 subflows in Linux 7). */
const MOST_SUBFLOWS = 1024;

/** How many bytes of `value` the kernel filled, or `undefined` when it has no such option for this socket. */
function readOption(fd: number, name: number, value: Uint8Array): number | undefined {
  try {
    return getSocketOption(fd, SOL_MPTCP, name, value);
  } catch (error) {
    if (error instanceof SystemError && (error.errno === ENOPROTOOPT || error.errno === EOPNOTSUPP)) {
      return undefined;
    }
    throw error;
  }
}

/** The connection's own numbers. */
export function readMptcpInfo(socket: SocketOrFd): MptcpInfo | undefined {
  const value = new Uint8Array(MPTCP_INFO_BYTES);
  const length = readOption(fdOf(socket), MPTCP_INFO, value);
  return length === undefined ? undefined : parseMptcpInfo(value.subarray(0, length));
}

/** TCP's numbers of a TCP socket, or of the first subflow of an MPTCP socket. */
export function readTcpInfo(socket: SocketOrFd): TcpInfo {
  const value = new Uint8Array(TCP_INFO_BYTES);
  const length = getSocketOption(fdOf(socket), IPPROTO_TCP, TCP_INFO, value);
  return parseTcpInfo(value.subarray(0, length));
}

/** The elements of an array option, all of them unless the number grows while we ask. */
function readArray(fd: number, name: number, elementBytes: number): Uint8Array[] | undefined {
  for (let capacity = FIRST_CAPACITY; ;) {
    const value = new Uint8Array(SUBFLOW_DATA_BYTES + capacity * elementBytes);
    emitSubflowData(elementBytes, value);
    const length = readOption(fd, name, value);
    if (length === undefined) return undefined;
    const data = parseSubflowData(value.subarray(0, length));
    if (data === undefined) return [];
    if (data.subflowCount <= capacity || capacity >= MOST_SUBFLOWS) return data.elements;
    capacity = Math.min(data.subflowCount, MOST_SUBFLOWS);
  }
}

/** TCP's numbers of every subflow (MPTCP_TCPINFO). */
export function readSubflowTcpInfos(socket: SocketOrFd): TcpInfo[] | undefined {
  return readArray(fdOf(socket), MPTCP_TCPINFO, TCP_INFO_BYTES)?.map((element) => parseTcpInfo(element));
}

/** Both ends of every subflow (MPTCP_SUBFLOW_ADDRS), in the order of readSubflowTcpInfos. */
export function readSubflowAddresses(
  socket: SocketOrFd,
): Pick<SubflowInfo, 'local' | 'remote'>[] | undefined {
  return readArray(fdOf(socket), MPTCP_SUBFLOW_ADDRS, SUBFLOW_ADDRS_BYTES)?.map((element) =>
    parseSubflowAddresses(element),
  );
}

/** The three regions of one MPTCP_FULL_INFO call in one stretch of memory: request and answer, ends, numbers. */
class FullInfoBuffer {
  readonly capacity: number;
  readonly #memory: OwnedBuffer;
  readonly #answer: Uint8Array;
  readonly #subflowInfos: Uint8Array;
  readonly #tcpInfos: Uint8Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    const answerBytes = FULL_INFO_HEADER_BYTES + MPTCP_INFO_BYTES;
    const infosAt = Math.ceil(answerBytes / 8) * 8;
    const tcpAt = infosAt + capacity * SUBFLOW_INFO_BYTES;
    this.#memory = new OwnedBuffer(tcpAt + capacity * TCP_INFO_BYTES);
    this.#answer = this.#memory.bytes.subarray(0, answerBytes);
    this.#subflowInfos = this.#memory.bytes.subarray(infosAt, tcpAt);
    this.#tcpInfos = this.#memory.bytes.subarray(tcpAt);
  }

  read(fd: number): ConnectionInfo | undefined {
    const { address } = this.#memory;
    const infosAt = this.#subflowInfos.byteOffset;
    const tcpAt = this.#tcpInfos.byteOffset;
    emitFullInfo(
      {
        tcpInfoBytes: TCP_INFO_BYTES,
        subflowInfoBytes: SUBFLOW_INFO_BYTES,
        capacity: this.capacity,
        subflowInfoAddress: address + BigInt(infosAt),
        tcpInfoAddress: address + BigInt(tcpAt),
      },
      this.#answer,
    );
    const length = readOption(fd, MPTCP_FULL_INFO, this.#answer);
    if (length === undefined) return undefined;
    return parseFullInfo(this.#answer.subarray(0, length), this.#subflowInfos, this.#tcpInfos);
  }
}

/** Reused by every call: the call is synchronous and the parser copies. */
let fullInfo: FullInfoBuffer | undefined;

function readFullInfo(fd: number): ConnectionInfo | undefined {
  for (;;) {
    fullInfo ??= new FullInfoBuffer(FIRST_CAPACITY);
    const info = fullInfo.read(fd);
    if (info === undefined || info.subflowCount <= fullInfo.capacity || fullInfo.capacity >= MOST_SUBFLOWS) {
      return info;
    }
    fullInfo = new FullInfoBuffer(Math.min(info.subflowCount, MOST_SUBFLOWS));
  }
}

/** The same from the older options (Linux 5.16 to 6.4), which number no subflows. */
function readPieces(fd: number): ConnectionInfo | undefined {
  const mptcp = readMptcpInfo(fd);
  if (mptcp === undefined) return undefined;
  const addresses = readSubflowAddresses(fd) ?? [];
  const tcpInfos = readSubflowTcpInfos(fd) ?? [];
  const subflows: SubflowInfo[] = [];
  for (const [i, { local, remote }] of addresses.entries()) {
    subflows.push({ id: undefined, local, remote, tcp: tcpInfos[i] });
  }
  return { mptcp, subflowCount: subflows.length, subflows };
}

/** The connection with all its subflows: MPTCP_FULL_INFO, or the older options where the kernel lacks it. */
export function readConnectionInfo(socket: SocketOrFd): ConnectionInfo | undefined {
  const fd = fdOf(socket);
  return readFullInfo(fd) ?? readPieces(fd);
}
