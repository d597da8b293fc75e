/**
 * What peers ask for over the command port: "path status change" and "connection create". Finds whom a message is for,
 * and does it.
 */
import { formatSocketAddress } from '../../base/index.ts';
import { keyOf } from '../control/authentication.ts';
import { ControlCommand, ControlResult, type ControlMessage } from '../control/message.ts';
import type { Admission } from '../control/responder.ts';
import { createForPeer } from './creation.ts';
import type { PeerAnswer, PeerRequest } from './command-port.ts';
import type { TunnelCore } from './core.ts';
import type { LiveConnection } from './live-connection.ts';

/** Whom a request is about. */
export type Target = LiveConnection | 'create';

const NOTHING = new Uint8Array(0);

/** Keeps nothing, whoever asks. `from`: `ADDRESS:PORT`. */
export function resolveMessage(core: TunnelCore, message: ControlMessage, from: string): Admission<Target> {
  if (message.command === ControlCommand.create) {
    if (!core.config.interface.acceptRemote) return { kind: 'ignored' };
    return {
      kind: 'known',
      connection: 'create',
      owner: from.slice(0, from.lastIndexOf(':')),
      authType: 2,
      key: keyOf(core.config.template.authKey),
      mayExecute: () => core.mayCreate(),
    };
  }
  const connection = core.connections.findPair(message.ipRemote, message.ipLocal);
  if (connection === undefined) return { kind: 'unknown' };
  return {
    kind: 'known',
    connection,
    owner: `connection ${connection.id}`,
    authType: connection.config.authType,
    key: keyOf(connection.config.authKey),
    mayExecute: () => connection.mayTakeRequest(),
  };
}

export function executeRequest(
  core: TunnelCore,
  request: PeerRequest<Target>,
): PeerAnswer | Promise<PeerAnswer> {
  const { from, message, target } = request;
  const peer = formatSocketAddress(from.address, from.port);
  if (target === 'create') return createForPeer(core, request, peer);
  // It may have been replaced since the exchange began.
  const connection = core.connections.findPair(message.ipRemote, message.ipLocal);
  if (connection === undefined) return { result: ControlResult.unknown, body: NOTHING };
  connection.learnCommandAddress(from);
  const hasMatched = connection.handlePathChange(message.body, message.status);
  core.emit({
    kind: 'exchange',
    direction: 'in',
    command: 'path-status',
    file: connection.file,
    peer,
    code: ControlResult.ok,
    text: hasMatched ? 'done' : 'no path has these addresses',
  });
  // The original says 0 even if no path matched.
  return { result: ControlResult.ok, body: NOTHING };
}
