/**
 * What runs in the thread of a plugin of the folder: loads the module, calls its callbacks as the daemon asks, and
 * carries its commands to the daemon. Nothing here touches the kernel.
 *
 * Invariant: whatever the plugin's code throws is told to the daemon, and the thread goes on.
 */
import type { MessagePort } from 'node:worker_threads';
import { errorText as wholeText, WeftError } from '../../base/errors.ts';
import type { Plugin, PluginCallbackName, PluginCallbacks, PluginContext } from '../plugin-api.ts';
import { CallWatch } from './call-watch.ts';
import { checkPlugin } from './check-plugin.ts';
import { LogCredit } from './log-credit.ts';
import { budgetText } from './plugin-runner.ts';
import { RemoteCommands } from './remote-commands.ts';
import {
  LONGEST_TEXT,
  OUTSIDE,
  type Delivery,
  type FromPlugin,
  type LogLevel,
  type PluginWorkerData,
  type ToPlugin,
} from './worker-protocol.ts';

/** Cut here, so that what is too long is not copied to the daemon. */
const cut = (text: string) => text.slice(0, LONGEST_TEXT);
const errorText = (thrown: unknown) => cut(wholeText(thrown));

type AnyCallback = (argument: object | undefined) => unknown;

export class PluginProgram {
  readonly #port: MessagePort;
  readonly #budgetMs: number;
  readonly #progress: Int32Array;
  readonly #commands: RemoteCommands;
  readonly #watch: CallWatch;
  readonly #logCredit: LogCredit;
  readonly #registered: PluginCallbacks[] = [];
  #plugin: Plugin | undefined;

  constructor(port: MessagePort, data: PluginWorkerData) {
    this.#port = port;
    this.#budgetMs = data.budgetMs;
    this.#progress = new Int32Array(data.progress);
    this.#logCredit = new LogCredit(data.logMemory);
    this.#commands = new RemoteCommands((message) => this.#send(message));
    this.#watch = new CallWatch(data.budgetMs, {
      onFailed: (callback, message) =>
        this.#send({ kind: 'trouble', trouble: 'threw', callback, message: cut(message) }),
      onLate: (callback) => this.#reportLate(callback),
    });
  }

  #send(message: FromPlugin): void {
    this.#port.postMessage(message, []);
  }

  #reportLate(callback: string): void {
    this.#send({
      kind: 'trouble',
      trouble: 'late',
      callback,
      message: `took longer than ${budgetText(this.#budgetMs)}`,
    });
  }

  async run(url: string): Promise<void> {
    // What its timers and listeners throw ends neither the thread nor the daemon.
    process.on('uncaughtException', (error) => this.#reportStray(error));
    process.on('unhandledRejection', (reason) => this.#reportStray(reason));
    this.#port.on('message', (message: ToPlugin) => this.#handle(message));
    try {
      const module = (await import(url)) as { readonly default?: unknown };
      const plugin = checkPlugin(module.default);
      this.#plugin = plugin;
      const { name, description = '', version = '', priority = 0 } = plugin;
      this.#send({
        kind: 'loaded',
        name,
        description: cut(description),
        version: cut(version),
        priority,
      });
    } catch (error) {
      this.#send({ kind: 'unloadable', reason: errorText(error) });
    }
  }

  /** Whether a line may be sent that the plugin can make as often as it likes. */
  #mayTell(): boolean {
    const credit = this.#logCredit.take(performance.now());
    if (credit === 'first') this.#send({ kind: 'dropped' });
    return credit === true;
  }

  #reportStray(error: unknown): void {
    if (!this.#mayTell()) return;
    this.#send({
      kind: 'trouble',
      trouble: 'threw',
      callback: OUTSIDE,
      message: errorText(error),
    });
  }

  #handle(message: ToPlugin): void {
    switch (message.kind) {
      case 'init':
        void this.#begin(message.addressFlags, message.settings);
        break;
      case 'deliver':
        this.#deliverAll(message.deliveries);
        break;
      case 'answer':
        this.#commands.answer(message.id, message.value);
        break;
      case 'refusal':
        this.#commands.refuse(message.id, message.failure);
        break;
      default:
        void this.#exit();
    }
  }

  async #begin(addressFlags: number, settings: Readonly<Record<string, string>>): Promise<void> {
    try {
      await this.#plugin?.init(this.#context(addressFlags, settings));
      this.#send({ kind: 'began' });
    } catch (error) {
      this.#send({ kind: 'began', failure: errorText(error) });
    }
  }

  #context(addressFlags: number, settings: Readonly<Record<string, string>>): PluginContext {
    const log = (level: LogLevel) => (message: unknown) => {
      if (this.#mayTell()) this.#send({ kind: 'log', level, message: logText(message) });
    };
    return {
      ...this.#commands.groups,
      register: (callbacks, name = this.#plugin?.name ?? '') => this.#register(callbacks, name),
      log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
      addressFlags,
      settings,
    };
  }

  #register(callbacks: PluginCallbacks, name: unknown): void {
    if (typeof callbacks !== 'object' || callbacks === null) {
      throw new WeftError('register: callbacks have to be an object', { code: 'BAD_CALLBACKS' });
    }
    const names: PluginCallbackName[] = [];
    // Methods of a class count too.
    for (const key in callbacks) if (isCallback(callbacks, key)) names.push(key);
    const prototype = Object.getPrototypeOf(callbacks) as object | null;
    if (prototype !== null && prototype !== Object.prototype) {
      for (const key of Object.getOwnPropertyNames(prototype)) {
        if (key !== 'constructor' && isCallback(callbacks, key)) names.push(key);
      }
    }
    this.#registered.push(callbacks);
    this.#send({
      kind: 'registered',
      target: this.#registered.length - 1,
      name: cut(String(name)),
      callbacks: names,
    });
  }

  #deliverAll(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      try {
        this.#deliver(delivery);
      } finally {
        Atomics.add(this.#progress, 0, 1);
      }
    }
  }

  #deliver([target, name, argument]: Delivery): void {
    const callbacks = this.#registered[target];
    const callback = callbacks?.[name] as AnyCallback | undefined;
    if (callback === undefined) return;
    const began = performance.now();
    try {
      const result = callback.call(callbacks, argument);
      if (result instanceof Promise) this.#watch.add(name, result);
    } catch (error) {
      this.#send({ kind: 'trouble', trouble: 'threw', callback: name, message: errorText(error) });
    }
    if (performance.now() - began > this.#budgetMs) this.#reportLate(name);
  }

  async #exit(): Promise<void> {
    try {
      await this.#plugin?.exit?.();
      this.#send({ kind: 'exited' });
    } catch (error) {
      this.#send({ kind: 'exited', failure: errorText(error) });
    }
  }
}

function logText(message: unknown): string {
  try {
    return cut(String(message));
  } catch (error) {
    return `what cannot be shown: ${errorText(error)}`;
  }
}

function isCallback(callbacks: PluginCallbacks, key: string): key is PluginCallbackName {
  return typeof callbacks[key as PluginCallbackName] === 'function';
}
