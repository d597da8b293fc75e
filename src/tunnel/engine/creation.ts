/**
 * "Connection create", both sides. As initiator (`mpt create FILE`): the connection's text goes to the peer, what it
 * answers is merged, and the connection goes on with that. As responder: a connection is made of the template and the
 * peer's text, started, and told.
 *
 * Invariant: a peer chooses addresses and numbers only (config/create-connection.ts); a connection that cannot be started
 * is answered with a refusal and leaves nothing.
 */
import { errorText, formatSocketAddress, inPrefix } from '../../base/index.ts';
import { createFailed, fileNotFound } from '../client/server-text.ts';
import { formatConnectionConfig } from '../config/connection-text.ts';
import { makePeerConnection, mergeAnswer, parsePeerText } from '../config/create-connection.ts';
import { tunnelAddress } from '../config/interface-config.ts';
import type { ConnectionConfig } from '../config/model.ts';
import { unspecified } from '../config/section-reader.ts';
import { findClashes } from '../config/tunnel-folder.ts';
import { DEFAULT_KEY_TEXT, keyOf, ZERO_KEY } from '../control/authentication.ts';
import { emitCreateBody, parseCreateBody } from '../control/create-body.ts';
import { ControlCommand, ControlResult } from '../control/message.ts';
import type { PeerAnswer, PeerRequest } from './command-port.ts';
import type { TunnelCore } from './core.ts';
import type { LiveConnection } from './live-connection.ts';
import type { PathLink } from './path-link.ts';
import { mappedAddress } from './surroundings.ts';
import { currentConfig } from './connection-report.ts';
import type { Target } from './peer-requests.ts';
import type { CommandAnswer } from './types.ts';

const NOTHING = new Uint8Array(0);
const EXISTS_BODY = Uint8Array.of(1);
const PORT_MAX = 65_535;
/** BOUNDED: ports that are looked at for one that no other connection has. */
const PORT_TRIES = 4096;

/** `mpt create FILE` */
export async function createAtPeer(core: TunnelCore, file: string): Promise<CommandAnswer> {
  const connection = core.connections.find(file);
  if (connection === undefined) return { ok: false, text: fileNotFound('create', file) };
  const via = preferredPath(connection);
  if (via === undefined) return { ok: false, text: createFailed(1) };
  await core.publicAddresses.settle(connection);
  const { config } = connection;
  const to = { address: via.remoteAddress, port: config.remoteCommandPort };
  const outcome = await core.port.exchange({
    request: {
      command: ControlCommand.create,
      status: 0,
      authType: 2,
      ipVersion: config.ipVersion,
      ipLocal: mappedAddress(config.localAddress),
      ipRemote: mappedAddress(config.remoteAddress),
      body: emitCreateBody(formatConnectionConfig(currentConfig(connection, core.port.port), 'message')),
      withholdToken: config.authType === 0,
    },
    key: keyOf(core.config.template.authKey),
    // Of connections that the original made for a peer it has no other key.
    refusalKeys: [keyOf(config.authKey), ZERO_KEY, keyOf(DEFAULT_KEY_TEXT)],
    to,
    ...(via.origin !== undefined && { origin: via.origin }),
  });
  const tell = (code: number, text: string): void =>
    core.emit({
      kind: 'exchange',
      direction: 'out',
      command: 'create',
      file,
      peer: formatSocketAddress(to.address, to.port),
      code,
      text,
    });
  if (!outcome.answered || outcome.code !== ControlResult.ok) {
    tell(outcome.code, createFailed(outcome.code).trim());
    return { ok: false, text: createFailed(outcome.code) };
  }
  const answer = parsePeerText(parseCreateBody(outcome.body));
  if ('reason' in answer) {
    core.trouble(`the peer's answer to the creation of ${file} cannot be used: ${answer.reason}`);
    tell(ControlResult.unknown, answer.reason);
    return { ok: false, text: createFailed(ControlResult.unknown) };
  }
  return core.serially(async () => {
    const current = core.connections.find(file);
    if (current === undefined) return { ok: false, text: fileNotFound('create', file) };
    const merged = keepAddresses(mergeAnswer(current.config, answer.connection), current.config);
    await core.connections.replace(current, merged, current.source);
    tell(ControlResult.ok, 'done');
    return { ok: true, text: `create ${file}` };
  });
}

