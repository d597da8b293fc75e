/**
 * What runs: host side, data plane, command port, and the live connections, with the one timer that drives them. The
 * commands (commands.ts, creation.ts, reload.ts) work on it; the public face is engine.ts.
 *
 * Invariants: changes of the set of connections run one after another (`serially`); a file, a number and a pair of
 * tunnel addresses belong to one connection at most; whatever fails in `start` is taken back.
 */
import { errorText, WeftError, type Logger } from '../../base/index.ts';
import { monotonicMs, monotonicUs } from '../../native/index.ts';
import type { InterfaceAddress } from '../../netlink/index.ts';
import { formatSendingVector } from '../client/server-text.ts';
import { formatConfigIssue, type ConfigIssue } from '../config/issue.ts';
import {
  COMMAND_PORTS,
  type ConnectionConfig,
  type ConnectionFile,
  type TunnelConfig,
} from '../config/model.ts';
import { DataPlane } from '../data/data-plane.ts';
import { CONNECTIONS_MAX } from '../data/protocol.ts';
import { TokenBucket } from '../data/token-bucket.ts';
import { buildSendingVector } from '../paths/sending-vector.ts';
import { CommandPort } from './command-port.ts';
import { snapshotEngine, type EngineSnapshot } from './engine-report.ts';
import { EventHub } from './event-hub.ts';
import { HostSide } from './host-side.ts';
import { LiveConnection } from './live-connection.ts';
import { executeRequest, resolveMessage, type Target } from './peer-requests.ts';
import { describeLack } from './path-report.ts';
import { PublicAddresses } from './public-addresses.ts';
import { mappedAddress, type ConnectionSurroundings, type EventBody } from './surroundings.ts';
import type { ClientCommand } from '../client/command.ts';
import type { CommandAnswer, TunnelEngineOptions, TunnelFiles } from './types.ts';

/** The longest that nothing is looked at: rates, public addresses. */
const HOUSEKEEPING_MS = 1000;
/** A timer that is so late shows that the process was stopped for a while. */
const STALL_MS = 100;
/** After the host was read, so many times as long as that took it is not read again, and so long at most. */
const REFRESH_REST = 2;
const REFRESH_REST_MAX_MS = 250;
/** BOUNDED: creations that peers may ask for, a second and at once. Each reads links and routes. */
const CREATIONS_PER_SECOND = 10;
const CREATIONS_BURST = 256;
const SWITCHED_OFF_MAX = 64;
const KEEP_PORT = true;

export interface CoreOptions extends TunnelEngineOptions {
  readonly executeCommand: (core: TunnelCore, command: ClientCommand) => Promise<CommandAnswer>;
}

/** Tunnel addresses as a key, from the side of the connection's owner. */
export const pairKey = (local: Uint8Array, remote: Uint8Array): string =>
  String.fromCharCode(...local, ...remote);

const pairOf = ({ localAddress, remoteAddress }: ConnectionConfig): string =>
  pairKey(mappedAddress(localAddress), mappedAddress(remoteAddress));

export class TunnelCore {
  readonly logger: Logger;
  readonly files: TunnelFiles;
  readonly startedMs = monotonicMs();
  readonly #options: CoreOptions;
  config: TunnelConfig;
  #host: HostSide | undefined;
  #plane: DataPlane | undefined;
  #port: CommandPort<Target> | undefined;
  /** In order. BOUNDED: `CONNECTIONS_MAX`. */
  readonly #connections: LiveConnection[] = [];
  /** By `pairKey`. */
  readonly #byPair = new Map<string, LiveConnection>();
  readonly #byId = new Map<number, LiveConnection>();
  readonly #publicAddresses: PublicAddresses;
  readonly events: EventHub;
  /** Addresses of links that a command switched off. BOUNDED: `SWITCHED_OFF_MAX`. */
  readonly #switchedOff = new Map<string, readonly InterfaceAddress[]>();
  /** BOUNDED: by the files. */
  #warned: ReadonlySet<string> = new Set();
  #snapshot: EngineSnapshot | undefined;
  #nextOrder = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Infinity;
  #isScheduling = false;
  #wasLate = false;
  #isRefreshing = false;
  #refreshAtMs = -Infinity;
  #isStopped = false;
  #stopping: Promise<void> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** How many connections peers have made: the template's port moves on with each. */
  createdByPeers = 0;
  readonly #creations = new TokenBucket(CREATIONS_PER_SECOND, CREATIONS_BURST);

