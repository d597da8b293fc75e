/** What a SubflowKeeper wants to have done (plain data). KeeperDriver carries it out. */
import type { PathAddress, SubflowCommand } from '../plugin-api.ts';

/** Absent where the connection has no id for the address yet: then the id manager's. */
interface KnownId {
  readonly localId?: number;
}

export interface CreateCommand extends KnownId {
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
export interface LeaveCommand extends KnownId {
  readonly kind: 'leave';
  readonly token: number;
  readonly address: string;
  readonly subflows: readonly { readonly local: PathAddress; readonly remote: PathAddress }[];
}

export interface AnnounceCommand extends KnownId {
  readonly kind: 'announce';
  readonly token: number;
  readonly address: string;
  /** Nothing listens there yet. */
  readonly listen: boolean;
}

export type KeeperCommand = CreateCommand | CloseCommand | BackupCommand | LeaveCommand | AnnounceCommand;
