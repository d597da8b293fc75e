/** What the parts of the engine are given of each other (types, and one small helper). */
import { parseIp, type Logger } from '../../base/index.ts';
import type { DataPlane } from '../data/data-plane.ts';
import type { CommandPort } from './command-port.ts';
import type { Target } from './peer-requests.ts';
import type { TunnelEvent } from './types.ts';

/** An event without its time. */
export type EventBody = TunnelEvent extends infer Event
  ? Event extends TunnelEvent
    ? Omit<Event, 'atMs'>
    : never
  : never;

/** What connections share. */
export interface ConnectionSurroundings {
  readonly plane: DataPlane;
  readonly port: () => CommandPort<Target>;
  readonly logger: Logger;
  readonly emit: (event: EventBody) => void;
  /** Takes what the original prints. */
  readonly print: (text: string) => void;
  /** Inner MTU, addresses or peers changed: routes and public addresses are to be looked at. */
  readonly onHostChange: () => void;
  /** `nextMs` may have become earlier. */
  readonly onDeadline: () => void;
}

/** 16 bytes, IPv4 mapped; zeros for what is no address. */
export function mappedAddress(address: string): Uint8Array {
  const ip = parseIp(address) ?? new Uint8Array(16);
  if (ip.length === 16) return ip;
  const out = new Uint8Array(16);
  out.set([0xff, 0xff], 10);
  out.set(ip, 12);
  return out;
}
