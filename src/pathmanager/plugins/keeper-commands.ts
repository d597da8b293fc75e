/** What a SubflowKeeper wants to have done (plain data). KeeperDriver carries it out. */
import type { PathAddress, SubflowCommand } from '../plugin-api.ts';

export interface CreateCommand {
  readonly kind: 'create';
  readonly token: number;
  readonly local: { readonly address: string; readonly linkIndex: number };
  readonly remote: PathAddress;
  readonly remoteId: number;
  readonly backup: boolean;
}

export interface CloseCommand extends SubflowCommand {
  readonly kind: 'close';
  /** In words, for the log. */
  readonly why: string;
}

export interface BackupCommand extends SubflowCommand {
  readonly kind: 'backup';
  readonly backup: boolean;
}

/** This host has lost the address: the peer is told, and the subflows there are closed. */
export interface LeaveCommand {
  readonly kind: 'leave';
  readonly token: number;
  readonly address: string;
  /** Those that the connection knows the address by; an announced port has one of its own. */
  readonly localIds: readonly number[];
  readonly subflows: readonly { readonly local: PathAddress; readonly remote: PathAddress }[];
}

export interface AnnounceCommand {
  readonly kind: 'announce';
  readonly token: number;
  readonly address: string;
  /** Nothing listens there yet. */
  readonly listen: boolean;
}

export type KeeperCommand = CreateCommand | CloseCommand | BackupCommand | LeaveCommand | AnnounceCommand;
