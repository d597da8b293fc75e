/**
 * What two ends make of the message "connection create" (pure). The initiator sends its own connection as text; the
 * responder makes one of it and of conf.template, and answers with that; the initiator takes from the answer what only
 * the responder knew.
 *
 *   from the template   permission, status, max_buffdelay, local_port, links and own addresses and states of the paths
 *   from the initiator  name, ip_ver, auth_type, times and weights of the paths (mirrored), its addresses as remote ones
 *   of both             as many paths as both have, the larger reorder window
 *
 * Invariant: nothing of the text names a file, a link or an own address; a peer chooses addresses and numbers only.
 * Of an answer the networks do not count: each end keeps its own.
 */
import { isIpv6 } from '../../base/index.ts';
import { parseConnectionConfig } from './connection-config.ts';
import type { ConnectionConfig, ConnectionFile, NetworkConfig, PathConfig } from './model.ts';
import { unspecified } from './section-reader.ts';

/** Why a peer's text is not used; for the log. The peer is answered with code 4. */
export type PeerText = { readonly connection: ConnectionConfig } | { readonly reason: string };

/** The text of a message, without its first 4 bytes (control/create-body). */
export function parsePeerText(text: string): PeerText {
  const { connection, errors } = parseConnectionConfig(text, 'peer', 'peer');
  return connection === undefined ? { reason: errors[0]?.text ?? 'malformed' } : { connection };
}

/** `peer_10_0_0_2.conf` */
export function peerFileName(tunnelAddress: string): string {
  return `peer_${tunnelAddress.replaceAll(/[.:]/g, '_')}.conf`;
}

/** A path of this end with what the peer says of its own. An address that the peer does not know itself is learned. */
function join(own: PathConfig, peer: PathConfig): PathConfig {
  return {
    ...own,
    remoteAddress: peer.publicAddress,
    keepaliveTimeS: peer.keepaliveTimeS,
    deadTimeS: peer.deadTimeS,
    weightIn: peer.weightOut,
    weightOut: peer.weightIn,
  };
}

function joinPaths(own: readonly PathConfig[], peer: readonly PathConfig[]): PathConfig[] {
  const paths: PathConfig[] = [];
  for (const [index, path] of own.entries()) {
    const other = peer[index];
    // Of two versions there is no path.
    if (other !== undefined && other.ipVersion === path.ipVersion) paths.push(join(path, other));
  }
  return paths;
}

/** The one network of a connection that a peer with networks made: anything, to the peer's tunnel address. */
function peerNetwork(tunnelAddress: string): NetworkConfig {
  const ipVersion = isIpv6(tunnelAddress) ? 6 : 4;
  return {
    ipVersion,
    source: { address: unspecified(ipVersion), length: 0 },
    destination: { address: tunnelAddress, length: ipVersion === 6 ? 128 : 32 },
  };
}

export interface CreateInput {
  readonly template: ConnectionConfig;
  /** The initiator's connection. */
  readonly request: ConnectionConfig;
  /** This end's tunnel address of the request's version. */
  readonly localAddress: string;
  readonly localCommandPort: number;
  /** The template's, plus one for each connection made before. */
  readonly localPort: number;
}

/** The responder's connection. Its path_count can be 0; then nothing can be made. */
export function makePeerConnection(input: CreateInput): ConnectionFile {
  const { template, request } = input;
  const connection: ConnectionConfig = {
    name: request.name,
    permission: template.permission,
    ipVersion: request.ipVersion,
    localAddress: input.localAddress,
    localPort: input.localPort,
    localCommandPort: input.localCommandPort,
    remoteAddress: request.localAddress,
    remotePort: request.localPort,
    remoteCommandPort: request.localCommandPort,
    status: template.status,
    reorderWindow: Math.max(template.reorderWindow, request.reorderWindow),
    maxBufferDelayMs: template.maxBufferDelayMs,
    authType: request.authType,
    authKey: template.authKey,
    scheduler: template.scheduler,
    paths: joinPaths(template.paths, request.paths),
    networks: request.networks.length === 0 ? [] : [peerNetwork(request.localAddress)],
  };
  return { file: peerFileName(request.localAddress), connection };
}

/** The initiator's connection after the answer. */
export function mergeAnswer(own: ConnectionConfig, answer: ConnectionConfig): ConnectionConfig {
  return {
    ...own,
    remotePort: answer.localPort === 0 ? own.remotePort : answer.localPort,
    remoteCommandPort: answer.localCommandPort === 0 ? own.remoteCommandPort : answer.localCommandPort,
    reorderWindow: Math.max(own.reorderWindow, answer.reorderWindow),
    paths: joinPaths(own.paths, answer.paths),
  };
}