  constructor(options: CoreOptions) {
    this.#options = options;
    this.logger = options.logger;
    this.events = new EventHub(options.logger);
    this.files = options.files;
    this.config = options.config;
    this.#publicAddresses = new PublicAddresses({
      logger: options.logger,
      emit: (event) => this.emit(event),
      onChange: () => this.refreshHost(),
    });
  }

  get host(): HostSide {
    return present(this.#host);
  }

  get plane(): DataPlane {
    return present(this.#plane);
  }

  get port(): CommandPort<Target> {
    return present(this.#port);
  }

  get connections(): readonly LiveConnection[] {
    return this.#connections;
  }

  get publicAddresses(): PublicAddresses {
    return this.#publicAddresses;
  }

  /** Absent while everything runs. */
  get snapshot(): EngineSnapshot | undefined {
    return this.#snapshot;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Starts everything that the configuration says, or throws and leaves nothing. */
  async start(): Promise<void> {
    try {
      await this.#bringUp();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #bringUp(): Promise<void> {
    const { config, logger } = this;
    this.#host = HostSide.open({
      config: config.interface,
      journal: this.#options.journal,
      logger,
      onChange: () => this.refreshHost(),
      onProblem: (text) => this.trouble(text),
      onDeviceGone: () => void this.serially(() => this.#replaceDevice()).catch(() => {}),
    });
    for (const text of this.#host.device.troubles) this.trouble(text);
    this.openPort();
    const { device } = this.#host;
    this.#plane = await DataPlane.start({
      tunFd: device.fd,
      hasVirtioHeader: device.hasVirtioHeader,
      hasTcpOffload: device.hasTcpOffload,
      hasUdpOffload: device.hasUdpOffload,
      onKeepalive: (arrival) => this.#byId.get(arrival.id)?.handleKeepalive(arrival),
      onTooLong: (id, path, bytes) => this.#byId.get(id)?.handleTooLong(path, bytes),
      onTrouble: (text) => this.trouble(text),
      onFailure: (error) => this.emit({ kind: 'failure', text: errorText(error) }),
    });
    for (const file of config.connections) {
      // Stopping waits for what is under way.
      if (this.#isStopped) throw stopped();
      await this.add(file, 'file');
    }
    this.#refreshNow();
    this.#tick();
  }

  /** Opens the command port that the configuration names; the former one is closed. */
  openPort(): void {
    const number = this.config.interface.commandPort ?? COMMAND_PORTS.server;
    const before = this.#port;
    // 0: any; what it got is as good as another.
    if (before !== undefined && (number === 0 || before.port === number)) return;
    this.#port = new CommandPort<Target>(
      number,
      {
        resolve: (message, from) => resolveMessage(this, message, from),
        executeRequest: (request) => executeRequest(this, request),
        executeCommand: (command) => this.#options.executeCommand(this, command),
        onDeadline: () => this.schedule(),
      },
      this.logger,
    );
    before?.retire();
  }

  find(file: string): LiveConnection | undefined {
    return this.#connections.find((connection) => connection.file === file);
  }

  /** `key` as `pairKey` makes it, with this side's address first. */
  findPair(key: string): LiveConnection | undefined {
    return this.#byPair.get(key);
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
      this.#refreshNow();
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
    this.#refreshNow();
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
    this.#refreshNow();
    try {
      await connection.start();
    } finally {
      // The data plane has it no more, or has ended.
      former.closeSockets();
    }
    this.#announce(connection, 'changed');
    return connection;
  }

  /** Runs `work` when everything before it is done. */
  serially<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(() => {
      if (this.#isStopped) throw stopped();
      return work();
    });
    this.#last = mine.catch(() => {});
    return mine;
  }

  /**
   * Ends everything and starts it anew with another configuration; with the former one where that fails. Connections
   * that peers made come back as they were.
   * @throws what starting throws
   */
  async restartWith(config: TunnelConfig): Promise<void> {
    const former = this.config;
    const ofPeers = this.#connections.filter(({ origin }) => origin === 'peer').map(({ asFile }) => asFile);
    this.#snapshot = snapshotEngine(this);
    try {
      await this.#takeDown(KEEP_PORT);
      this.config = config;
      try {
        await this.#bringUp();
      } catch (error) {
        await this.#takeDown(KEEP_PORT);
        this.config = former;
        await this.#bringUpAgain(ofPeers);
        throw error;
      }
      await this.#addOfPeers(ofPeers);
    } finally {
      this.#endSnapshot();
    }
  }

  /** The device is gone: somebody deleted the link. Everything is made anew, as it is now. */
  async #replaceDevice(): Promise<void> {
    this.trouble(`the link "${this.config.interface.name}" was deleted; the tunnel is started anew`);
    const ofFiles = this.#connections.filter(({ origin }) => origin === 'file');
    const sources = new Map(ofFiles.map(({ file, source }) => [file, source]));
    const ofPeers = this.#connections.filter(({ origin }) => origin === 'peer').map(({ asFile }) => asFile);
    this.#snapshot = snapshotEngine(this);
    this.config = { ...this.config, connections: ofFiles.map(({ asFile }) => asFile) };
    try {
      await this.#takeDown(KEEP_PORT);
      await this.#bringUpAgain(ofPeers);
    } finally {
      this.#endSnapshot();
    }
    for (const connection of this.#connections) {
      connection.source = sources.get(connection.file) ?? connection.source;
    }
  }

  /** Unless nothing runs: then it stays the last that is known. */
  #endSnapshot(): void {
    if (this.#host !== undefined && this.#plane !== undefined) this.#snapshot = undefined;
  }

  async #bringUpAgain(ofPeers: readonly ConnectionFile[]): Promise<void> {
    if (this.#isStopped) return;
    try {
      await this.#bringUp();
    } catch (error) {
      if (this.#isStopped) return;
      this.emit({ kind: 'failure', text: errorText(error) });
      return;
    }
    await this.#addOfPeers(ofPeers);
  }

  async #addOfPeers(files: readonly ConnectionFile[]): Promise<void> {
    for (const file of files) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await this.add(file, 'peer');
      } catch (error) {
        this.trouble(errorText(error));
      }
    }
  }

  emit(event: EventBody): void {
    this.events.emit(event);
  }

  /** Into the log what the configuration says in vain; what stood there at the last reading too was told. */
  warnOf(warnings: readonly ConfigIssue[]): void {
    const texts = warnings.map(formatConfigIssue);
    for (const text of texts) if (!this.#warned.has(text)) this.logger.warn({}, text);
    this.#warned = new Set(texts);
  }

  trouble(text: string): void {
    this.emit({ kind: 'trouble', text });
  }

  print(text: string): void {
    this.#options.print?.(text);
  }

  /**
   * Reads links and makes routes anew, soon and once for all who ask. Peers can be the reason, as often as they like, and
   * with many connections it takes long: so there is a rest after it.
   */
  refreshHost(): void {
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    const refresh = (): void => {
      const beganMs = monotonicMs();
      this.#isRefreshing = false;
      try {
        this.#refreshNow();
      } finally {
        const nowMs = monotonicMs();
        this.#refreshAtMs = nowMs + Math.min(REFRESH_REST_MAX_MS, (nowMs - beganMs) * REFRESH_REST);
      }
    };
    const restMs = this.#refreshAtMs - monotonicMs();
    if (restMs > 0) setTimeout(refresh, restMs).unref();
    else setImmediate(refresh);
  }

  /** Whether one more creation that a peer asks for may be looked at now. */
  mayCreate(): boolean {
    return this.#creations.take(monotonicUs());
  }

  /** For who has just changed a link. */
  readLinks(): void {
    this.host.readNow();
    this.#refreshNow();
  }

  /** What addresses a link has, before it is switched off. */
  rememberAddresses(link: string): void {
    const addresses = this.host.readNow().link(link)?.addresses ?? [];
    if (addresses.length > 0) this.#switchedOff.set(link, addresses);
    const [oldest] = this.#switchedOff.keys();
    if (this.#switchedOff.size > SWITCHED_OFF_MAX && oldest !== undefined) this.#switchedOff.delete(oldest);
  }

  takeAddresses(link: string): readonly InterfaceAddress[] {
    const addresses = this.#switchedOff.get(link) ?? [];
    this.#switchedOff.delete(link);
    return addresses;
  }

  #refreshNow(): void {
    if (!this.#isStopped) this.#host?.refresh(this.#connections);
  }

  /** Something may be due earlier than was thought. */
  schedule(): void {
    if (this.#isScheduling || this.#isStopped) return;
    this.#isScheduling = true;
    setImmediate(() => {
      this.#isScheduling = false;
      this.#setTimer();
    });
  }

  #setTimer(): void {
    if (this.#isStopped || this.#plane === undefined) return;
    const nowMs = monotonicMs();
    let nextMs = Math.min(nowMs + HOUSEKEEPING_MS, this.#port?.nextMs ?? Infinity);
    for (const connection of this.#connections) nextMs = Math.min(nextMs, connection.nextMs);
    nextMs = Math.max(nextMs, nowMs);
    if (this.#timer !== undefined && this.#timerAtMs <= nextMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = nextMs;
    this.#timer = setTimeout(() => this.#tick(), Math.max(1, Math.ceil(nextMs - nowMs)));
  }

  #tick(): void {
    const nowMs = monotonicMs();
    const lateMs = nowMs - this.#timerAtMs;
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
    // Once: where it is always late, nothing would be sent any more.
    this.#wasLate = lateMs > STALL_MS && !this.#wasLate;
    if (this.#wasLate) {
      // This process stood still. What came in meanwhile is taken note of first, or paths would look dead.
      setImmediate(() => this.#setTimer());
      return;
    }
    this.#port?.handleTime(nowMs);
    // A connection that leaves in between is ticked once more, which does nothing.
    for (const connection of this.#connections.slice())
      if (connection.nextMs <= nowMs) connection.tick(nowMs);
    this.#publicAddresses.tick(this.#connections, nowMs);
    this.#setTimer();
  }

  /** Ends everything and removes exactly what was made. May be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#isStopped = true;
    // A restart that is under way would make everything anew behind our back.
    await this.#last;
    await this.#takeDown();
    this.events.clear();
  }

  /** Who asked for a restart over the command port waits there for the answer. */
  async #takeDown(keepsPort = false): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
    this.#publicAddresses.stop();
    if (!keepsPort) {
      this.#port?.close();
      this.#port = undefined;
    }
    await this.#plane?.stop();
    this.#plane = undefined;
    for (const connection of this.#connections.slice()) {
      this.#leave(connection);
      await connection.pause();
      connection.closeSockets();
    }
    this.#host?.close();
    this.#host = undefined;
  }

  #surroundings(): ConnectionSurroundings {
    return {
      plane: this.plane,
      port: () => this.port,
      logger: this.logger,
      emit: (event) => this.emit(event),
      print: (text) => this.print(text),
      onHostChange: () => this.refreshHost(),
      onDeadline: () => this.schedule(),
    };
  }

  #hostsOf(config: ConnectionConfig) {
    return config.paths.map((path) => this.host.pathHost(path, path.remoteAddress));
  }

  #freeId(): number {
    for (let id = 0; id < CONNECTIONS_MAX; id++) if (!this.#byId.has(id)) return id;
    throw new WeftError(`there is no room for one more connection: ${CONNECTIONS_MAX} are there`, {
      code: 'TUNNEL_FULL',
      hint: 'delete those that are not used',
    });
  }

  #enter(connection: LiveConnection): void {
    const after = this.#connections.findIndex((other) => other.order > connection.order);
    this.#connections.splice(after < 0 ? this.#connections.length : after, 0, connection);
    this.#byPair.set(pairOf(connection.config), connection);
    this.#byId.set(connection.id, connection);
  }

  #leave(connection: LiveConnection): void {
    const at = this.#connections.indexOf(connection);
    if (at >= 0) this.#connections.splice(at, 1);
    const pair = pairOf(connection.config);
    if (this.#byPair.get(pair) === connection) this.#byPair.delete(pair);
    if (this.#byId.get(connection.id) === connection) this.#byId.delete(connection.id);
  }

  #announce(connection: LiveConnection, action: 'added' | 'changed' | 'removed'): void {
    const { config, file, name, origin } = connection;
    this.logger.info({ file, name }, `connection ${action}`);
    this.emit({ kind: 'connection', file, name, action, origin });
    if (action === 'removed') return;
    for (const link of connection.links) {
      const lack = describeLack(link);
      if (lack !== undefined) this.logger.warn({ file, name }, lack);
    }
    const weights = config.paths.map((path) => path.weightOut);
    if (weights.length > 0) this.print(formatSendingVector(buildSendingVector(weights), weights));
  }
}

function present<T>(part: T | undefined): T {
  if (part === undefined) throw new WeftError('the tunnel is not running', { code: 'TUNNEL_STOPPED' });
  return part;
}

function stopped(): WeftError {
  return new WeftError('the tunnel is stopped', { code: 'TUNNEL_STOPPED' });
}

function inFile(file: string, error: unknown): WeftError {
  const code = error instanceof WeftError ? error.code : 'TUNNEL_CONNECTION';
  return new WeftError(`connections/${file}: ${errorText(error)}`, { code, cause: error });
}
