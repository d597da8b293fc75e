/**
 * What the daemon was told, from its three sources (pure). For each key by itself the command line comes before the
 * file, and the file before what is built in. An empty list of flags is an answer too: `--addr-flags=` takes away
 * what the file says.
 *
 * References: mptcpd(8); docs/daemon.md.
 */
import type { InterfaceRule } from '../../pathmanager/index.ts';
import type { AddressFlag, AtExit, LogDestination, NotifyFlag } from './option-values.ts';

/** What the command line or the file says; what it leaves out is the next source's to say. */
export interface GivenOptions {
  readonly log?: LogDestination;
  readonly pluginDirectory?: string;
  readonly pathManager?: string;
  readonly addressFlags?: readonly AddressFlag[];
  readonly notifyFlags?: readonly NotifyFlag[];
  readonly loadPlugins?: readonly string[];
}

export interface CommandLineOptions extends GivenOptions {
  readonly debug?: boolean;
}

export type PluginSettings = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** What only the file can say, beside the rest. */
export interface FileOptions extends GivenOptions {
  readonly atExit?: AtExit;
  readonly callbackBudgetMs?: number;
  readonly rules: readonly InterfaceRule[];
  readonly pluginSettings: PluginSettings;
}

export const EMPTY_FILE: FileOptions = { rules: [], pluginSettings: new Map() };

/** Everything that the daemon works by. */
export interface DaemonOptions {
  readonly debug: boolean;
  readonly log: LogDestination;
  /** Absent: only the plugins that come with Weft. */
  readonly pluginDirectory?: string;
  /** Absent: the first plugin by priority, because `addr_adv` is not loaded and no other named. */
  readonly pathManager?: string;
  readonly addressFlags: readonly AddressFlag[];
  readonly notifyFlags: readonly NotifyFlag[];
  /** Absent: `addr_adv`, `sspi` and all of the plugin folder. */
  readonly loadPlugins?: readonly string[];
  readonly atExit: AtExit;
  readonly callbackBudgetMs: number;
  readonly rules: readonly InterfaceRule[];
  readonly pluginSettings: PluginSettings;
}

const BUILT_IN = {
  debug: false,
  log: 'stderr',
  addressFlags: [],
  // mptcpd has none: link-local addresses then take places and never make a path.
  notifyFlags: ['skip_link_local', 'skip_loopback'],
  atExit: 'remove',
  callbackBudgetMs: 5000,
} as const satisfies Partial<DaemonOptions>;

/** What mptcpd's file says as it is installed; here it holds without that file, where it can. */
const USUAL_PATH_MANAGER = 'addr_adv';

export function mergeOptions(commandLine: CommandLineOptions, file: FileOptions): DaemonOptions {
  const merged: DaemonOptions = { ...BUILT_IN, ...file, ...commandLine };
  const { loadPlugins, pathManager } = merged;
  const usual = pathManager === undefined && (loadPlugins?.includes(USUAL_PATH_MANAGER) ?? true);
  return usual ? { ...merged, pathManager: USUAL_PATH_MANAGER } : merged;
}

/** The names that users know, in the order in which changes are told. */
const NAMES: Readonly<Record<Exclude<keyof DaemonOptions, 'debug'>, string>> = {
  log: 'log',
  pluginDirectory: 'plugin-dir',
  pathManager: 'path-manager',
  addressFlags: 'addr-flags',
  notifyFlags: 'notify-flags',
  loadPlugins: 'load-plugins',
  atExit: 'at-exit',
  callbackBudgetMs: 'callback-budget',
  rules: 'rules for interfaces',
  pluginSettings: 'settings of plugins',
};

/** What is decided at the start for the whole run. */
const AT_START: ReadonlySet<string> = new Set<keyof DaemonOptions>([
  'pluginDirectory',
  'loadPlugins',
  'callbackBudgetMs',
]);

function valueText(key: string, value: unknown): string {
  if (value === undefined) return 'not set';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(',');
  return key === 'callbackBudgetMs' ? `${Number(value) / 1000} s` : JSON.stringify(value);
}

/** Comparable: maps and objects as lists. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => (inner instanceof Map ? [...inner] : inner)) ?? '';

export interface OptionChanges {
  /** A line for each thing that changes now. */
  readonly now: readonly string[];
  /** A line for each thing that needs a restart. */
  readonly atRestart: readonly string[];
}

/** What a new reading of the file changes, in words. */
export function describeChanges(before: DaemonOptions, after: DaemonOptions): OptionChanges {
  const now: string[] = [];
  const atRestart: string[] = [];
  for (const [key, name] of Object.entries(NAMES) as [keyof typeof NAMES, string][]) {
    if (canonical(before[key]) === canonical(after[key])) continue;
    const counted = key === 'rules' || key === 'pluginSettings';
    const line = counted
      ? `${name} changed`
      : `${name}: ${valueText(key, before[key])} → ${valueText(key, after[key])}`;
    (AT_START.has(key) ? atRestart : now).push(line);
  }
  return { now, atRestart };
}
