/**
 * The record of what Weft made in the kernel's path manager, for the next start after a crash. Written before the
 * deed, so that nothing can exist that the record does not tell of; the reverse is harmless, because what is
 * removed must match the record in everything.
 */
import type { OwnedEndpoint } from './endpoint-plan.ts';
import type { RaisedLimits } from './limits-plan.ts';

export interface Ownership {
  readonly endpoints: readonly OwnedEndpoint[];
  readonly limits: RaisedLimits;
}

export const OWNS_NOTHING: Ownership = { endpoints: [], limits: {} };

/** Where the record is kept. `save` returns when it is safe; both may throw. */
export interface OwnershipJournal {
  load(): Ownership;
  save(ownership: Ownership): void;
}
