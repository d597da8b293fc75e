/**
 * One socket of a socket-diagnostics dump as it lies in memory (pure), for who reads thousands of them each second:
 * nothing is made but what is asked for. For lists that are kept there is parseDiagSocket (sock-diag-codec.ts, which
 * has the layout at its head).
 *
 * Invariant: what it tells is of the message that `look` was given last, and only as long as that memory stands.
 */
import { AF_INET, formatIp, type Family } from '../base/ip.ts';

const MESSAGE_BYTES = 72;
const STATE_AT = 1;
const SOURCE_PORT_AT = 4;
const DESTINATION_PORT_AT = 6;
const SOURCE_AT = 8;
const DESTINATION_AT = 24;
const LINK_AT = 40;
const COOKIE_AT = 44;
const UID_AT = 64;
const INODE_AT = 68;

const ATTRIBUTE_HEADER_BYTES = 4;
const TYPE_MASK = 0x3fff;
const INET_DIAG_INFO = 2;
const INET_DIAG_CONG = 4;
const INET_DIAG_ULP_INFO = 19;
const INET_ULP_INFO_MPTCP = 3;
const SUBFLOW_TOKEN_LOC = 2;
const SUBFLOW_FLAGS = 8;
/** INET_DIAG_CONG is a name of at most 16 bytes, its zero included. */
const CONGESTION_NAME_MAX = 16;

const TWO_TO_32 = 2 ** 32;
const NOTHING = new DataView(new ArrayBuffer(0));

export class DiagView {
  #view: DataView = NOTHING;
  #at = 0;
  #end = 0;
  #infoAt = 0;
  #infoEnd = 0;
  #congestionAt = 0;
  #congestionEnd = 0;
  /** Local token of the connection that this TCP socket is a subflow of; 0: of none. */
  token = 0;
  /** MPTCP_SUBFLOW_FLAG_* (SubflowFlag). */
  subflowFlags = 0;

  /** @returns `false` when the message is too short to be one */
  look(view: DataView, at: number, end: number): boolean {
    if (end - at < MESSAGE_BYTES) return false;
    this.#view = view;
    this.#at = at;
    this.#end = end;
    this.#infoAt = this.#infoEnd = 0;
    this.#congestionAt = this.#congestionEnd = 0;
    this.token = 0;
    this.subflowFlags = 0;
    for (let from = at + MESSAGE_BYTES; from + ATTRIBUTE_HEADER_BYTES <= end;) {
      const length = view.getUint16(from, true);
      if (length < ATTRIBUTE_HEADER_BYTES || from + length > end) break;
      const value = from + ATTRIBUTE_HEADER_BYTES;
      switch (view.getUint16(from + 2, true) & TYPE_MASK) {
        case INET_DIAG_INFO:
          this.#infoAt = value;
          this.#infoEnd = from + length;
          break;
        case INET_DIAG_CONG:
          this.#congestionAt = value;
          this.#congestionEnd = from + length;
          break;
        case INET_DIAG_ULP_INFO:
          this.#readUlp(value, from + length);
          break;
        default:
      }
      from += (length + 3) & ~3;
    }
    return true;
  }

