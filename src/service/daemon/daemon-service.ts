/**
 * The program mptcpd as it runs: PathDaemon with the options of command line and file, its record, its log, its control
 * socket and the service manager's questions.
 *
 * Invariants: `start` leaves all of it running or nothing; a reload that finds a mistake changes nothing; what was
 * made in the kernel is given back by `stop`, before the lock that says that it is ours.
 */
import { errorText, WeftError, type Logger } from '../../base/index.ts';
import {
  OWNS_NOTHING,
  PathDaemon,
  SHIPPED_PLUGINS,
  type OwnershipJournal,
  type PathDaemonOptions,
} from '../../pathmanager/index.ts';
import { removeAbandoned } from '../abandoned.ts';
import { Observation } from '../observe/service.ts';
import { networkNamespaceInode } from '../runtime-folder.ts';
import { namespaceIdentity } from '../namespace-identity.ts';
import { StateJournal } from '../state.ts';
import { DaemonControl } from './control-listen.ts';
import { daemonHostControl } from './daemon-host-control.ts';
import { DAEMON_JOURNAL, prepareDaemonFolder } from './daemon-folder.ts';
import type { DaemonLog } from './daemon-log.ts';
import { ConfigError, loadOptions, type ConfigPath } from './load-options.ts';
import type { ServiceManager } from './notify.ts';
import { addressFlagBits, meant } from './option-values.ts';
import { describeChanges, type CommandLineOptions, type DaemonOptions } from './options.ts';

export interface DaemonServiceOptions {
  /** The package's. */
  readonly version: string;
  readonly config: ConfigPath;
  readonly commandLine: CommandLineOptions;
  /** The first reading. */
  readonly options: DaemonOptions;
  readonly log: DaemonLog;
  readonly manager: ServiceManager;
}

/** What PathDaemon is told, from what the user says. Pure. */
export function pathDaemonOptions(
  options: DaemonOptions,
  { journal, logger }: { readonly journal: OwnershipJournal; readonly logger: Logger },
): PathDaemonOptions {
  const { loadPlugins, notifyFlags, pathManager, pluginDirectory } = options;
  return {
    logger,
    journal,
    ...(pluginDirectory === undefined ? {} : { pluginDirectory }),
    ...(pathManager === undefined ? {} : { pathManager }),
    ...(loadPlugins === undefined ? {} : { loadPlugins }),
    addressFlags: addressFlagBits(options.addressFlags),
    notify: {
      existing: notifyFlags.includes('existing'),
      skipLinkLocal: notifyFlags.includes('skip_link_local'),
      skipLoopback: notifyFlags.includes('skip_loopback'),
      checkRoute: notifyFlags.includes('check_route'),
    },
    rules: options.rules,
    pluginSettings: options.pluginSettings,
    callbackBudgetMs: options.callbackBudgetMs,
    keepEndpoints: options.atExit === 'keep',
  };
}

/** For a daemon that has no folder: it works, and a crash of it is not cleaned up after. */
const FORGETFUL: OwnershipJournal = { load: () => OWNS_NOTHING, save: () => {} };

