/**
 * The path-management daemon: puts together the kernel's MPTCP events, the network monitor, addr_adv and the plugins.
 *
 * Invariants: nothing that happens after `start` ends it but `stop`; what the kernel dropped is found again; what it
 * made is gone after `stop`, unless it is to be kept.
 */
import { errorText, WeftError, type Logger } from '../base/index.ts';
import { PathManager, readSysctl, type Endpoint, type Limits } from '../mptcp/index.ts';
import { DEFAULT_CALLBACK_BUDGET_MS, type PathDaemonOptions } from './daemon-options.ts';
import { interfaceStatus, pluginInterfaces } from './daemon-interfaces.ts';
import type {
  DaemonEvent,
  DaemonEventListener,
  DaemonNews,
  DaemonStatus,
  NetworkEventName,
} from './daemon-status.ts';
import { EndpointJournal } from './endpoint-journal.ts';
import { EndpointOwner } from './endpoint-owner.ts';
import { setSubflowBackup } from './interface-backup.ts';
import { NetworkMonitor, type NetworkHandlers } from './network/network-monitor.ts';
import type { InterfaceEvent, LocalAddressEvent } from './plugin-api.ts';
import { ConnectionFollower, NOTHING_FOUND } from './plugin-host/connection-follower.ts';
import { PluginHost } from './plugin-host/plugin-host.ts';
import { findPluginSources } from './plugin-host/plugin-sources.ts';
import { AddrAdv } from './plugins/addr-adv.ts';
import { ADDR_ADV } from './shipped-plugins.ts';
import { SocketOwners } from './socket-owners.ts';
import { StartError, unknownPlugin } from './start-error.ts';
import { adviseOnUserspace } from './userspace-advice.ts';

interface Running {
  readonly pathManager: PathManager;
  readonly journal: EndpointJournal;
  readonly owners: SocketOwners;
  readonly monitor: NetworkMonitor;
  readonly host: PluginHost;
  readonly follower: ConnectionFollower;
  addrAdv: AddrAdv | undefined;
}

/** What `setInterface` did. */
export interface InterfaceChange {
  readonly interface: string;
  readonly backup: boolean;
  /** Endpoints of the interface, whose flag tells the connections of the kernel's path manager. */
  readonly endpoints: readonly { readonly address: string; readonly id: number }[];
  /** Subflows of connections under the userspace path manager. */
  readonly subflows: number;
}

const NO_MPTCP = 'Required kernel MPTCP support not available.';

