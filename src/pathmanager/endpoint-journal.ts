/**
 * One record for two who make endpoints: addr_adv, whose EndpointOwner reads and writes it, and plugins, whose
 * endpoints are written beside. What an earlier process's plugins left, the owner takes over with the rest and removes,
 * unless a plugin asks for the very same endpoint again.
 */
import type { OwnedEndpoint } from './endpoint-plan.ts';
import type { Ownership, OwnershipJournal } from './ownership.ts';

const isSame = (a: OwnedEndpoint, b: OwnedEndpoint) =>
  a.address === b.address && a.linkIndex === b.linkIndex && a.flags === b.flags;

export class EndpointJournal implements OwnershipJournal {
  readonly #file: OwnershipJournal;
  #owner: Ownership;
  #plugins: readonly OwnedEndpoint[] = [];

  /** Reads the record. */
  constructor(file: OwnershipJournal) {
    this.#file = file;
    this.#owner = file.load();
  }

  /** Whether the endpoint with this id is one that addr_adv or a plugin made. */
  has(id: number): boolean {
    return [...this.#owner.endpoints, ...this.#plugins].some((endpoint) => endpoint.id === id);
  }

  /** What the owner of addr_adv's endpoints takes over. */
  load(): Ownership {
    return this.#owner;
  }

  save(ownership: Ownership): void {
    const former = this.#owner;
    this.#owner = ownership;
    try {
      this.#write();
    } catch (error) {
      this.#owner = former;
      throw error;
    }
  }

  /** Called before a plugin's endpoint is made, and after one is gone. @throws what the file throws */
  savePlugins(endpoints: readonly OwnedEndpoint[]): void {
    if (endpoints.length === 0 && this.#plugins.length === 0) return;
    this.#plugins = endpoints;
    this.#write();
  }

  #write(): void {
    const { endpoints, limits } = this.#owner;
    this.#file.save({ endpoints: [...endpoints, ...this.#plugins], limits });
  }

  /**
   * A plugin's endpoint is in the kernel already. @returns the one that an earlier process left, which is the
   * plugin's from now on; `undefined` when it is somebody else's
   */
  adopt(endpoint: OwnedEndpoint): OwnedEndpoint | undefined {
    const left = this.#owner.endpoints.find((known) => isSame(known, endpoint));
    if (left === undefined) return undefined;
    this.#owner = {
      ...this.#owner,
      endpoints: this.#owner.endpoints.filter((known) => known !== left),
    };
    return left;
  }
}
