/**
 * The live connections of a tunnel, in order, and how one comes, goes, or takes the place of another. Not here: what a
 * connection does (live-connection.ts), and who wants one (commands.ts, creation.ts, reload.ts); they see to it that
 * changes come one after another (`TunnelCore.serially`) and that no two connections clash.
 *
 * Invariants: a number belongs to one connection at most, and a pair of tunnel addresses finds the latest that has it;
 * a connection that cannot be started leaves nothing.
 */
import { errorText, WeftError } from '../../base/index.ts';
import { formatSendingVector } from '../client/server-text.ts';
import type { ConnectionConfig, ConnectionFile } from '../config/model.ts';
import type { DataPlane } from '../data/data-plane.ts';
import { CONNECTIONS_MAX } from '../data/protocol.ts';
import { buildSendingVector } from '../paths/sending-vector.ts';
import type { HostSide } from './host-side.ts';
import { LiveConnection } from './live-connection.ts';
import type { PathHost } from './path-host.ts';
import { describeLack } from './path-report.ts';
import { mappedAddress, type ConnectionSurroundings } from './surroundings.ts';

export interface ConnectionSetOptions {
  /** What all connections are given. */
  readonly shared: Omit<ConnectionSurroundings, 'plane'>;
  /** Another one after the tunnel was made anew. Both throw while it does not run. */
  readonly plane: () => DataPlane;
  readonly host: () => HostSide;
  /** Brings routes to what the connections need now. */
  readonly refresh: () => void;
}

/** Tunnel addresses as a key, from the side of the connection's owner. */
const pairKey = (local: Uint8Array, remote: Uint8Array): string => String.fromCharCode(...local, ...remote);

const pairOf = ({ localAddress, remoteAddress }: ConnectionConfig): string =>
  pairKey(mappedAddress(localAddress), mappedAddress(remoteAddress));

export class ConnectionSet {
  readonly #options: ConnectionSetOptions;
  /** In order. BOUNDED: `CONNECTIONS_MAX`. */
  readonly #all: LiveConnection[] = [];
  /** By `pairKey`. */
  readonly #byPair = new Map<string, LiveConnection>();
  readonly #byId = new Map<number, LiveConnection>();
  #nextOrder = 0;

  constructor(options: ConnectionSetOptions) {
    this.#options = options;
  }

  /** In order; changes under who goes through it and waits meanwhile. */
  get all(): readonly LiveConnection[] {
    return this.#all;
  }

  get(id: number): LiveConnection | undefined {
    return this.#byId.get(id);
  }

  find(file: string): LiveConnection | undefined {
    return this.#all.find((connection) => connection.file === file);
  }

  /** By tunnel addresses, 16 bytes each, this side's first. */
  findPair(local: Uint8Array, remote: Uint8Array): LiveConnection | undefined {
    return this.#byPair.get(pairKey(local, remote));
  }

  /**
   * Starts a connection.
   * @throws WeftError TUNNEL_FULL; SystemError EADDRINUSE … when a port is taken, with the file's name
   */
  async add({ file, connection: config }: ConnectionFile, origin: 'file' | 'peer'): Promise<LiveConnection> {
    const connection = new LiveConnection(
      { id: this.#freeId(), order: this.#nextOrder++, file, origin, config, hosts: this.#hostsOf(config) },
      this.#surroundings(),
    );
    try {
      connection.openSockets();
    } catch (error) {
      throw inFile(file, error);
    }
    this.#enter(connection);
    try {
      // Paths' routes first, so that no packet goes another way.
      this.#options.refresh();
      await connection.start();
    } catch (error) {
      this.#leave(connection);
      await connection.stop();
      throw inFile(file, error);
    }
    this.#announce(connection, 'added');
    return connection;
  }

  /** Ends a connection and removes what was made for it. */
  async remove(connection: LiveConnection): Promise<void> {
    this.#leave(connection);
    await connection.stop();
    this.#options.refresh();
    this.#announce(connection, 'removed');
  }

  /**
   * Gives a connection another configuration: what arrives and waits meanwhile is not lost, sequence numbers and counters
   * go on, sockets stay where their addresses stay.
   * @throws as `add`; the former one runs on then
   */
  async replace(
    former: LiveConnection,
    config: ConnectionConfig,
    source: ConnectionConfig = config,
  ): Promise<LiveConnection> {
    const { file, id, order, origin } = former;
    const connection = new LiveConnection(
      { id, order, file, origin, config, source, hosts: this.#hostsOf(config), former },
      this.#surroundings(),
    );
    await former.pause();
    try {
      connection.openSockets(former);
    } catch (error) {
      former.resume();
      throw inFile(file, error);
    }
    this.#leave(former);
    this.#enter(connection);
    this.#options.refresh();
    try {
      await connection.start();
    } finally {
      // The data plane has it no more, or has ended.
      former.closeSockets();
    }
    this.#announce(connection, 'changed');
    return connection;
  }

  /** Ends all, without a word, for who has ended the data plane. */
  async endAll(): Promise<void> {
    for (const connection of this.#all.slice()) {
      this.#leave(connection);
      await connection.pause();
      connection.closeSockets();
    }
  }

  #surroundings(): ConnectionSurroundings {
    return { ...this.#options.shared, plane: this.#options.plane() };
  }

  #hostsOf(config: ConnectionConfig): PathHost[] {
    return config.paths.map((path) => this.#options.host().pathHost(path, path.remoteAddress));
  }

  #freeId(): number {
    for (let id = 0; id < CONNECTIONS_MAX; id++) if (!this.#byId.has(id)) return id;
    throw new WeftError(`there is no room for one more connection: ${CONNECTIONS_MAX} are there`, {
      code: 'TUNNEL_FULL',
      hint: 'delete those that are not used',
    });
  }

  #enter(connection: LiveConnection): void {
    const after = this.#all.findIndex((other) => other.order > connection.order);
    this.#all.splice(after < 0 ? this.#all.length : after, 0, connection);
    this.#byPair.set(pairOf(connection.config), connection);
    this.#byId.set(connection.id, connection);
  }

  #leave(connection: LiveConnection): void {
    const at = this.#all.indexOf(connection);
    if (at >= 0) this.#all.splice(at, 1);
    const pair = pairOf(connection.config);
    if (this.#byPair.get(pair) === connection) this.#byPair.delete(pair);
    if (this.#byId.get(connection.id) === connection) this.#byId.delete(connection.id);
  }

  #announce(connection: LiveConnection, action: 'added' | 'changed' | 'removed'): void {
    const { emit, logger, print } = this.#options.shared;
    const { config, file, name, origin } = connection;
    logger.info({ file, name }, `connection ${action}`);
    emit({ kind: 'connection', file, name, action, origin });
    if (action === 'removed') return;
    for (const link of connection.links) {
      const lack = describeLack(link);
      if (lack !== undefined) logger.warn({ file, name }, lack);
    }
    const weights = config.paths.map((path) => path.weightOut);
    if (weights.length > 0) print(formatSendingVector(buildSendingVector(weights), weights));
  }
}

function inFile(file: string, error: unknown): WeftError {
  const code = error instanceof WeftError ? error.code : 'TUNNEL_CONNECTION';
  return new WeftError(`connections/${file}: ${errorText(error)}`, { code, cause: error });
}
