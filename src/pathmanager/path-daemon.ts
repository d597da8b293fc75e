/**
 * The path-management daemon: puts together the kernel's MPTCP events, the network monitor and the plugins.
 *
 * Invariants: nothing that happens after `start` ends it but `stop`; what the kernel dropped is found again; what it
 * made is gone after `stop`, unless it is to be kept.
 */
import { errorText, WeftError, type Logger } from '../base/index.ts';
import {
  PathManager,
  readSysctl,
  watchMptcpEvents,
  type MptcpEvent,
  type MptcpEventHandlers,
} from '../mptcp/index.ts';
import { EPERM, SystemError } from '../native/index.ts';
import { DEFAULT_CALLBACK_BUDGET_MS, type PathDaemonOptions } from './daemon-options.ts';
import type { DaemonEvent, DaemonEventListener, DaemonNews, DaemonStatus } from './daemon-status.ts';
import { callbackArgument, callbackOf } from './plugin-host/event-decode.ts';
import { PluginHost } from './plugin-host/plugin-host.ts';
import { findPluginSources } from './plugin-host/plugin-sources.ts';
import { StartError } from './start-error.ts';

const NOTHING_FOUND = {
  connectionsOpened: 0,
  connectionsClosed: 0,
  connectionsEstablished: 0,
  subflowsOpened: 0,
  subflowsClosed: 0,
};

interface Running {
  readonly pathManager: PathManager;
  readonly host: PluginHost;
  readonly events: { close(): void } | undefined;
}

export class PathDaemon {
  #options: PathDaemonOptions;
  readonly #logger: Logger;
  /** BOUNDED: those who watch; each takes itself out. */
  readonly #listeners = new Set<DaemonEventListener>();
  #running: Running | undefined;
  #startedAtMs = 0;
  #mptcpEvents = 0;
  #mptcpOverruns = 0;

  constructor(options: PathDaemonOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  /**
   * Resolves when the plugins have begun and are told of everything.
   * @throws StartError when the kernel has no MPTCP or it is off, the plugin folder is refused, or no plugin is there
   */
  async start(): Promise<void> {
    this.#requireMptcp();
    const options = this.#options;
    const pathManager = this.#openPathManager();
    let host: PluginHost | undefined;
    try {
      host = new PluginHost({
        logger: this.#logger,
        ...(options.netns === undefined ? {} : { netns: options.netns }),
        pathManager,
        ...(options.pathManager === undefined ? {} : { preferred: options.pathManager }),
        budgetMs: options.callbackBudgetMs ?? DEFAULT_CALLBACK_BUDGET_MS,
        addressFlags: options.addressFlags,
        pluginSettings: options.pluginSettings,
        interfaces: () => [],
        owner: () => undefined,
        onEndpoints: () => {},
        onNews: (news) => this.#tell(news),
      });
      await this.#beginPlugins(host);
      const events = this.#openEvents();
      this.#running = { pathManager, host, events };
      this.#startedAtMs = Date.now();
      host.dispatcher.tellAll('ready', undefined);
    } catch (error) {
      await host?.stop(false);
      pathManager.close();
      throw error;
    }
  }

  #requireMptcp(): void {
    const { netns } = this.#options;
    let enabled: boolean;
    try {
      enabled = readSysctl('enabled', netns === undefined ? {} : { netns });
    } catch (error) {
      throw new StartError('NO_MPTCP', ['Required kernel MPTCP support not available.'], error);
    }
    if (enabled) return;
    throw new StartError('MPTCP_DISABLED', [
      'MPTCP is not enabled in the kernel.',
      "Try 'sysctl -w net.mptcp.enabled=1'.",
      'Required kernel MPTCP support not available.',
    ]);
  }

