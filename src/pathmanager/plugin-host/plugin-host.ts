/**
 * All plugins of one daemon: loads them, orders them by priority, begins and ends them, hands events to the one that
 * each is for, and gives back what an ended one held.
 *
 * Invariant: whatever a plugin does, the others go on, and the host's own methods neither throw nor wait for it
 * longer than the time budget.
 */
import { errorText, type Logger } from '../../base/index.ts';
import type { PathManager } from '../../mptcp/index.ts';
import type { DaemonNews, PluginStatus } from '../daemon-status.ts';
import type { OwnedEndpoint } from '../endpoint-plan.ts';
import type { ConnectionView, Plugin, PluginInterface } from '../plugin-api.ts';
import { pluginCommands, type PluginCommands } from './commands.ts';
import { connectionView } from './connection-table.ts';
import { Dispatcher, type DispatchTarget } from './dispatcher.ts';
import type { SocketOwner } from '../socket-owners.ts';
import type { HostServices } from './host-services.ts';
import { IdRegistry } from './id-registry.ts';
import { ListenerRegistry } from './listener-registry.ts';
import { LocalRunner, type RunnerOptions } from './local-runner.ts';
import { statusOf, unloadable } from './plugin-status.ts';
import type { PluginFile } from './plugin-files.ts';
import { retell } from './retell.ts';
import { WorkerRunner } from './worker-runner.ts';
import { PluginResources } from './plugin-resources.ts';
import type { PluginRunner, PluginTrouble, RunnerHandlers } from './plugin-runner.ts';

export type PluginSource =
  | { readonly kind: 'shipped'; readonly make: () => Plugin }
  | { readonly kind: 'file'; readonly file: PluginFile };

export interface PluginHostOptions {
  readonly logger: Logger;
  readonly netns?: string;
  readonly pathManager: PathManager;
  readonly preferred?: string;
  readonly budgetMs: number;
  readonly addressFlags: number;
  readonly pluginSettings: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly interfaces: () => readonly PluginInterface[];
  readonly owner: (token: number) => SocketOwner | undefined;
  /** An endpoint of a plugin is in the kernel already; gives the one that an earlier process of this daemon left. */
  readonly adopt: (endpoint: OwnedEndpoint) => OwnedEndpoint | undefined;
  /** What plugins own has changed; called before an endpoint is made. */
  readonly onEndpoints: (endpoints: readonly OwnedEndpoint[]) => void;
  readonly onNews: (news: DaemonNews) => void;
}

type ShippedSource = Extract<PluginSource, { kind: 'shipped' }>;
type FileSource = Extract<PluginSource, { kind: 'file' }>;

interface Loaded {
  readonly source: PluginSource;
  readonly runner: PluginRunner;
  readonly resources: PluginResources;
}

/** A plugin that begins while its former self still runs, and which endpoints it has from it. */
interface Successor {
  readonly old: Loaded;
  readonly fresh: Loaded;
  readonly inherited: OwnedEndpoint[];
}

/** A runner is made with handlers that need it. */
interface Holder {
  runner?: PluginRunner;
}

export class PluginHost {
  readonly #options: PluginHostOptions;
  readonly #logger: Logger;
  readonly #listeners: ListenerRegistry;
  readonly #services: HostServices;
  /** In the order of their priority. BOUNDED by what was loaded at the start. */
  #plugins: readonly Loaded[] = [];
  /** By file. BOUNDED by the files of the folder at the start. */
  readonly #unloadable = new Map<string, { readonly name: string; readonly reason: string }>();
  /** While a plugin begins anew. */
  #successor: Successor | undefined;
  #settings: ReadonlyMap<string, Readonly<Record<string, string>>>;
  #stopped = false;
  readonly dispatcher: Dispatcher<DispatchTarget>;

