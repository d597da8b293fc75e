/**
 * Which part of the program a datagram to the command port is for. Pure; judges nothing else.
 */
import { ControlCommand } from './message.ts';

/**
 * `local`: a command of the `mpt` client (local-protocol.ts). `request`: rounds 1 and 3 and what a responder refuses
 * (responder.ts). `answer`: rounds 2 and 4 (initiator-desk.ts). `other`: nothing that belongs here.
 */
export type CommandDatagramKind = 'local' | 'request' | 'answer' | 'other';

/**
 * The original takes everything from 127.0.0.1 and ::1 for a local command; here the first byte must say so as well,
 * and a local command from elsewhere is never one.
 */
export function classifyCommandDatagram(bytes: Uint8Array, fromLoopback: boolean): CommandDatagramKind {
  const command = bytes[0];
  if (command === ControlCommand.local) return fromLoopback ? 'local' : 'other';
  if (command !== ControlCommand.pathStatus && command !== ControlCommand.create) return 'other';
  const round = bytes[4 + (bytes[3] ?? 0)];
  return round === 2 || round === 4 ? 'answer' : 'request';
}
