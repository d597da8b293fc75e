/**
 * Runs a plugin of the folder in a thread of its own (docs/decisions/0010). Callbacks go there as messages, many at
 * once; commands come back as messages and are carried out in this thread.
 *
 * Invariants: a thread that makes no progress for the time budget is ended, wherever its program is; BOUNDED: no more
 * than `MAX_BEHIND` callbacks wait for it, what it misses beyond that it is told of when it has caught up; log lines
 * have a credit (log-credit.ts). A thread that sends what is no message, or too much, is ended.
 */
import { errorText, printable } from '../../base/index.ts';
import { workerUrl } from '../../native/index.ts';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { PluginState } from '../daemon-status.ts';
import type { PluginCallbackName } from '../plugin-api.ts';
import { answerCall } from './answer-call.ts';
import type { PluginCommands } from './commands.ts';
import type { DispatchTarget } from './dispatcher.ts';
import type { RunnerOptions } from './local-runner.ts';
import { LogAccount } from './log-credit.ts';
import { MissedEvents, type MissedConnection } from './missed-events.ts';
import type { PluginFile } from './plugin-files.ts';
import {
  budgetText,
  newCounters,
  withinBudget,
  type PluginDescription,
  type PluginRunner,
  type RunnerHandlers,
} from './plugin-runner.ts';
import { parseFromPlugin } from './worker-message.ts';
import {
  OUTSIDE,
  type CommandCall,
  type Delivery,
  type FromPlugin,
  type PluginWorkerData,
  type ToPlugin,
} from './worker-protocol.ts';

const MAX_BEHIND = 16_384;
/** A hang is noticed within this many parts of the budget beyond it. The parts also bridge a stop of the process. */
const LOOKS_PER_BUDGET = 4;
/** A plugin's memory; more ends its thread, not the daemon. */
const MAX_HEAP_MB = 256;
/** Far more than all commands that may wait at once; counted from one turn of the daemon's loop to the next. */
const MAX_MESSAGES_PER_TURN = 65_536;
const MAX_TARGETS = 256;
const TELL_DROPPED_MS = 1000;

export interface WorkerRunnerHandlers extends RunnerHandlers {
  /** It has caught up; what it missed is to be delivered anew. */
  readonly onCaughtUp: (target: DispatchTarget, missed: readonly MissedConnection[]) => void;
}

/** Few, and nobody tells of them anew: always delivered. */
const OF_NETWORK: ReadonlySet<PluginCallbackName> = new Set([
  'ready',
  'notReady',
  'newInterface',
  'updateInterface',
  'deleteInterface',
  'newLocalAddress',
  'deleteLocalAddress',
]);

interface RemoteTarget extends DispatchTarget {
  readonly missed: MissedEvents;
}

type Loaded = Extract<FromPlugin, { kind: 'loaded' }>;

export class WorkerRunner implements PluginRunner {
  readonly counters = newCounters();
  readonly #file: PluginFile;
  readonly #worker: Worker;
  readonly #commands: PluginCommands;
  readonly #options: RunnerOptions;
  readonly #handlers: WorkerRunnerHandlers;
  readonly #progress = new Int32Array(new SharedArrayBuffer(4));
  readonly #log = new LogAccount();
  readonly #ended: Promise<void>;
  /** Messages in this turn. */
  #messages = 0;
  #isLoaded = false;
  #isEnding = false;
  #dropTimer: NodeJS.Timeout | undefined;
  #plugin: PluginDescription;
  #targets: RemoteTarget[] = [];
  #state: PluginState = 'loading';
  #reason: string | undefined;
  /** Callbacks handed to the thread, wrapping around as the counter of those that returned does. */
  #sent = 0;
  #outbox: Delivery[] = [];
  #behind = false;
  #watchdog: NodeJS.Timeout | undefined;
  #settle: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;

