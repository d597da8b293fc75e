/**
 * Runs a shipped plugin in the daemon's own thread: callbacks are called at once, in the order of the events, and do
 * not wait for one another. What a callback throws, or a promise of it rejects with, is reported and ends nothing.
 *
 * Not for plugins of others: one that does not return would stop the daemon (worker-runner.ts).
 */
import { errorText, type Logger } from '../../base/index.ts';
import type { PluginState } from '../daemon-status.ts';
import type { Plugin, PluginCallbackName, PluginCallbacks, PluginContext } from '../plugin-api.ts';
import { CallWatch } from './call-watch.ts';
import type { PluginCommands } from './commands.ts';
import type { DispatchTarget } from './dispatcher.ts';
import {
  budgetText,
  newCounters,
  withinBudget,
  type PluginDescription,
  type PluginRunner,
  type RunnerHandlers,
} from './plugin-runner.ts';

export interface RunnerOptions {
  readonly budgetMs: number;
  readonly addressFlags: number;
  /** The section `[plugin NAME]`. */
  readonly settingsOf: (plugin: string) => Readonly<Record<string, string>>;
  readonly logger: Logger;
}

type AnyCallback = (argument: object | undefined) => unknown;

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';

export class LocalRunner implements PluginRunner {
  readonly plugin: PluginDescription;
  readonly counters = newCounters();
  readonly #plugin: Plugin;
  readonly #handlers: RunnerHandlers;
  readonly #options: RunnerOptions;
  readonly #commands: PluginCommands;
  readonly #watch: CallWatch;
  #targets: DispatchTarget[] = [];
  #state: PluginState = 'loading';
  #reason: string | undefined;

  constructor(plugin: Plugin, commands: PluginCommands, options: RunnerOptions, handlers: RunnerHandlers) {
    this.#plugin = plugin;
    this.plugin = {
      name: plugin.name,
      description: plugin.description ?? '',
      version: plugin.version ?? '',
      priority: plugin.priority ?? 0,
      origin: 'shipped',
    };
    this.#commands = commands;
    this.#options = options;
    this.#handlers = handlers;
    this.#watch = new CallWatch(options.budgetMs, {
      onFailed: (callback, error) => this.#reportFailure(callback, error),
      onLate: (callback) => this.#reportLate(callback),
    });
  }

  get state(): PluginState {
    return this.#state;
  }

  get reason(): string | undefined {
    return this.#reason;
  }

  get targets(): readonly DispatchTarget[] {
    return this.#targets;
  }

  #reportFailure(callback: string, error: string): void {
    this.counters.failed++;
    this.#handlers.onTrouble('threw', error, callback);
  }

  #reportLate(callback: string): void {
    this.counters.late++;
    this.#handlers.onTrouble('late', `took longer than ${budgetText(this.#options.budgetMs)}`, callback);
  }

  #context(): PluginContext {
    const { logger, addressFlags, settingsOf } = this.#options;
    const plugin = this.plugin.name;
    return {
      ...this.#commands,
      register: (callbacks, name = plugin) => this.#register(callbacks, name),
      log: {
        debug: (message) => logger.debug({ plugin }, message),
        info: (message) => logger.info({ plugin }, message),
        warn: (message) => logger.warn({ plugin }, message),
        error: (message) => logger.error({ plugin }, message),
      },
      addressFlags,
      settings: settingsOf(plugin),
    };
  }

  #register(callbacks: PluginCallbacks, name: string): void {
    if (this.#state === 'failed' || this.#state === 'ended') return;
    const target: DispatchTarget = {
      name,
      wants: (callback) => callbacks[callback] !== undefined,
      deliver: (callback, argument) => this.#deliver(callbacks, callback, argument),
    };
    this.#targets = [...this.#targets.filter((known) => known.name !== name), target];
    this.#handlers.onTargets();
  }

  #deliver(callbacks: PluginCallbacks, name: PluginCallbackName, argument: object | undefined): void {
    const callback = callbacks[name] as AnyCallback | undefined;
    if (callback === undefined) return;
    this.counters.delivered++;
    const began = performance.now();
    try {
      const result = callback.call(callbacks, argument);
      if (isThenable(result)) this.#watch.add(name, result);
    } catch (error) {
      this.#reportFailure(name, errorText(error));
    }
    if (performance.now() - began > this.#options.budgetMs) this.#reportLate(name);
  }

  async init(): Promise<void> {
    const { budgetMs } = this.#options;
    try {
      const late = await withinBudget(Promise.resolve(this.#plugin.init(this.#context())), budgetMs);
      if (late !== undefined) throw new Error(`did not end within ${budgetText(budgetMs)}`);
      if (this.#state === 'loading') this.#state = 'running';
    } catch (error) {
      if (this.#state === 'loading') this.#fail(errorText(error));
    }
  }

  #fail(reason: string): void {
    this.#state = 'failed';
    this.#reason = reason;
    this.#targets = [];
    this.#handlers.onTargets();
    this.#handlers.onTrouble('init', reason);
  }

  async stop(): Promise<void> {
    if (this.#state !== 'running' && this.#state !== 'loading') return;
    this.#state = 'ended';
    this.#targets = [];
    const { budgetMs } = this.#options;
    try {
      const late = await withinBudget(Promise.resolve(this.#plugin.exit?.()), budgetMs);
      if (late !== undefined) this.#reportLate('exit');
    } catch (error) {
      this.#reportFailure('exit', errorText(error));
    }
    this.#watch.close();
  }
}