export class PathDaemon {
  #options: PathDaemonOptions;
  readonly #logger: Logger;
  /** BOUNDED: those who watch; each takes itself out. */
  readonly #listeners = new Set<DaemonEventListener>();
  #running: Running | undefined;
  /** The network's news while plugins begin. BOUNDED: the time that they have for it. */
  #held: (() => void)[] | undefined = [];
  #startedAtMs = 0;
  /** The reload under way: one after another. */
  #reloading: Promise<void> = Promise.resolve();

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
    const pathManager = this.#openPathManager();
    let running: Running | undefined;
    try {
      running = this.#compose(pathManager);
      this.#running = running;
      this.#held = [];
      running.monitor.start(this.#networkHandlers());
      await this.#beginPlugins(running.host);
      // Stopped meanwhile, and all is given back.
      if (this.#running !== running) return;
      running.host.dispatcher.tellAll('ready', undefined);
      this.#beginAddrAdv(running);
      adviseOnUserspace(running.host.dispatcher.defaultTarget?.name, this.#logger, this.#socketOptions);
      running.follower.start();
      this.#startedAtMs = Date.now();
      this.#releaseHeld();
    } catch (error) {
      if (running === undefined) pathManager.close();
      else if (this.#running !== running) return;
      else await this.#end(running, false);
      throw error;
    }
  }

  get #socketOptions(): { readonly netns?: string } {
    const { netns } = this.#options;
    return netns === undefined ? {} : { netns };
  }

  #requireMptcp(): void {
    let enabled: boolean;
    try {
      enabled = readSysctl('enabled', this.#socketOptions);
    } catch (error) {
      throw new StartError('NO_MPTCP', [NO_MPTCP], error);
    }
    if (enabled) return;
    throw new StartError('MPTCP_DISABLED', [
      'MPTCP is not enabled in the kernel.',
      "Try 'sysctl -w net.mptcp.enabled=1'.",
      NO_MPTCP,
    ]);
  }

  #openPathManager(): PathManager {
    try {
      return PathManager.open(this.#socketOptions);
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== 'NO_MPTCP') throw error;
      throw new StartError('NO_MPTCP', [NO_MPTCP], error);
    }
  }

  #compose(pathManager: PathManager): Running {
    const { netns, notify, rules, pathManager: preferred, ...options } = this.#options;
    const logger = this.#logger;
    const journal = new EndpointJournal(options.journal);
    const owners = new SocketOwners(this.#socketOptions);
    const monitor = new NetworkMonitor({ ...this.#socketOptions, notify, rules, logger });
    const onNews = (news: DaemonNews) => this.#tell(news);
    const host = new PluginHost({
      logger,
      ...(netns === undefined ? {} : { netns }),
      pathManager,
      ...(preferred === undefined ? {} : { preferred }),
      budgetMs: options.callbackBudgetMs ?? DEFAULT_CALLBACK_BUDGET_MS,
      addressFlags: options.addressFlags,
      pluginSettings: options.pluginSettings,
      interfaces: () => pluginInterfaces(monitor.interfaces()),
      owner: (token) => owners.ownerOf(token),
      adopt: (endpoint) => journal.adopt(endpoint),
      onEndpoints: (endpoints) => journal.savePlugins(endpoints),
      onNews,
    });
    const follower = new ConnectionFollower({
      logger,
      dispatcher: host.dispatcher,
      socket: {
        ...this.#socketOptions,
        ...(options.eventBufferBytes === undefined ? {} : { receiveBufferBytes: options.eventBufferBytes }),
      },
      isWatched: () => this.#listeners.size > 0,
      onNews,
    });
    return { pathManager, journal, owners, monitor, host, follower, addrAdv: undefined };
  }

  async #beginPlugins(host: PluginHost): Promise<void> {
    const { pathManager: chosen } = this.#options;
    const sources = findPluginSources({ ...this.#options, ...(chosen === undefined ? {} : { chosen }) });
    const count = await host.load(sources);
    if (count > 0) await host.init();
    if (!host.hasPlugins) throw new StartError('NO_PLUGIN', ['Unable to load path manager plugins.']);
    if (chosen !== undefined && !host.names.includes(chosen)) {
      throw new StartError('NO_PLUGIN', [unknownPlugin('path-manager', chosen, host.names)]);
    }
  }

  /** Takes over what an earlier process left; without addr_adv, that is removed. */
  #beginAddrAdv(running: Running): void {
    const { journal, pathManager, host } = running;
    const logger = this.#logger;
    if (host.has(ADDR_ADV)) {
      running.addrAdv = new AddrAdv({
        pathManager,
        journal,
        addressFlags: this.#options.addressFlags,
        logger,
        onEndpoint: (action, { address, id, flags }) =>
          this.#tell({ kind: 'endpoint', action, address, id, flags }),
      });
      return;
    }
    const owner = new EndpointOwner(pathManager, journal, logger);
    if (!owner.ownsSomething) return;
    for (const failure of owner.removeAll()) {
      logger.warn({}, `remove what an earlier process left: ${failure}`);
    }
  }

  #networkHandlers(): NetworkHandlers {
    const tell =
      (event: NetworkEventName) =>
      (argument: InterfaceEvent | LocalAddressEvent): void =>
        this.#whenBegun(() => this.#tellNetwork(event, argument));
    return {
      newInterface: tell('newInterface'),
      updateInterface: tell('updateInterface'),
      deleteInterface: tell('deleteInterface'),
      newLocalAddress: tell('newLocalAddress'),
      deleteLocalAddress: tell('deleteLocalAddress'),
      changed: () => {
        if (this.#held === undefined) this.#reconcile();
      },
      overrun: () => {
        this.#tell({ kind: 'overrun', socket: 'network' });
        this.#logger.warn({}, 'the kernel dropped messages about links and addresses; all are read anew');
      },
    };
  }

  #whenBegun(work: () => void): void {
    if (this.#held === undefined) work();
    else this.#held.push(work);
  }

  #releaseHeld(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const work of held) work();
    this.#reconcile();
  }

  #tellNetwork(event: NetworkEventName, argument: InterfaceEvent | LocalAddressEvent): void {
    this.#running?.host.dispatcher.tellAll(event, argument);
    if (this.#listeners.size === 0) return;
    const address = 'address' in argument ? { address: argument.address.address } : {};
    this.#tell({ kind: 'network', event, interface: argument.interface, ...address });
  }

  #reconcile(): void {
    const running = this.#running;
    if (running?.addrAdv === undefined) return;
    try {
      running.addrAdv.reconcile(running.monitor.localAddresses());
    } catch (error) {
      this.#logger.error({ error }, `bring endpoints to the host's addresses: ${errorText(error)}`);
    }
  }

  #tell(news: DaemonNews): void {
    if (this.#listeners.size === 0) return;
    const event = { time: Date.now(), ...news } as DaemonEvent;
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#logger.error({ error }, `a watcher of the daemon failed: ${errorText(error)}`);
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
    const connections = running?.host.dispatcher.connections.size ?? 0;
    const defaultPlugin = running?.host.dispatcher.defaultTarget?.name;
    const kernel = running === undefined ? { endpoints: [] } : this.#kernelStatus(running.pathManager);
    return {
      startedAtMs: this.#startedAtMs,
      listening: running?.follower.listening ?? false,
      plugins: running?.host.status() ?? [],
      ...(defaultPlugin === undefined ? {} : { defaultPlugin }),
      interfaces: interfaceStatus(running?.monitor.interfaces() ?? [], running?.addrAdv?.report?.uses),
      ...kernel,
      ownEndpointIds: [...(running?.addrAdv?.report?.ownIds ?? [])],
      connections,
      recovered: running?.follower.recovered ?? NOTHING_FOUND,
      adopted: running?.follower.adopted ?? NOTHING_FOUND,
      counters: {
        mptcpEvents: running?.follower.events ?? 0,
        dispatched: running?.host.dispatcher.counters.dispatched ?? 0,
        unmatched: running?.host.dispatcher.counters.unmatched ?? 0,
        mptcpOverruns: running?.follower.overruns ?? 0,
        networkOverruns: running?.monitor.counters.overruns ?? 0,
        resynchronisations: running?.follower.resynchronisations ?? 0,
      },
    };
  }

  #kernelStatus(pathManager: PathManager): { endpoints: readonly Endpoint[]; limits?: Limits } {
    try {
      return { endpoints: pathManager.endpoints(), limits: pathManager.limits() };
    } catch (error) {
      this.#logger.warn({ error }, `read endpoints and limits: ${errorText(error)}`);
      return { endpoints: [] };
    }
  }

