/** What the path-management daemon is told to do; the configuration file and command line are service's matter. */
import type { Logger } from '../base/index.ts';
import type { InterfaceRule } from './network/interface-rules.ts';
import type { OwnershipJournal } from './ownership.ts';
import type { Plugin } from './plugin-api.ts';

/** Which addresses plugins are told of; mptcpd's `notify-flags`. */
export interface NotifyOptions {
  /** Those that are there at the start too. */
  readonly existing: boolean;
  readonly skipLinkLocal: boolean;
  readonly skipLoopback: boolean;
  /** Only those whose link has a default route. */
  readonly checkRoute: boolean;
}

export interface PathDaemonOptions {
  readonly logger: Logger;
  /** File of the network namespace; default is this thread's own. */
  readonly netns?: string;
  /** Absent: shipped plugins only. */
  readonly pluginDirectory?: string;
  /** The default plugin's name. */
  readonly pathManager?: string;
  /**
   * Absent: addr_adv, sspi and every plugin of the folder. Otherwise names of shipped ones or of NAME.mjs, .js, .mts,
   * .ts of the folder, in the order of loading.
   */
  readonly loadPlugins?: readonly string[];
  /** Further plugins that run in this thread, as the shipped ones do; for programs that contain the daemon. */
  readonly plugins?: readonly Plugin[];
  /** EndpointFlag bits. */
  readonly addressFlags: number;
  readonly notify: NotifyOptions;
  readonly rules: readonly InterfaceRule[];
  /** The sections `[plugin NAME]`. */
  readonly pluginSettings: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** How long a callback may take. Default 5000. */
  readonly callbackBudgetMs?: number;
  readonly journal: OwnershipJournal;
  /** Receive buffer for the kernel's MPTCP events. Default 8 MiB. */
  readonly eventBufferBytes?: number;
  /** Endpoints stay when the daemon stops. */
  readonly keepEndpoints: boolean;
}

export const DEFAULT_CALLBACK_BUDGET_MS = 5000;
