/**
 * Address ids for plugins: one id for an address, 1 to 255, the smallest that is free (pure; what the kernel has is
 * an argument). mptcpd reads the kernel's endpoints once, at its start; here every new id is chosen with a fresh
 * reading, so that an endpoint that another program made meanwhile is no surprise.
 */
import { WeftError } from '../../base/index.ts';
import type { Endpoint } from '../../mptcp/index.ts';

const MAX_ID = 255;

export class IdRegistry {
  readonly #kernelEndpoints: () => readonly Pick<Endpoint, 'address' | 'id'>[];
  /** BOUNDED: 255 ids. */
  readonly #ids = new Map<string, number>();

  constructor(kernelEndpoints: () => readonly Pick<Endpoint, 'address' | 'id'>[]) {
    this.#kernelEndpoints = kernelEndpoints;
  }

  /**
   * The id of an address: the one that it has, here or in the kernel, or the smallest free one.
   * @throws WeftError NO_FREE_ID
   */
  idOf(address: string): number {
    return this.#ids.get(address) ?? this.newIdOf(address, []);
  }

  /** Like `idOf`, for an endpoint that is about to be made: what the kernel has now counts, and so does `taken`. */
  newIdOf(address: string, taken: readonly number[]): number {
    const used = new Set(taken);
    for (const endpoint of this.#kernelEndpoints()) {
      if (endpoint.address === address && !used.has(endpoint.id)) {
        this.#ids.set(address, endpoint.id);
        return endpoint.id;
      }
      used.add(endpoint.id);
    }
    const known = this.#ids.get(address);
    if (known !== undefined && !used.has(known)) return known;
    for (const [other, id] of this.#ids) if (other !== address) used.add(id);
    for (let id = 1; id <= MAX_ID; id++) {
      if (used.has(id)) continue;
      this.#ids.set(address, id);
      return id;
    }
    throw new WeftError(`no address id is free for ${address}`, {
      code: 'NO_FREE_ID',
      hint: 'release some that are not used any more',
    });
  }

  release(address: string): void {
    this.#ids.delete(address);
  }
}
