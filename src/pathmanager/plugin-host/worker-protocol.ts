/**
 * What the daemon and the thread of a plugin say to each other: plain data over the thread's message port, and one
 * shared counter by which the daemon sees that the thread still works.
 */
import type { PluginCallbackName } from '../plugin-api.ts';

/** Of log lines and reports, in characters; the rest is cut off before it is copied. */
export const LONGEST_TEXT = 4096;

/** What stands for the callback where a timer or listener of the plugin threw. */
export const OUTSIDE = 'outside of a callback';

export interface PluginWorkerData {
  /** file: URL of the plugin's module. */
  readonly url: string;
  readonly budgetMs: number;
  /** One Int32: how many callbacks have returned, wrapping around. */
  readonly progress: SharedArrayBuffer;
  /** log-credit.ts */
  readonly logMemory: SharedArrayBuffer;
}

/** A callback to be called: what was registered (by its number), the callback's name, its argument. */
export type Delivery = readonly [target: number, callback: PluginCallbackName, argument: object | undefined];

export interface RemoteFailure {
  readonly message: string;
  readonly code?: string;
  readonly hint?: string;
  readonly errno?: number;
  readonly kernelText?: string;
}

export type ToPlugin =
  | {
      readonly kind: 'init';
      readonly addressFlags: number;
      readonly settings: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'deliver'; readonly deliveries: readonly Delivery[] }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'refusal'; readonly id: number; readonly failure: RemoteFailure }
  | { readonly kind: 'exit' };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** The commands of a context, by group. */
export const COMMANDS = {
  kernel: [
    'addAddress',
    'removeAddress',
    'address',
    'addresses',
    'flushAddresses',
    'setLimits',
    'limits',
    'setFlags',
  ],
  userspace: ['addAddress', 'addresses', 'removeAddress', 'addSubflow', 'setBackup', 'removeSubflow'],
  ids: ['id', 'release'],
  listeners: ['listen', 'close'],
  network: ['interfaces', 'connections', 'owner'],
} as const;

export type CommandGroup = keyof typeof COMMANDS;

export interface CommandCall {
  readonly kind: 'call';
  readonly id: number;
  readonly group: CommandGroup;
  readonly command: string;
  readonly arguments: readonly unknown[];
}

export type FromPlugin =
  | {
      readonly kind: 'loaded';
      readonly name: string;
      readonly description: string;
      readonly version: string;
      readonly priority: number;
    }
  | { readonly kind: 'unloadable'; readonly reason: string }
  | {
      readonly kind: 'registered';
      readonly target: number;
      readonly name: string;
      readonly callbacks: readonly PluginCallbackName[];
    }
  | { readonly kind: 'began'; readonly failure?: string }
  | {
      readonly kind: 'trouble';
      readonly trouble: 'threw' | 'late';
      readonly callback: string;
      readonly message: string;
    }
  | CommandCall
  /** The first since the daemon told of dropped log lines. */
  | { readonly kind: 'dropped' }
  | { readonly kind: 'log'; readonly level: LogLevel; readonly message: string }
  | { readonly kind: 'exited'; readonly failure?: string };