/** The path that the configuration prefers for creating, else one in use, else the first. */
function preferredPath({ links }: LiveConnection): PathLink | undefined {
  return (
    links.find((link) => link.config.isCommandDefault) ?? links.find((link) => link.isUsable) ?? links[0]
  );
}

/** What the peer does not know of itself stays as configured; a path that it does not have stays away. */
function keepAddresses(merged: ConnectionConfig, own: ConnectionConfig): ConnectionConfig {
  const kept = (address: string, index: number, ipVersion: 4 | 6) =>
    address === unspecified(ipVersion) ? (own.paths[index]?.remoteAddress ?? address) : address;
  return {
    ...merged,
    paths: merged.paths.map((path, index) => ({
      ...path,
      remoteAddress: kept(path.remoteAddress, index, path.ipVersion),
    })),
  };
}

/** A peer wants a connection. Called for authentic requests only. */
export async function createForPeer(
  core: TunnelCore,
  request: PeerRequest<Target>,
  peer: string,
): Promise<PeerAnswer> {
  const reading = parsePeerText(parseCreateBody(request.message.body));
  const tell = (code: number, text: string, file?: string): void =>
    core.emit({
      kind: 'exchange',
      direction: 'in',
      command: 'create',
      ...(file !== undefined && { file }),
      peer,
      code,
      text,
    });
  if ('reason' in reading) {
    tell(ControlResult.unknown, reading.reason);
    return { result: ControlResult.unknown, body: NOTHING };
  }
  return core.serially(async () => {
    try {
      return await make(core, reading.connection, tell);
    } catch (error) {
      const text = errorText(error);
      core.trouble(`the connection that ${peer} wants cannot be made: ${text}`);
      tell(ControlResult.unknown, text);
      return { result: ControlResult.unknown, body: NOTHING };
    }
  });
}

async function make(
  core: TunnelCore,
  wanted: ConnectionConfig,
  tell: (code: number, text: string, file?: string) => void,
): Promise<PeerAnswer> {
  const { config } = core;
  const refuse = (text: string): PeerAnswer => {
    tell(ControlResult.unknown, text);
    return { result: ControlResult.unknown, body: NOTHING };
  };
  const localAddress = tunnelAddress(config.interface, wanted.ipVersion);
  if (localAddress === undefined) return refuse(`the tunnel has no IPv${wanted.ipVersion} address`);
  if (localAddress === wanted.localAddress) return refuse('the peer has our own tunnel address');
  const subnet = wanted.ipVersion === 6 ? config.interface.ipv6 : config.interface.ipv4;
  if (subnet !== undefined && !inPrefix(wanted.localAddress, subnet)) {
    // It becomes a route into the tunnel: anybody's address would do otherwise, a name server's or a neighbour's.
    return refuse(
      `the peer's tunnel address ${wanted.localAddress} is not of the tunnel's subnet ${subnet.address}/${subnet.length}`,
    );
  }
  const isThere = core.connections.all.some(
    ({ config: { localAddress: local, remoteAddress: remote } }) =>
      local === localAddress && remote === wanted.localAddress,
  );
  if (isThere) {
    tell(ControlResult.exists, 'the connection is there already');
    return { result: ControlResult.exists, body: EXISTS_BODY };
  }
  const { template } = config;
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const localPort = template.localPort === 0 ? 0 : template.localPort + core.createdByPeers;
    if (localPort > PORT_MAX) return refuse('there is no data port left above that of the template');
    const made = makePeerConnection({
      template,
      request: wanted,
      localAddress,
      localCommandPort: core.port.port,
      localPort,
    });
    if (made.connection.paths.length === 0) return refuse('the template has no path of these IP versions');
    if (core.connections.find(made.file) !== undefined) return refuse(`${made.file} is there already`);
    const clashes = findClashes([...core.connections.all.map(({ asFile }) => asFile), made]);
    if (clashes.length > 0) {
      core.createdByPeers++;
      continue;
    }
    try {
      const connection = await core.connections.add(made, 'peer');
      core.createdByPeers++;
      tell(ControlResult.ok, 'done', made.file);
      const text = formatConnectionConfig(currentConfig(connection, core.port.port), 'message');
      return { result: ControlResult.ok, body: emitCreateBody(text) };
    } catch (error) {
      const isTaken = (error as { code?: unknown }).code === 'EADDRINUSE';
      if (!isTaken || localPort === 0) throw error;
      core.createdByPeers++;
    }
  }
  return refuse('every data port that was tried is taken');
}
