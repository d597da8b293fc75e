/**
 * What one plugin holds: endpoints that it added, listeners, announcements. When the plugin ends, in whatever way,
 * exactly these are given back.
 *
 * Invariant: BOUNDED: endpoints by the kernel's table, listeners by the registry, announcements by 255 ids for each
 * living connection; those of a connection go with it.
 */
import { formatSocketAddress } from '../../base/index.ts';
import type { OwnedEndpoint } from '../endpoint-plan.ts';
import type { PathAddress } from '../plugin-api.ts';

export class PluginResources {
  readonly #endpoints = new Map<number, OwnedEndpoint>();
  /** How many times each listener was asked for. */
  readonly #listeners = new Map<string, { readonly local: PathAddress; count: number }>();
  /** By token, then by address id. */
  readonly #announced = new Map<number, Map<number, PathAddress>>();

  get endpoints(): readonly OwnedEndpoint[] {
    return [...this.#endpoints.values()];
  }

  endpoint(id: number): OwnedEndpoint | undefined {
    return this.#endpoints.get(id);
  }

  /** The same address, link and flags. */
  endpointLike({ address, flags, linkIndex }: OwnedEndpoint): OwnedEndpoint | undefined {
    return this.endpoints.find(
      (known) => known.address === address && known.flags === flags && known.linkIndex === linkIndex,
    );
  }

  addEndpoint(endpoint: OwnedEndpoint): void {
    this.#endpoints.set(endpoint.id, endpoint);
  }

  /** @returns whether it was this plugin's */
  removeEndpoint(id: number): boolean {
    return this.#endpoints.delete(id);
  }

  forgetEndpoints(): void {
    this.#endpoints.clear();
  }

  addListener(local: PathAddress): void {
    const key = formatSocketAddress(local.address, local.port);
    const known = this.#listeners.get(key);
    if (known === undefined) this.#listeners.set(key, { local, count: 1 });
    else known.count++;
  }

  /** @returns whether it was this plugin's to close */
  removeListener(local: PathAddress): boolean {
    const key = formatSocketAddress(local.address, local.port);
    const known = this.#listeners.get(key);
    if (known === undefined) return false;
    known.count--;
    if (known.count === 0) this.#listeners.delete(key);
    return true;
  }

  /** Remembers the listener of an announcement. */
  announce(token: number, id: number, local: PathAddress): void {
    let ofToken = this.#announced.get(token);
    if (ofToken === undefined) this.#announced.set(token, (ofToken = new Map()));
    ofToken.set(id, local);
  }

  /** @returns the listener that the announcement had */
  withdraw(token: number, id: number): PathAddress | undefined {
    const ofToken = this.#announced.get(token);
    const local = ofToken?.get(id);
    ofToken?.delete(id);
    if (ofToken?.size === 0) this.#announced.delete(token);
    return local;
  }

  /** @returns the listeners of a connection that has ended */
  withdrawAll(token: number): readonly PathAddress[] {
    const ofToken = this.#announced.get(token);
    if (ofToken === undefined) return [];
    this.#announced.delete(token);
    return [...ofToken.values()];
  }

  /** Everything that is still listened on, once for each time that it was asked for; forgotten here. */
  takeListeners(): readonly PathAddress[] {
    const all: PathAddress[] = [];
    for (const { local, count } of this.#listeners.values()) {
      for (let i = 0; i < count; i++) all.push(local);
    }
    for (const ofToken of this.#announced.values()) all.push(...ofToken.values());
    this.#listeners.clear();
    this.#announced.clear();
    return all;
  }
}