  constructor(options: PluginHostOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#settings = options.pluginSettings;
    this.#listeners = new ListenerRegistry(options.netns);
    const { pathManager } = options;
    this.#services = {
      pathManager,
      ids: new IdRegistry(() => pathManager.endpoints()),
      listeners: this.#listeners,
      interfaces: options.interfaces,
      owner: options.owner,
      adopt: (endpoint, by) => this.#adopt(endpoint, by),
      recordEndpoints: () => this.#record(),
      recordGone: () => {
        try {
          this.#record();
        } catch (error) {
          this.#logger.warn({ error }, `record the endpoints of plugins: ${errorText(error)}`);
        }
      },
      endpointChanged: (action, { address, id, flags }) =>
        options.onNews({ kind: 'endpoint', action, address, id, flags }),
    };
    this.dispatcher = new Dispatcher(options.preferred, (token) => this.#releaseConnection(token));
  }

  #record(): void {
    const plugins = this.#successor === undefined ? this.#plugins : [...this.#plugins, this.#successor.fresh];
    this.#options.onEndpoints(plugins.flatMap((item) => item.resources.endpoints));
  }

  #adopt(endpoint: OwnedEndpoint, by: PluginResources): OwnedEndpoint | undefined {
    const former = this.#successor?.fresh.resources === by ? this.#successor.old.resources : undefined;
    const inherited = former?.endpointLike(endpoint);
    if (inherited === undefined) return this.#options.adopt(endpoint);
    former?.removeEndpoint(inherited.id);
    this.#successor?.inherited.push(inherited);
    return inherited;
  }

  /**
   * Loads plugins, in the order of `sources` where priorities are equal. What cannot be loaded is reported and left
   * out.
   * @returns how many were loaded
   */
  async load(sources: readonly PluginSource[]): Promise<number> {
    const loaded = await Promise.all(sources.map((source) => this.#loadOne(source)));
    this.#plugins = (await this.#withoutDoubles(loaded.filter((item) => item !== undefined))).toSorted(
      (a, b) => a.runner.plugin.priority - b.runner.plugin.priority,
    );
    return this.#plugins.length;
  }

  /** One for each name, the first. */
  async #withoutDoubles(loaded: readonly Loaded[]): Promise<Loaded[]> {
    const byName = new Map<string, Loaded>();
    for (const item of loaded) {
      const { name, origin } = item.runner.plugin;
      if (!byName.has(name)) {
        byName.set(name, item);
        continue;
      }
      this.#report(name, 'load', `another plugin of this name is loaded (${origin})`);
      await item.runner.stop();
    }
    return [...byName.values()];
  }

  async #loadOne(source: PluginSource): Promise<Loaded | undefined> {
    return source.kind === 'shipped' ? this.#loadShipped(source) : this.#loadFile(source);
  }

  #loadShipped(source: ShippedSource): Loaded {
    const plugin = source.make();
    const resources = new PluginResources();
    const holder: Holder = {};
    const runner = new LocalRunner(
      plugin,
      this.#commandsFor(resources, holder),
      this.#runnerOptions(),
      this.#handlersFor(plugin.name, resources, holder),
    );
    holder.runner = runner;
    return { source, runner, resources };
  }

  async #loadFile(source: FileSource): Promise<Loaded | undefined> {
    const { file } = source;
    const resources = new PluginResources();
    const holder: Holder = {};
    try {
      const runner = new WorkerRunner(file, this.#commandsFor(resources, holder), this.#runnerOptions(), {
        ...this.#handlersFor(file.name, resources, holder),
        onCaughtUp: (target, missed) => {
          for (const item of missed) retell(target, item, this.dispatcher.connections.get(item.token));
        },
      });
      holder.runner = runner;
      await runner.load();
      return { source, runner, resources };
    } catch (error) {
      const reason = errorText(error);
      this.#report(file.name, 'load', `${reason} (${file.path})`);
      // At a reload its former self goes on.
      if (this.#plugins.length === 0) this.#unloadable.set(file.path, { name: file.name, reason });
      return undefined;
    }
  }

  #runnerOptions(): RunnerOptions {
    const { budgetMs, addressFlags, logger } = this.#options;
    const settings = this.#settings;
    return { budgetMs, addressFlags, logger, settingsOf: (name) => settings.get(name) ?? {} };
  }

  #commandsFor(resources: PluginResources, holder: Holder): PluginCommands {
    return pluginCommands(this.#services, resources, {
      connections: () => this.#connectionsOf(holder.runner?.targets ?? []),
    });
  }

  #connectionsOf(targets: readonly DispatchTarget[]): ConnectionView[] {
    const views: ConnectionView[] = [];
    for (const [, entry] of this.dispatcher.connections.entries()) {
      if (entry.owner !== undefined && targets.includes(entry.owner)) views.push(connectionView(entry));
    }
    return views;
  }

  #handlersFor(name: string, resources: PluginResources, holder: Holder): RunnerHandlers {
    return {
      onTargets: () => this.#collectTargets(),
      onTrouble: (trouble, message, callback) => this.#report(name, trouble, message, callback),
      onEnded: () => {
        for (const target of holder.runner?.targets ?? []) this.dispatcher.remove(target);
        this.#collectTargets();
        this.#giveBack(resources);
        this.#release(resources, true);
      },
    };
  }

  #collectTargets(): void {
    const running = this.#plugins.filter(
      ({ runner }) => runner.state !== 'ended' && runner.state !== 'failed',
    );
    const targets = running.flatMap(({ runner }) => runner.targets);
    for (const gone of this.dispatcher.targets) {
      if (!targets.includes(gone)) this.dispatcher.remove(gone);
    }
    this.dispatcher.setTargets(targets);
  }

  #report(plugin: string, trouble: PluginTrouble, message: string, callback?: string): void {
    const where = callback === undefined ? trouble : callback;
    this.#logger.error({ plugin, trouble, callback }, `plugin "${plugin}": ${where}: ${message}`);
    this.#options.onNews({
      kind: 'plugin',
      plugin,
      trouble,
      message,
      ...(callback === undefined ? {} : { callback }),
    });
  }

  /** Lets each plugin begin, in order. One that fails or hangs is reported; the next begins all the same. */
  async init(): Promise<void> {
    for (const { runner } of this.#plugins) {
      if (this.#stopped) return;
      await runner.init();
      const { name } = runner.plugin;
      if (runner.state === 'running' && runner.targets.length === 0) {
        this.#logger.warn({ plugin: name }, `plugin "${name}" registered no callbacks`);
      }
    }
    if (this.#stopped) return;
    this.#collectTargets();
    const { preferred } = this.#options;
    if (preferred !== undefined && this.dispatcher.defaultTarget?.name !== preferred) {
      const used = this.dispatcher.defaultTarget?.name;
      const instead = used === undefined ? 'none' : `"${used}"`;
      this.#logger.warn({ preferred }, `there is no path manager plugin "${preferred}"; ${instead} is used`);
    }
  }

  /**
   * Begins those plugins anew that have a section in the configuration, with what it says now. One that does not begin
   * leaves the one that runs where it is.
   */
  async reload(settings: ReadonlyMap<string, Readonly<Record<string, string>>>): Promise<void> {
    const former = this.#settings;
    this.#settings = settings;
    for (const item of this.#plugins) {
      const { name } = item.runner.plugin;
      // The rules of policy are in a file of their own, which may be a new one.
      if (former.has(name) || settings.has(name) || name === 'policy') await this.#replace(item);
    }
  }

  async #replace(old: Loaded): Promise<void> {
    const fresh = await this.#loadOne(old.source);
    if (fresh === undefined) return;
    const successor: Successor = { old, fresh, inherited: [] };
    this.#successor = successor;
    await fresh.runner.init();
    if (fresh.runner.state !== 'running') this.#giveBack(fresh.resources);
    this.#successor = undefined;
    if (fresh.runner.state !== 'running') {
      this.#release(fresh.resources, true);
      await fresh.runner.stop();
      return;
    }
    this.#plugins = this.#plugins.map((item) => (item === old ? fresh : item));
    const { connections } = this.dispatcher;
    const moved: [DispatchTarget, number][] = [];
    for (const from of old.runner.targets) {
      const to = fresh.runner.targets.find((target) => target.name === from.name);
      if (to !== undefined) for (const token of connections.rebind(from, to)) moved.push([to, token]);
    }
    this.#collectTargets();
    await old.runner.stop();
    this.#release(old.resources, true);
    for (const target of fresh.runner.targets) this.#tellNetwork(target);
    for (const [target, token] of moved) {
      const missed = { token, unknown: true, closed: false, subflowEnds: [] };
      retell(target, missed, connections.get(token));
    }
  }

  /** A plugin did not begin anew: what it had from its former self is that one's again. */
  #giveBack(resources: PluginResources): void {
    const { fresh, inherited, old } = this.#successor ?? {};
    if (fresh?.resources !== resources) return;
    for (const endpoint of inherited?.splice(0) ?? []) {
      resources.removeEndpoint(endpoint.id);
      old?.resources.addEndpoint(endpoint);
    }
  }

  #tellNetwork(target: DispatchTarget): void {
    if (target.wants('ready')) target.deliver('ready', undefined);
    for (const of of this.#options.interfaces()) {
      if (target.wants('newInterface')) target.deliver('newInterface', { interface: of });
      if (!target.wants('newLocalAddress')) continue;
      for (const address of of.addresses) target.deliver('newLocalAddress', { interface: of, address });
    }
  }

  /** Whether a plugin of that name runs in this thread. */
  has(name: string): boolean {
    return this.#plugins.some(
      ({ runner, source }) =>
        source.kind === 'shipped' && runner.plugin.name === name && runner.state === 'running',
    );
  }

  /** Of the plugins, and the names that they registered; those that could not be loaded too. */
  get names(): readonly string[] {
    const loaded = this.#plugins.flatMap(({ runner }) => [
      runner.plugin.name,
      ...runner.targets.map((target) => target.name),
    ]);
    return [...new Set([...loaded, ...[...this.#unloadable.values()].map(({ name }) => name)])];
  }

  /** Whether any plugin is there to be told something. */
  get hasPlugins(): boolean {
    return this.#plugins.some(({ runner }) => runner.state === 'running');
  }

  #releaseConnection(token: number): void {
    for (const { resources } of this.#plugins) {
      for (const local of resources.withdrawAll(token)) this.#listeners.close(local);
    }
  }

  #release(resources: PluginResources, endpoints: boolean): void {
    for (const local of resources.takeListeners()) this.#listeners.close(local);
    if (!endpoints) return;
    const { pathManager } = this.#options;
    for (const { id, address } of resources.endpoints) {
      try {
        pathManager.deleteEndpoint({ id, address });
      } catch (error) {
        this.#logger.debug({ error }, `remove endpoint ${address} of an ended plugin: not there any more`);
      }
      resources.removeEndpoint(id);
    }
    this.#services.recordGone();
  }

  /** In the order of their priority; those that could not be loaded last. */
  status(): PluginStatus[] {
    const loaded = this.#plugins.map(({ runner }) => statusOf(runner));
    const failed = [...this.#unloadable].map(([origin, { name, reason }]) =>
      unloadable(origin, name, reason),
    );
    return [...loaded, ...failed];
  }

  /** Ends the plugins in reverse order. `keepEndpoints`: what they added to the kernel stays. */
  async stop(keepEndpoints: boolean): Promise<void> {
    this.#stopped = true;
    for (const { runner, resources } of this.#plugins.toReversed()) {
      await runner.stop();
      this.#release(resources, !keepEndpoints);
    }
    this.#listeners.closeAll();
    this.dispatcher.setTargets([]);
  }
}