export class DaemonService {
  readonly #given: DaemonServiceOptions;
  readonly #log: DaemonLog;
  readonly #manager: ServiceManager;
  #options: DaemonOptions;
  #journal: StateJournal | undefined;
  #daemon: PathDaemon | undefined;
  #observation: Observation | undefined;
  #control: DaemonControl | undefined;
  #starting: Promise<void> = Promise.resolve();
  /** One reload after the other. */
  #reloading: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(given: DaemonServiceOptions) {
    this.#given = given;
    this.#log = given.log;
    this.#manager = given.manager;
    this.#options = given.options;
  }

  /**
   * @throws StartError; WeftError `ALREADY_RUNNING`; nothing is left then
   */
  start(): Promise<void> {
    this.#starting = this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    try {
      const folder = this.#openFolder();
      const daemon = new PathDaemon(this.#pathDaemonOptions());
      this.#daemon = daemon;
      await daemon.start();
      this.#observation = this.#observe(daemon);
      if (folder !== undefined) await this.#listen(daemon, folder, this.#observation);
    } catch (error) {
      await this.#release();
      throw error;
    }
    if (this.#stopped !== undefined) return;
    this.#warnOfUnknownPlugins();
    const summary = this.#summary();
    this.#log.info({}, `mptcpd is ready: ${summary}`);
    this.#manager.ready(summary);
    this.#observation?.start();
  }

  /** What is seen of the host, for the page, the metrics and the control socket; after a start. */
  get observation(): Observation | undefined {
    return this.#observation;
  }

  #observe(daemon: PathDaemon): Observation {
    const { version } = this.#given;
    return new Observation({
      logger: this.#log,
      control: daemonHostControl(daemon),
      sources: async () => (await import('../observe/daemon-sources.ts')).daemonSources(daemon, version),
      metrics: { daemon: () => daemon.status() },
    });
  }

  #prepareFolder(): string | undefined {
    try {
      return prepareDaemonFolder();
    } catch (error) {
      this.#warnOfForgetting(error);
      return undefined;
    }
  }

  #warnOfForgetting(error: unknown): void {
    const why = errorText(error);
    this.#log.warn({}, `what this daemon makes stays if it is killed, because nothing remembers it: ${why}`);
  }

  /** Opens the record, which says that this daemon is the only one. @returns where it is, if anywhere */
  #openFolder(): string | undefined {
    const folder = this.#prepareFolder();
    if (folder === undefined) return undefined;
    try {
      this.#journal = StateJournal.open(folder, namespaceIdentity(), this.#log, DAEMON_JOURNAL);
    } catch (error) {
      if (error instanceof WeftError && error.code === 'ALREADY_RUNNING') throw error;
      this.#warnOfForgetting(error);
      return undefined;
    }
    try {
      removeAbandoned(folder, networkNamespaceInode());
    } catch (error) {
      this.#log.debug({}, `what killed processes left in "${folder}" stays: ${errorText(error)}`);
    }
    return folder;
  }

  async #listen(daemon: PathDaemon, folder: string, observation: Observation): Promise<void> {
    const { version } = this.#given;
    const netnsInode = networkNamespaceInode();
    const logger = this.#log;
    try {
      this.#control = await DaemonControl.listen({
        daemon,
        observation,
        folder,
        netnsInode,
        version,
        logger,
      });
    } catch (error) {
      this.#log.warn({}, `"weft daemon status" will not find this daemon: ${errorText(error)}`);
    }
  }

  #pathDaemonOptions(): PathDaemonOptions {
    return pathDaemonOptions(this.#options, { journal: this.#journal ?? FORGETFUL, logger: this.#log });
  }

  /** Settings for a plugin that is not loaded may be kept for later; those for one that nobody knows are a mistake. */
  #warnOfUnknownPlugins(): void {
    if (this.#options.pluginSettings.size === 0) return;
    const loaded = this.#daemon?.status().plugins.map(({ name }) => name) ?? [];
    const known = [...new Set([...loaded, ...SHIPPED_PLUGINS.keys()])];
    for (const name of this.#options.pluginSettings.keys()) {
      if (known.includes(name)) continue;
      this.#log.warn({}, `[plugin ${name}]: no plugin of this name is loaded${meant(name, known)}`);
    }
  }

  /** One line for people: who manages, with what. */
  #summary(): string {
    const { defaultPlugin, plugins = [] } = this.#daemon?.status() ?? {};
    const running = plugins.filter(({ state }) => state === 'running').map(({ name }) => name);
    return `plugins ${running.join(', ') || 'none'}; connections go to ${defaultPlugin ?? 'none'}`;
  }

  /** Reads the configuration again and says what came of it. Never rejects. */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reload());
    return this.#reloading;
  }

  async #reload(): Promise<void> {
    if (this.#stopped !== undefined) return;
    this.#manager.reloading();
    try {
      await this.#apply(loadOptions(this.#given.config, this.#given.commandLine));
    } catch (error) {
      const lines = error instanceof ConfigError ? error.lines : [errorText(error)];
      for (const line of lines) this.#log.error({}, line);
      this.#log.error({}, 'the configuration stays as it was');
    }
    this.#manager.ready(this.#summary());
  }

  async #apply(options: DaemonOptions): Promise<void> {
    const { atRestart, now } = describeChanges(this.#options, options);
    const before = this.#options;
    this.#options = options;
    try {
      await this.#daemon?.reload(this.#pathDaemonOptions());
    } catch (error) {
      this.#options = before;
      throw error;
    }
    this.#warnOfUnknownPlugins();
    this.#log.redirect(options.log);
    for (const line of now) this.#log.info({}, `configuration: ${line}`);
    for (const line of atRestart) this.#log.warn({}, `configuration: ${line}, from the next start on`);
    if (now.length + atRestart.length === 0) this.#log.info({}, 'configuration: nothing changed');
  }

  /** Ends the plugins and takes back what was made, once what is under way has ended. May be called again. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#manager.stopping();
    // A start that failed has told so, and released everything.
    await this.#starting.catch(() => {});
    await this.#reloading;
    await this.#release();
  }

  async #release(): Promise<void> {
    try {
      // It may be looking at the daemon.
      await this.#observation?.stop();
      await this.#daemon?.stop();
    } finally {
      // After the daemon, so that those who follow its events see what it takes back.
      await this.#control?.close();
      this.#journal?.close();
    }
  }
}
