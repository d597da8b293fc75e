/**
 * A tunnel as it runs: the engine with its configuration folder, its record, its claim to be the only one, its control
 * socket and the service manager's questions. The programs around it (mptsrv, `weft tunnel serve`) speak to people.
 *
 * Invariants: `start` leaves all of it running or nothing; `stop` takes back what the engine made before it gives up
 * the claim; a tunnel without a runtime folder works, and what it leaves when it is killed stays.
 */
import { errorText, type Logger } from '../../base/index.ts';
import {
  TunnelEngine,
  type ClientCommand,
  type CommandAnswer,
  type TunnelConfig,
  type TunnelEvent,
  type TunnelPathChange,
} from '../../tunnel/index.ts';
import { removeAbandoned } from '../abandoned.ts';
import { ControlServer } from '../control-server.ts';
import { daemonUser } from '../daemon/daemon-folder.ts';
import type { ServiceManager } from '../daemon/notify.ts';
import { networkNamespaceInode, prepareRuntimeFolder } from '../runtime-folder.ts';
import type { ConfigurationFolder } from './configuration-folder.ts';
import { TUNNEL_API_VERSION, tunnelFace, type TunnelControlApi, type TunnelReport } from './control-api.ts';
import { openTunnelJournal } from './tunnel-journal.ts';
import { RuntimeClaim } from './runtime-claim.ts';

export interface TunnelServiceOptions {
  /** The package's. */
  readonly version: string;
  readonly folder: ConfigurationFolder;
  /** As read from it. */
  readonly config: TunnelConfig;
  readonly logger: Logger;
  readonly manager: ServiceManager;
  /** Takes what the original prints while it works. */
  readonly print?: (text: string) => void;
}

/** Between what happens and telling the service manager. */
const TELL_AFTER_MS = 500;

export class TunnelService implements TunnelControlApi {
  readonly #options: TunnelServiceOptions;
  readonly #logger: Logger;
  readonly #startedAtMs = performance.now();
  #claim: RuntimeClaim | undefined;
  #engine: TunnelEngine | undefined;
  #control: ControlServer | undefined;
  #unwatch: (() => void) | undefined;
  #telling: NodeJS.Timeout | undefined;
  /** The reload that has not begun yet, which sees whatever was changed before. */
  #nextReload: Promise<void> | undefined;
  #lastReload: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  #fail: (text: string) => void = () => {};
  /** Resolves with the reason when the tunnel cannot go on. */
  readonly failure: Promise<string>;

