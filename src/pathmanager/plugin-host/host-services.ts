/**
 * What the host offers to every plugin's commands. One for the whole host; who asks is told by PluginResources.
 */
import type { PathManager } from '../../mptcp/index.ts';
import type { OwnedEndpoint } from '../endpoint-plan.ts';
import type { ConnectionView, PluginInterface } from '../plugin-api.ts';
import type { SocketOwner } from '../socket-owners.ts';
import type { IdRegistry } from './id-registry.ts';
import type { ListenerRegistry } from './listener-registry.ts';
import type { PluginResources } from './plugin-resources.ts';

export interface HostServices {
  readonly pathManager: PathManager;
  readonly ids: IdRegistry;
  readonly listeners: ListenerRegistry;
  interfaces(): readonly PluginInterface[];
  owner(token: number): SocketOwner | undefined;
  /** Before an endpoint is made: the record of what plugins own is written anew. @throws when that fails */
  recordEndpoints(): void;
  /** After one is gone. That the record tells of more than there is does no harm, so that a failure is only logged. */
  recordGone(): void;
  /**
   * Takes over an endpoint that an earlier process left, or the plugin that `by` is about to replace.
   * @returns it; `undefined`: it is somebody else's
   */
  adopt(endpoint: OwnedEndpoint, by: PluginResources): OwnedEndpoint | undefined;
  /** For those who watch the daemon. */
  endpointChanged(action: 'added' | 'removed', endpoint: OwnedEndpoint): void;
}

/** What is known of one plugin's own matters. */
export interface PluginView {
  connections(): readonly ConnectionView[];
}