  #openPathManager(): PathManager {
    const { netns } = this.#options;
    try {
      return PathManager.open(netns === undefined ? {} : { netns });
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== 'NO_MPTCP') throw error;
      throw new StartError('NO_MPTCP', ['Required kernel MPTCP support not available.'], error);
    }
  }

  async #beginPlugins(host: PluginHost): Promise<void> {
    const count = await host.load(
      findPluginSources({
        ...this.#options,
        ...(this.#options.pathManager === undefined ? {} : { chosen: this.#options.pathManager }),
      }),
    );
    if (count === 0) throw new StartError('NO_PLUGIN', ['Unable to load path manager plugins.']);
    await host.init();
    if (!host.hasPlugins) throw new StartError('NO_PLUGIN', ['Unable to load path manager plugins.']);
  }

  /** `undefined` when this process may not hear them; it stays all the same, as mptcpd does. */
  #openEvents(): { close(): void } | undefined {
    const { netns } = this.#options;
    const handlers: MptcpEventHandlers = {
      onEvent: (event) => this.#handleEvent(event),
      onOverrun: () => this.#handleOverrun(),
    };
    try {
      return watchMptcpEvents(handlers, netns === undefined ? {} : { netns });
    } catch (error) {
      if (!(error instanceof SystemError) || error.errno !== EPERM) throw error;
      this.#logger.error(
        { code: error.code },
        'mptcp_events: Operation not permitted; plugins are told nothing of connections — run with CAP_NET_ADMIN',
      );
      return undefined;
    }
  }

  #handleEvent(event: MptcpEvent): void {
    this.#mptcpEvents++;
    const news = this.#running?.host.dispatcher.handleEvent(event) ?? false;
    if (news && this.#listeners.size > 0) this.#tellOfEvent(event, false);
  }

  #tellOfEvent(event: MptcpEvent, adopted: boolean): void {
    const name = callbackOf(event.type);
    if (name === undefined) return;
    this.#tell({ kind: 'mptcp', event: name, data: callbackArgument(event, name, adopted) });
  }

  #handleOverrun(): void {
    this.#mptcpOverruns++;
    this.#tell({ kind: 'overrun', socket: 'mptcp' });
  }

  #tell(news: DaemonNews): void {
    if (this.#listeners.size === 0) return;
    const event = { time: Date.now(), ...news } as DaemonEvent;
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#logger.error({ error: errorText(error) }, 'a watcher of the daemon failed');
      }
    }
  }

  /** Tells what happens from now on. @returns ends it */
  watch(listener: DaemonEventListener): () => void {
    const own: DaemonEventListener = (event) => listener(event);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  status(): DaemonStatus {
    const running = this.#running;
    const dispatcher = running?.host.dispatcher;
    const defaultPlugin = dispatcher?.defaultTarget?.name;
    return {
      startedAtMs: this.#startedAtMs,
      listening: running?.events !== undefined,
      plugins: running?.host.status() ?? [],
      ...(defaultPlugin === undefined ? {} : { defaultPlugin }),
      interfaces: [],
      endpoints: running?.pathManager.endpoints() ?? [],
      ownEndpointIds: [],
      ...(running === undefined ? {} : { limits: running.pathManager.limits() }),
      connections: dispatcher?.connections.size ?? 0,
      recovered: NOTHING_FOUND,
      adopted: NOTHING_FOUND,
      counters: {
        mptcpEvents: this.#mptcpEvents,
        dispatched: dispatcher?.counters.dispatched ?? 0,
        unmatched: dispatcher?.counters.unmatched ?? 0,
        mptcpOverruns: this.#mptcpOverruns,
        networkOverruns: 0,
        resynchronisations: 0,
      },
    };
  }

  /** Takes what can be changed without a restart: the default plugin, flags, notification, rules, settings. */
  async reload(options: PathDaemonOptions): Promise<void> {
    this.#options = options;
    this.#running?.host.dispatcher.prefer(options.pathManager);
  }

  /** Makes an interface's subflows backup or normal, those of live connections too. */
  async setInterface(name: string, _change: { readonly backup: boolean }): Promise<void> {
    throw new WeftError(`there is no interface "${name}" that is up`, { code: 'NO_INTERFACE' });
  }

  /** Ends the plugins and gives back what it made. May be called again. */
  async stop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    running.events?.close();
    await running.host.stop(this.#options.keepEndpoints);
    running.pathManager.close();
  }
}