  private constructor(options: TunnelServiceOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.failure = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  /**
   * @throws WeftError `ALREADY_RUNNING`, and the engine's: SystemError, `TUNNEL_PORT_IN_USE` …; nothing is left then
   */
  static async start(options: TunnelServiceOptions): Promise<TunnelService> {
    const service = new TunnelService(options);
    try {
      await service.#start();
    } catch (error) {
      await service.#release();
      throw error;
    }
    options.manager.ready(service.#summary());
    return service;
  }

  #runtimeFolder(): string | undefined {
    try {
      return prepareRuntimeFolder(daemonUser());
    } catch (error) {
      this.#logger.warn({}, `what this tunnel makes stays if it is killed: ${errorText(error)}`);
      return undefined;
    }
  }

  async #start(): Promise<void> {
    const { config, folder, print } = this.#options;
    const runtimeFolder = this.#runtimeFolder();
    if (runtimeFolder !== undefined) {
      this.#claim = RuntimeClaim.take(runtimeFolder, folder.path, config.interface.name);
      this.#clearAway(runtimeFolder);
    }
    const journal = openTunnelJournal(this.#claim?.recordPath, this.#logger);
    this.#engine = await TunnelEngine.start({
      config,
      files: folder,
      logger: this.#logger,
      journal,
      ...(print !== undefined && { print }),
    });
    this.#unwatch = this.#engine.watch((event) => this.#handleEvent(event));
    if (runtimeFolder !== undefined) await this.#listen(runtimeFolder, this.#engine);
  }

  #clearAway(runtimeFolder: string): void {
    try {
      removeAbandoned(runtimeFolder, networkNamespaceInode());
    } catch (error) {
      this.#logger.debug({}, `what killed processes left in "${runtimeFolder}" stays: ${errorText(error)}`);
    }
  }

  async #listen(runtimeFolder: string, engine: TunnelEngine): Promise<void> {
    try {
      this.#control = await ControlServer.listen<TunnelControlApi>({
        face: tunnelFace(this.#options.config.interface.name),
        api: this,
        source: {
          watch: (listener) => engine.watch(({ atMs, ...event }) => listener({ time: atMs, ...event })),
        },
        folder: runtimeFolder,
        netnsInode: networkNamespaceInode(),
        logger: this.#logger,
      });
    } catch (error) {
      this.#logger.warn({}, `"weft tunnel status" will not find this tunnel: ${errorText(error)}`);
    }
  }

  #handleEvent(event: TunnelEvent): void {
    if (event.kind === 'failure') this.#fail(event.text);
    else if (event.kind === 'path-status' || event.kind === 'connection') this.#tellManagerSoon();
  }

  /** Once for all that happens meanwhile: a summary looks at every path. */
  #tellManagerSoon(): void {
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.#options.manager.status(this.#summary());
    }, TELL_AFTER_MS);
  }

  /** One line for people. */
  #summary(): string {
    const status = this.#engine?.status();
    if (status === undefined) return 'starting';
    const paths = status.connections.flatMap((connection) => connection.paths);
    const usable = paths.filter((path) => path.isUsable).length;
    const count = status.connections.length;
    const connections = count === 1 ? '1 connection' : `${count} connections`;
    return `${status.tunnel.interfaceName}: ${connections}, ${usable} of ${paths.length} paths usable`;
  }

  get #running(): TunnelEngine {
    if (this.#engine === undefined)
      throw new Error('a tunnel service is only given out when its engine runs');
    return this.#engine;
  }

  status(): Promise<TunnelReport> {
    const { folder, version } = this.#options;
    return Promise.resolve({
      apiVersion: TUNNEL_API_VERSION,
      version,
      pid: process.pid,
      upForMs: Math.round(performance.now() - this.#startedAtMs),
      folder: folder.path,
      ...this.#running.status(),
    });
  }

  setPath(change: TunnelPathChange): Promise<TunnelReport> {
    this.#running.setPath(change);
    return this.status();
  }

  get commandPort(): number {
    return this.#running.commandPort;
  }

  /** From `Tunnel information:` on, as the original prints it. */
  report(): string {
    return this.#running.report();
  }

  execute(command: ClientCommand): Promise<CommandAnswer> {
    return this.#running.execute(command);
  }

  watch(listener: (event: TunnelEvent) => void): () => void {
    return this.#running.watch(listener);
  }

  /** Reads the whole folder again. Never rejects; the log has what was wrong. BOUNDED: one waits behind the one that runs. */
  reload(): Promise<void> {
    this.#nextReload ??= this.#lastReload.then(() => {
      this.#nextReload = undefined;
      this.#lastReload = this.#reload();
      return this.#lastReload;
    });
    return this.#nextReload;
  }

  async #reload(): Promise<void> {
    if (this.#stopped !== undefined) return;
    const { manager } = this.#options;
    manager.reloading();
    try {
      const { ok, text } = await this.execute({ kind: 'reload' });
      if (!ok) this.#logger.error({}, `the configuration stays as it was: ${text}`);
    } catch (error) {
      this.#logger.error({}, `the configuration stays as it was: ${errorText(error)}`);
    }
    manager.ready(this.#summary());
  }

  /** May be called again. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#options.manager.stopping();
    await this.#release();
  }

  async #release(): Promise<void> {
    this.#unwatch?.();
    clearTimeout(this.#telling);
    try {
      await this.#engine?.stop();
    } finally {
      await this.#control?.close();
      this.#claim?.release();
    }
  }
}