  /**
   * Takes what can be changed without a restart: the default plugin (for new connections), flags of endpoints,
   * notification, rules, and the settings of plugins, which begin anew with them. The rest stays as it was.
   */
  reload(options: PathDaemonOptions): Promise<void> {
    const reloading = this.#reloading.then(() => this.#reload(options));
    this.#reloading = reloading.catch(() => {});
    return reloading;
  }

  async #reload(options: PathDaemonOptions): Promise<void> {
    const { addressFlags, keepEndpoints, notify, pathManager, pluginSettings, rules } = options;
    const { pathManager: _former, ...rest } = this.#options;
    this.#options = {
      ...rest,
      ...(pathManager === undefined ? {} : { pathManager }),
      addressFlags,
      keepEndpoints,
      notify,
      pluginSettings,
      rules,
    };
    const running = this.#running;
    if (running === undefined) return;
    running.host.dispatcher.prefer(pathManager);
    running.addrAdv?.configure({ addressFlags });
    running.monitor.configure({ notify, rules });
    await running.host.reload(pluginSettings);
  }

  /**
   * Makes an interface's subflows backup or normal, those of live connections too, until the daemon ends.
   * @throws WeftError NO_INTERFACE when none of that name is up
   */
  async setInterface(name: string, { backup }: { readonly backup: boolean }): Promise<InterfaceChange> {
    const running = this.#running;
    const known = running?.monitor.interfaces() ?? [];
    const link = known.find((candidate) => candidate.name === name);
    if (running === undefined || link === undefined) {
      const names = known.map((candidate) => candidate.name).join(', ');
      throw new WeftError(`there is no interface "${name}" that is up`, {
        code: 'NO_INTERFACE',
        hint: names === '' ? 'none is' : `up are: ${names}`,
      });
    }
    const own = new Set(link.addresses.map(({ address }) => address));
    const uses = [...(running.addrAdv?.setInterface(link.index, { backup }).uses.values() ?? [])];
    const { pathManager, host } = running;
    return {
      interface: name,
      backup,
      endpoints: uses.flatMap(({ address, id, state }) =>
        own.has(address) && id !== undefined && state === 'own' ? [{ address, id }] : [],
      ),
      subflows: setSubflowBackup(pathManager, host.dispatcher.connections, own, backup),
    };
  }

  /** Whether addr_adv or a plugin has made the endpoint with this id, and keeps it. */
  ownsEndpoint(id: number): boolean {
    return this.#running?.journal.has(id) ?? false;
  }

  /** Sets limits for a user, who knows better than addr_adv until the daemon ends. @throws NetlinkError */
  setLimits(limits: Partial<Limits>): void {
    const running = this.#running;
    if (running?.addrAdv === undefined) running?.pathManager.setLimits(limits);
    else running.addrAdv.setLimits(limits);
  }

  /** Compares what is wanted with what the kernel has now; for who has changed something beside the daemon. */
  lookNow(): void {
    if (this.#held === undefined) this.#reconcile();
  }

  /** Ends the plugins and gives back what it made. May be called again, and while it starts. */
  async stop(): Promise<void> {
    await this.#reloading;
    const running = this.#running;
    if (running !== undefined) await this.#end(running, this.#options.keepEndpoints);
  }

  async #end(running: Running, keepEndpoints: boolean): Promise<void> {
    this.#running = undefined;
    running.follower.close();
    running.monitor.close();
    await running.host.stop(keepEndpoints);
    for (const failure of running.addrAdv?.stop(keepEndpoints) ?? []) this.#logger.warn({}, failure);
    running.owners.close();
    running.pathManager.close();
  }
}