  /** @throws WeftError NO_WORKER when the thread's program was not built */
  constructor(
    file: PluginFile,
    commands: PluginCommands,
    options: RunnerOptions,
    handlers: WorkerRunnerHandlers,
  ) {
    this.#file = file;
    this.#commands = commands;
    this.#options = options;
    this.#handlers = handlers;
    this.#plugin = { name: file.name, description: '', version: '', priority: 0, origin: file.path };
    const data: PluginWorkerData = {
      url: pathToFileURL(file.path).href,
      budgetMs: options.budgetMs,
      progress: this.#progress.buffer,
      logMemory: this.#log.memory,
    };
    this.#worker = new Worker(workerUrl('plugin'), {
      workerData: data,
      execArgv: [],
      name: `plugin ${file.name}`,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    this.#worker.unref();
    this.#worker.on('message', (message: unknown) => this.#receive(message));
    this.#worker.on('messageerror', () => this.#fail('it sent a message that cannot be read'));
    this.#worker.on('error', (error) => this.#fail(errorText(error)));
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#fail(`its thread ended (exit code ${code})`);
        resolve();
      });
    });
  }

  get plugin(): PluginDescription {
    return this.#plugin;
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

  #send(message: ToPlugin): void {
    this.#worker.postMessage(message, []);
  }

  /** Waits for an answer of the thread, not longer than the budget. */
  async #answered(doing: string): Promise<void> {
    const answer = new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    const { budgetMs } = this.#options;
    if ((await withinBudget(answer, budgetMs)) === undefined) return;
    throw new Error(`${doing} did not end within ${budgetText(budgetMs)}`);
  }

  #settled(failure?: string): void {
    if (failure === undefined) this.#settle?.resolve();
    else this.#settle?.reject(new Error(failure));
    this.#settle = undefined;
  }

  /** Imports the module. Rejects with why it is no plugin; the thread has ended then. */
  async load(): Promise<void> {
    try {
      await this.#answered('loading it');
    } catch (error) {
      this.#state = 'failed';
      this.#reason = errorText(error);
      await this.#terminate();
      throw error;
    }
  }

  async init(): Promise<void> {
    const { addressFlags, settingsOf } = this.#options;
    this.#send({ kind: 'init', addressFlags, settings: settingsOf(this.#plugin.name) });
    try {
      await this.#answered('init');
      if (this.#state === 'loading') this.#state = 'running';
    } catch (error) {
      if (this.#state !== 'loading') return;
      this.#state = 'failed';
      this.#reason = errorText(error);
      this.#handlers.onTrouble('init', this.#reason);
      this.#handlers.onEnded();
      await this.#terminate();
    }
  }

  async stop(): Promise<void> {
    if (this.#state === 'loading') this.#state = 'ended';
    if (this.#state === 'running') {
      this.#state = 'ended';
      this.#flush();
      this.#send({ kind: 'exit' });
      try {
        await this.#answered('exit');
      } catch (error) {
        this.#handlers.onTrouble('late', errorText(error), 'exit');
      }
    }
    await this.#terminate();
  }

  async #terminate(): Promise<void> {
    this.#isEnding = true;
    clearTimeout(this.#watchdog);
    this.#tellDropped();
    this.#targets = [];
    this.#outbox = [];
    await this.#worker.terminate();
    await this.#ended;
  }

  /** The thread has ended, or is to be ended, without having been asked to. */
  #fail(reason: string): void {
    this.#settled(reason);
    if (this.#state !== 'running') return;
    this.#state = 'ended';
    this.#reason = reason;
    this.#handlers.onTrouble('ended', reason);
    this.#handlers.onEnded();
    void this.#terminate();
  }

  #receive(value: unknown): void {
    if (this.#isEnding) return;
    if (this.#messages === 0) setImmediate(() => (this.#messages = 0));
    this.#messages++;
    const message = parseFromPlugin(value);
    if (this.#messages > MAX_MESSAGES_PER_TURN) this.#end('it floods the daemon with messages');
    else if (typeof message === 'string') this.#end(message);
    else this.#handle(message);
  }

  /** For what it did itself. Nothing of it is heard from then on. */
  #end(reason: string): void {
    this.#fail(reason);
    this.#isEnding = true;
    void this.#terminate();
  }

  #handle(message: FromPlugin): void {
    switch (message.kind) {
      case 'loaded':
        this.#describe(message);
        break;
      case 'unloadable':
        this.#settled(message.reason);
        break;
      case 'registered':
        this.#register(message.target, message.name, message.callbacks);
        break;
      case 'began':
      case 'exited':
        this.#settled(message.failure);
        break;
      case 'trouble':
        if (message.callback === OUTSIDE) this.#log.handled();
        this.counters[message.trouble === 'threw' ? 'failed' : 'late']++;
        this.#handlers.onTrouble(message.trouble, message.message, message.callback);
        break;
      case 'log': {
        this.#log.handled();
        this.#options.logger[message.level]({ plugin: this.#plugin.name }, printable(message.message));
        break;
      }
      case 'dropped':
        this.#dropTimer ??= setTimeout(() => this.#tellDropped(), TELL_DROPPED_MS).unref();
        break;
      default:
        void this.#answer(message);
    }
  }

  async #answer(call: CommandCall): Promise<void> {
    const answer = await answerCall(this.#commands, call);
    if (!this.#isEnding) this.#send(answer);
  }

  #tellDropped(): void {
    clearTimeout(this.#dropTimer);
    this.#dropTimer = undefined;
    const count = this.#log.takeDropped();
    if (count === 0) return;
    const { name } = this.#plugin;
    this.#options.logger.warn({ plugin: name }, `${count} log lines of plugin "${name}" were dropped`);
  }

  #describe({ name, description, version, priority }: Loaded): void {
    if (this.#isLoaded) {
      this.#end('it says again that it is loaded');
      return;
    }
    this.#isLoaded = true;
    this.#plugin = { name, description, version, priority, origin: this.#file.path };
    this.#settled();
  }

  #register(number: number, name: string, callbacks: readonly PluginCallbackName[]): void {
    if (this.#state === 'failed' || this.#state === 'ended') return;
    const wanted = new Set(callbacks);
    const target: RemoteTarget = {
      name,
      missed: new MissedEvents(),
      wants: (callback) => wanted.has(callback),
      deliver: (callback, argument) => this.#deliver(target, number, callback, argument),
    };
    this.#targets = [...this.#targets.filter((known) => known.name !== name), target];
    if (this.#targets.length > MAX_TARGETS) this.#end(`it registers more than ${MAX_TARGETS} names`);
    else this.#handlers.onTargets();
  }

  #waiting(): number {
    return (this.#sent - Atomics.load(this.#progress, 0)) | 0;
  }

  #deliver(
    target: RemoteTarget,
    number: number,
    callback: PluginCallbackName,
    argument: object | undefined,
  ): void {
    const full = this.#behind || this.#waiting() >= MAX_BEHIND;
    if (full && !OF_NETWORK.has(callback)) {
      this.#miss(target, callback, argument);
      return;
    }
    this.counters.delivered++;
    this.#sent = (this.#sent + 1) | 0;
    this.#outbox.push([number, callback, argument]);
    if (this.#outbox.length === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const deliveries = this.#outbox;
    if (deliveries.length === 0) return;
    this.#outbox = [];
    this.#send({ kind: 'deliver', deliveries });
    if (this.#watchdog === undefined) this.#watch(Atomics.load(this.#progress, 0), 0);
  }

  /** Looks several times in each budget whether callbacks still return. */
  #watch(lastProgress: number, looksWithout: number): void {
    const timer = setTimeout(() => {
      this.#watchdog = undefined;
      const progress = Atomics.load(this.#progress, 0);
      if (this.#behind && this.#waiting() < MAX_BEHIND / 2) this.#catchUp();
      if (this.#waiting() <= 0) return;
      const looks = progress === lastProgress ? looksWithout + 1 : 0;
      if (looks < LOOKS_PER_BUDGET) this.#watch(progress, looks);
      else
        this.#fail(
          `a callback did not return within ${budgetText(this.#options.budgetMs)}; its thread was ended`,
        );
    }, this.#options.budgetMs / LOOKS_PER_BUDGET);
    timer.unref();
    this.#watchdog = timer;
  }

  #miss(target: RemoteTarget, callback: PluginCallbackName, argument: object | undefined): void {
    this.counters.dropped++;
    target.missed.note(callback, argument);
    if (this.#behind) return;
    this.#behind = true;
    this.#handlers.onTrouble(
      'behind',
      `${MAX_BEHIND} callbacks wait for it; it is brought up to date when it has caught up`,
    );
  }

  #catchUp(): void {
    this.#behind = false;
    for (const target of this.#targets) this.#handlers.onCaughtUp(target, target.missed.take());
  }
}
