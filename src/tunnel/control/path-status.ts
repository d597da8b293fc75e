/**
 * Path status change (command 0xA2): what the body of round 3 says, and the status values of paths. Pure.
 *
 *   offset  size  field
 *   0       16    initiator's public_ipaddr of the path, IPv4 as ::ffff:a.b.c.d
 *   16      16    initiator's remote_ipaddr of the path
 *
 * The responder looks for its path with remote_ipaddr = the first and public_ipaddr = the second. Byte 1 of the
 * message is 0x80 (down, whatever kind) or 0x00 (up). Round 4 has no body; its result is 0 even if no path matched.
 */

/** Status values of a path, as the original prints, saves and sends them. */
export const PathStatus = {
  ok: 0x00,
  /** Nothing heard for dead_time, or the peer says so. Ends with the first keepalive heard. */
  down: 0x80,
  interfaceDown: 0x81,
  addressDown: 0x82,
  /** Set down by hand. */
  manualDown: 0x83,
  disabled: 0xff,
} as const;

export type PathStatus = (typeof PathStatus)[keyof typeof PathStatus];

export const PATH_CHANGE_BYTES = 32;

export interface PathChange {
  /** 16 bytes: address of the path at the initiator, as the responder sees it. */
  readonly publicAddress: Uint8Array;
  /** 16 bytes: address of the path at the responder. */
  readonly remoteAddress: Uint8Array;
}

/** What the peer is told for a path's own status: 0x00 or 0x80. */
export function announcedStatus(status: number): typeof PathStatus.ok | typeof PathStatus.down {
  return status === PathStatus.ok ? PathStatus.ok : PathStatus.down;
}

export function emitPathChange(change: PathChange): Uint8Array {
  const out = new Uint8Array(PATH_CHANGE_BYTES);
  out.set(change.publicAddress, 0);
  out.set(change.remoteAddress, 16);
  return out;
}

/** Reads the body of round 3; `undefined` when it is shorter than both addresses. More bytes are ignored. */
export function parsePathChange(body: Uint8Array): PathChange | undefined {
  if (body.length < PATH_CHANGE_BYTES) return undefined;
  return { publicAddress: body.subarray(0, 16), remoteAddress: body.subarray(16, PATH_CHANGE_BYTES) };
}
