/**
 * What runs: host side, data plane, command port, and the live connections (connection-set.ts), with the one timer that
 * drives them (engine-timer.ts); how it is brought up, taken down, and made anew. The commands (commands.ts, creation.ts,
 * reload.ts) work on it; the public face is engine.ts.
 *
 * Invariants: changes of the set of connections run one after another (`serially`); whatever fails in `start` is taken
 * back.
 */
import { errorText, WeftError, type Logger } from '../../base/index.ts';
import { monotonicMs, monotonicUs } from '../../native/index.ts';
import type { InterfaceAddress } from '../../netlink/index.ts';
import { formatConfigIssue, type ConfigIssue } from '../config/issue.ts';
import { COMMAND_PORTS, type ConnectionFile, type TunnelConfig } from '../config/model.ts';
import { DataPlane } from '../data/data-plane.ts';
import { TokenBucket } from '../data/token-bucket.ts';
import { CommandPort } from './command-port.ts';
import { ConnectionSet } from './connection-set.ts';
import { snapshotEngine, type EngineSnapshot } from './engine-report.ts';
import { EngineTimer } from './engine-timer.ts';
import { EventHub } from './event-hub.ts';
import { HostRefresh } from './host-refresh.ts';
import { HostSide } from './host-side.ts';
import { executeRequest, resolveMessage, type Target } from './peer-requests.ts';
import { PublicAddresses } from './public-addresses.ts';
import type { EventBody } from './surroundings.ts';
import type { ClientCommand } from '../client/command.ts';
import type { CommandAnswer, TunnelEngineOptions, TunnelFiles } from './types.ts';

/** BOUNDED: creations that peers may ask for, a second and at once. Each reads links and routes. */
const CREATIONS_PER_SECOND = 10;
const CREATIONS_BURST = 256;
const SWITCHED_OFF_MAX = 64;
const KEEP_PORT = true;

export interface CoreOptions extends TunnelEngineOptions {
  readonly executeCommand: (core: TunnelCore, command: ClientCommand) => Promise<CommandAnswer>;
}

export class TunnelCore {
  readonly logger: Logger;
  readonly files: TunnelFiles;
  readonly startedMs = monotonicMs();
  readonly #options: CoreOptions;
  config: TunnelConfig;
  #host: HostSide | undefined;
  #plane: DataPlane | undefined;
  #port: CommandPort<Target> | undefined;
  readonly connections: ConnectionSet;
  readonly #timer: EngineTimer;
  readonly #publicAddresses: PublicAddresses;
  readonly events: EventHub;
  /** Addresses of links that a command switched off. BOUNDED: `SWITCHED_OFF_MAX`. */
  readonly #switchedOff = new Map<string, readonly InterfaceAddress[]>();
  /** BOUNDED: by the files. */
  #warned: ReadonlySet<string> = new Set();
  #snapshot: EngineSnapshot | undefined;
  readonly #hostRefresh = new HostRefresh(() => this.#refreshNow());
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
    this.connections = new ConnectionSet({
      shared: {
        port: () => this.port,
        logger: options.logger,
        emit: (event) => this.emit(event),
        print: (text) => this.print(text),
        onHostChange: () => this.refreshHost(),
        onDeadline: () => this.schedule(),
      },
      plane: () => this.plane,
      host: () => this.host,
      refresh: () => this.#refreshNow(),
    });
    this.#timer = new EngineTimer({ nextMs: () => this.#nextMs(), onDue: (nowMs) => this.#tick(nowMs) });
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
      onKeepalive: (arrival) => this.connections.get(arrival.id)?.handleKeepalive(arrival),
      onTooLong: (id, path, bytes) => this.connections.get(id)?.handleTooLong(path, bytes),
      onTrouble: (text) => this.trouble(text),
      onFailure: (error) => this.emit({ kind: 'failure', text: errorText(error) }),
    });
    for (const file of config.connections) {
      // Stopping waits for what is under way.
      if (this.#isStopped) throw stopped();
      await this.connections.add(file, 'file');
    }
    this.#refreshNow();
    this.#timer.tick();
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
    const ofPeers = this.connections.all
      .filter(({ origin }) => origin === 'peer')
      .map(({ asFile }) => asFile);
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
    const ofFiles = this.connections.all.filter(({ origin }) => origin === 'file');
    const sources = new Map(ofFiles.map(({ file, source }) => [file, source]));
    const ofPeers = this.connections.all
      .filter(({ origin }) => origin === 'peer')
      .map(({ asFile }) => asFile);
    this.#snapshot = snapshotEngine(this);
    this.config = { ...this.config, connections: ofFiles.map(({ asFile }) => asFile) };
    try {
      await this.#takeDown(KEEP_PORT);
      await this.#bringUpAgain(ofPeers);
    } finally {
      this.#endSnapshot();
    }
    for (const connection of this.connections.all) {
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
        await this.connections.add(file, 'peer');
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

  /** Reads links and makes routes anew, soon. */
  refreshHost(): void {
    this.#hostRefresh.request();
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
    if (!this.#isStopped) this.#host?.refresh(this.connections.all);
  }

  /** Something may be due earlier than was thought. */
  schedule(): void {
    if (!this.#isStopped) this.#timer.schedule();
  }

  /** Absent while nothing runs. */
  #nextMs(): number | undefined {
    if (this.#isStopped || this.#plane === undefined) return undefined;
    let nextMs = this.#port?.nextMs ?? Infinity;
    for (const connection of this.connections.all) nextMs = Math.min(nextMs, connection.nextMs);
    return nextMs;
  }

  #tick(nowMs: number): void {
    this.#port?.handleTime(nowMs);
    // A connection that leaves in between is ticked once more, which does nothing.
    for (const connection of this.connections.all.slice())
      if (connection.nextMs <= nowMs) connection.tick(nowMs);
    this.#publicAddresses.tick(this.connections.all, nowMs);
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
    this.#timer.stop();
    this.#publicAddresses.stop();
    if (!keepsPort) {
      this.#port?.close();
      this.#port = undefined;
    }
    await this.#plane?.stop();
    this.#plane = undefined;
    await this.connections.endAll();
    this.#host?.close();
    this.#host = undefined;
  }
}

function present<T>(part: T | undefined): T {
  if (part === undefined) throw new WeftError('the tunnel is not running', { code: 'TUNNEL_STOPPED' });
  return part;
}

function stopped(): WeftError {
  return new WeftError('the tunnel is stopped', { code: 'TUNNEL_STOPPED' });
}