  #readUlp(at: number, end: number): void {
    const view = this.#view;
    for (let from = at; from + ATTRIBUTE_HEADER_BYTES <= end;) {
      const length = view.getUint16(from, true);
      if (length < ATTRIBUTE_HEADER_BYTES || from + length > end) return;
      const value = from + ATTRIBUTE_HEADER_BYTES;
      if ((view.getUint16(from + 2, true) & TYPE_MASK) === INET_ULP_INFO_MPTCP) {
        this.#readSubflow(value, from + length);
        return;
      }
      from += (length + 3) & ~3;
    }
  }

  #readSubflow(at: number, end: number): void {
    const view = this.#view;
    for (let from = at; from + ATTRIBUTE_HEADER_BYTES + 4 <= end;) {
      const length = view.getUint16(from, true);
      if (length < ATTRIBUTE_HEADER_BYTES || from + length > end) return;
      const type = view.getUint16(from + 2, true) & TYPE_MASK;
      if (type === SUBFLOW_TOKEN_LOC) this.token = view.getUint32(from + ATTRIBUTE_HEADER_BYTES, true);
      if (type === SUBFLOW_FLAGS) this.subflowFlags = view.getUint32(from + ATTRIBUTE_HEADER_BYTES, true);
      from += (length + 3) & ~3;
    }
  }

  /** How long the message is; netlink pads it to whole words. */
  get lengthBytes(): number {
    return this.#end - this.#at;
  }

  /** Copies the message, word by word: a view of it would cost more than the copy. */
  copyTo(target: DataView, to: number): void {
    const view = this.#view;
    const end = this.#end;
    let out = to;
    let at = this.#at;
    for (; at + 4 <= end; at += 4, out += 4) target.setUint32(out, view.getUint32(at, true), true);
    for (; at < end; at++, out++) target.setUint8(out, view.getUint8(at));
  }

  #u32(at: number): number {
    return this.#view.getUint32(this.#at + at, true);
  }

  get family(): Family {
    return this.#view.getUint8(this.#at) as Family;
  }

  /** TCP state number. */
  get state(): number {
    return this.#view.getUint8(this.#at + STATE_AT);
  }

  /** Names the socket as long as the namespace lives: never given again. */
  get cookie(): number {
    return this.#u32(COOKIE_AT + 4) * TWO_TO_32 + this.#u32(COOKIE_AT);
  }

  get localPort(): number {
    return this.#view.getUint16(this.#at + SOURCE_PORT_AT, false);
  }

  get remotePort(): number {
    return this.#view.getUint16(this.#at + DESTINATION_PORT_AT, false);
  }

  #address(at: number): string {
    const bytes = new Uint8Array(
      this.#view.buffer,
      this.#view.byteOffset + this.#at + at,
      this.family === AF_INET ? 4 : 16,
    );
    return formatIp(bytes);
  }

  get localAddress(): string {
    return this.#address(SOURCE_AT);
  }

  get remoteAddress(): string {
    return this.#address(DESTINATION_AT);
  }

  /** Bound to this link; 0 when not. */
  get linkIndex(): number {
    return this.#u32(LINK_AT);
  }

  get uid(): number {
    return this.#u32(UID_AT);
  }

  /** Names the socket in /proc/PID/fd; 0: no program has it. */
  get inode(): number {
    return this.#u32(INODE_AT);
  }

  get congestionControl(): string | undefined {
    if (this.#congestionAt === 0) return undefined;
    let name = '';
    const end = Math.min(this.#congestionEnd, this.#congestionAt + CONGESTION_NAME_MAX);
    for (let at = this.#congestionAt; at < end; at++) {
      const byte = this.#view.getUint8(at);
      if (byte === 0) break;
      name += String.fromCharCode(byte);
    }
    return name;
  }

  /** Whether the info structure (tcp_info, mptcp_info) reaches over `bytes` bytes. */
  hasInfo(bytes: number): boolean {
    return this.#infoEnd - this.#infoAt >= bytes;
  }

  /** 0 where this kernel's structure does not reach that far, as for the two that follow. */
  infoU8(offset: number): number {
    return this.hasInfo(offset + 1) ? this.#view.getUint8(this.#infoAt + offset) : 0;
  }

  infoU32(offset: number): number {
    return this.hasInfo(offset + 4) ? this.#view.getUint32(this.#infoAt + offset, true) : 0;
  }

  /** Exact below 2^53. */
  infoU64(offset: number): number {
    if (!this.hasInfo(offset + 8)) return 0;
    const at = this.#infoAt + offset;
    return this.#view.getUint32(at + 4, true) * TWO_TO_32 + this.#view.getUint32(at, true);
  }
}
