/**
 * The driver: owner of the endpoints that Weft makes and of the limits that it raises, in one network namespace.
 * The decisions are in endpoint-plan.ts and limits-plan.ts.
 *
 * Invariants: the record is saved before an endpoint or limit is made, and again when it is gone; nothing that the
 * record does not name is changed; every call leaves the kernel in a state that a later call can go on from,
 * whatever failed.
 */
import { errorText, type Logger } from '../base/index.ts';
import type { Endpoint, Limits, PathManager } from '../mptcp/index.ts';
import { EBUSY, EEXIST, EINVAL } from '../native/index.ts';
import { NetlinkError } from '../netlink/index.ts';
import {
  additionSpec,
  planEndpoints,
  stillThere,
  type EndpointAddition,
  type EndpointChange,
  type EndpointPlan,
  type EndpointUse,
  type OwnedEndpoint,
  type WantedEndpoint,
} from './endpoint-plan.ts';
import {
  LIMIT_NAMES,
  planLimits,
  planRestore,
  stillRaised,
  type LimitName,
  type RaisedLimit,
  type RaisedLimits,
} from './limits-plan.ts';
import type { OwnershipJournal } from './ownership.ts';

/** <asm-generic/errno-base.h>; how the kernel says that its table is full. */
const ERANGE = 34;
/** BOUNDED: an id or a place that another program takes between reading and adding is looked for again. */
const MAX_TRIES = 4;

type Kernel = Pick<
  PathManager,
  'addEndpoint' | 'deleteEndpoint' | 'endpoints' | 'limits' | 'setEndpointFlags' | 'setLimits'
>;

export interface EndpointReport {
  readonly uses: readonly EndpointUse[];
  /** Of all programs. */
  readonly endpoints: readonly Endpoint[];
  readonly ownIds: ReadonlySet<number>;
  /** What failed, for the user. */
  readonly failures: readonly string[];
}

export interface LimitsReport {
  readonly limits: Limits;
  /** What the kernel takes at most, once it refused more. */
  readonly maximum?: number;
  readonly failures: readonly string[];
}

/** Told of each endpoint that was made, changed or removed. */
export type EndpointListener = (action: 'added' | 'changed' | 'removed', endpoint: OwnedEndpoint) => void;

export interface EndpointOwnerCounters {
  readonly endpointsAdded: number;
  readonly endpointsDeleted: number;
  readonly endpointsChanged: number;
  readonly limitsRaised: number;
}

const isErrno = (error: unknown, errno: number): error is NetlinkError =>
  error instanceof NetlinkError && error.errno === errno;

export class EndpointOwner {
  readonly #kernel: Kernel;
  readonly #journal: OwnershipJournal;
  readonly #logger: Logger;
  readonly #listener: EndpointListener | undefined;
  #owned: readonly OwnedEndpoint[];
  #raised: RaisedLimits;
  readonly #handsOff = new Set<LimitName>();
  #lastId = 0;
  #capacity: number | undefined;
  #maximum: number | undefined;
  #added = 0;
  #deleted = 0;
  #changed = 0;
  #limitsRaised = 0;

  /** @param kernel stays its owner's to close */
  constructor(kernel: Kernel, journal: OwnershipJournal, logger: Logger, listener?: EndpointListener) {
    this.#kernel = kernel;
    this.#journal = journal;
    this.#logger = logger;
    this.#listener = listener;
    // What an earlier process left is taken over; the first plan keeps or removes it.
    const { endpoints, limits } = journal.load();
    this.#owned = endpoints;
    this.#raised = stillRaised({ present: kernel.limits(), raised: limits });
  }

  get counters(): EndpointOwnerCounters {
    return {
      endpointsAdded: this.#added,
      endpointsDeleted: this.#deleted,
      endpointsChanged: this.#changed,
      limitsRaised: this.#limitsRaised,
    };
  }

  /** What is remembered as made, of this process or an earlier one. */
  get owned(): readonly OwnedEndpoint[] {
    return this.#owned;
  }

  /** Whether there is anything that `removeAll` would undo, of this process or an earlier one. */
  get ownsSomething(): boolean {
    return this.#owned.length > 0 || Object.keys(this.#raised).length > 0;
  }

  /**
   * @returns why the record could not be written, for the user. That is no reason to stop after something was undone:
   * a record that tells of more than there is does no harm.
   */
  #save(): string[] {
    try {
      this.#journal.save({ endpoints: this.#owned, limits: this.#raised });
      return [];
    } catch (error) {
      return [errorText(error)];
    }
  }

  #plan(wanted: readonly WantedEndpoint[], present: readonly Endpoint[]): EndpointPlan {
    return planEndpoints(wanted, {
      present,
      owned: this.#owned,
      lastId: this.#lastId,
      ...(this.#capacity === undefined ? {} : { capacity: this.#capacity }),
    });
  }

  /** Drops from the record what is no longer there: another program removed it, and what it makes is its own. */
  #forgetVanished(present: readonly Endpoint[]): void {
    const there = stillThere({ owned: this.#owned, present });
    if (there.length < this.#owned.length) this.#owned = there;
  }

  /**
   * Removes own endpoints that are not wanted, which closes their subflows and tells the peers. Comes before the
   * change of routing: what the kernel sends then must still find its way.
   */
  retire(wanted: readonly WantedEndpoint[]): string[] {
    const before = this.#owned;
    const failures = this.#remove(wanted);
    if (this.#owned !== before) failures.push(...this.#save());
    return failures;
  }

  #remove(wanted: readonly WantedEndpoint[]): string[] {
    const present = this.#kernel.endpoints();
    this.#forgetVanished(present);
    return this.#delete(this.#plan(wanted, present).deletions);
  }

  #delete(deletions: readonly OwnedEndpoint[]): string[] {
    const failures: string[] = [];
    const gone = new Set<OwnedEndpoint>();
    for (const record of deletions) {
      try {
        this.#kernel.deleteEndpoint({ id: record.id, address: record.address });
        gone.add(record);
        this.#deleted++;
        this.#listener?.('removed', record);
      } catch (error) {
        // Somebody else was faster when it is not found, and the next reading shows it.
        if (isErrno(error, EINVAL)) gone.add(record);
        else failures.push(errorText(error));
      }
    }
    if (gone.size > 0) this.#owned = this.#owned.filter((record) => !gone.has(record));
    return failures;
  }

  /** Makes what is missing. Comes after the change of routing: the kernel starts subflows at once. */
  provide(wanted: readonly WantedEndpoint[]): EndpointReport {
    const failures: string[] = [];
    let present = this.#kernel.endpoints();
    this.#lastId = Math.max(this.#lastId, ...present.map((endpoint) => endpoint.id));
    let plan = this.#plan(wanted, present);
    for (let tries = 0; tries < MAX_TRIES && plan.additions.length > 0; tries++) {
      const outcome = this.#add(plan.additions);
      present = this.#kernel.endpoints();
      if (outcome === 'full') this.#learnCapacity(present.length);
      plan = this.#plan(wanted, present);
      if (outcome === 'full' || outcome === 'raced') continue;
      failures.push(...outcome);
      break;
    }
    if (plan.changes.length > 0) {
      failures.push(...this.#change(plan.changes));
      present = this.#kernel.endpoints();
      plan = this.#plan(wanted, present);
    }
    const ownIds = new Set(stillThere({ owned: this.#owned, present }).map((record) => record.id));
    return { uses: plan.uses, endpoints: present, ownIds, failures };
  }

  /** `full` and `raced`: read and plan again. Otherwise what failed for good. */
  #add(additions: readonly EndpointAddition[]): 'full' | 'raced' | string[] {
    const before = this.#owned;
    this.#owned = [...before, ...additions.map(recordOf)];
    const failures = this.#save();
    if (failures.length > 0) {
      this.#owned = before;
      return failures;
    }
    let verdict: 'full' | 'raced' | undefined;
    const made = new Set<EndpointAddition>();
    for (const addition of additions) {
      try {
        this.#kernel.addEndpoint(additionSpec(addition));
        made.add(addition);
        this.#added++;
        this.#listener?.('added', recordOf(addition));
        this.#lastId = addition.replacesImplicit ? this.#lastId : addition.id;
      } catch (error) {
        if (isErrno(error, ERANGE)) verdict = 'full';
        else if (isErrno(error, EEXIST) || isErrno(error, EBUSY)) verdict = 'raced';
        else failures.push(errorText(error));
        if (verdict !== undefined) break;
      }
    }
    if (made.size < additions.length) {
      this.#owned = [...before, ...additions.filter((addition) => made.has(addition)).map(recordOf)];
      failures.push(...this.#save());
    }
    return verdict ?? failures;
  }

  /** Live subflows follow: the kernel tells their peers (MP_PRIO). */
  #change(changes: readonly EndpointChange[]): string[] {
    const failures: string[] = [];
    const done = new Map<OwnedEndpoint, OwnedEndpoint>();
    for (const { flags, record } of changes) {
      try {
        this.#kernel.setEndpointFlags({ id: record.id, flags });
        const changed = { ...record, flags };
        done.set(record, changed);
        this.#changed++;
        this.#listener?.('changed', changed);
      } catch (error) {
        failures.push(errorText(error));
      }
    }
    if (done.size === 0) return failures;
    // After the deed: until it is written the next start would do it once more, and nothing is lost.
    this.#owned = this.#owned.map((record) => done.get(record) ?? record);
    return [...failures, ...this.#save()];
  }

  #learnCapacity(capacity: number): void {
    if (capacity === this.#capacity) return;
    this.#capacity = capacity;
    this.#logger.warn(
      { capacity },
      `this kernel takes ${capacity} MPTCP endpoints; the addresses beyond them wait until one is free`,
    );
  }

  /**
   * Raises the limits to what is needed, as far as the kernel allows.
   * @param follow lower again what Weft raised, to no less than it was, when less is needed
   */
  raiseLimits(needed: Limits, { follow = false } = {}): LimitsReport {
    const failures: string[] = [];
    for (;;) {
      const present = this.#kernel.limits();
      const plan = planLimits(needed, {
        present,
        raised: this.#raised,
        handsOff: this.#handsOff,
        follow,
        ...(this.#maximum === undefined ? {} : { maximum: this.#maximum }),
      });
      for (const name of plan.lost) this.#leaveAlone(name, present[name]);
      const former = this.#raised;
      const unsaved = plan.lowers ? [] : this.#remember(plan.raised);
      failures.push(...unsaved);
      if (Object.keys(plan.set).length === 0) return this.#limitsReport(present, failures);
      if (unsaved.length > 0) {
        this.#raised = former;
        return this.#limitsReport(present, failures);
      }
      try {
        this.#kernel.setLimits(plan.set);
        if (plan.lowers) failures.push(...this.#remember(plan.raised));
        else this.#limitsRaised++;
      } catch (error) {
        failures.push(...this.#remember(former));
        const largest = Math.max(...Object.values(plan.set));
        if (!isErrno(error, EINVAL) || largest === 0) {
          failures.push(errorText(error));
          return this.#limitsReport(present, failures);
        }
        // Downwards, because a refusal changes nothing and needs no undoing. BOUNDED: by the first wish.
        this.#maximum = largest - 1;
      }
    }
  }

  /**
   * Sets limits for a user: they stay at that, whatever is needed, and are not put back.
   * @throws NetlinkError; nothing has changed then
   */
  setLimits(limits: Partial<Limits>): void {
    this.#kernel.setLimits(limits);
    const raised: { -readonly [Name in LimitName]?: RaisedLimit } = { ...this.#raised };
    for (const name of LIMIT_NAMES) {
      if (limits[name] === undefined) continue;
      this.#handsOff.add(name);
      delete raised[name];
    }
    // A record that tells of more than there is does no harm: the limit is not as it says.
    for (const failure of this.#remember(raised)) this.#logger.warn({}, failure);
  }

  #limitsReport(limits: Limits, failures: readonly string[]): LimitsReport {
    return { limits, failures, ...(this.#maximum === undefined ? {} : { maximum: this.#maximum }) };
  }

  /** @returns why it could not be written */
  #remember(raised: RaisedLimits): string[] {
    const same = LIMIT_NAMES.every(
      (name) =>
        raised[name]?.set === this.#raised[name]?.set && raised[name]?.former === this.#raised[name]?.former,
    );
    if (same) return [];
    this.#raised = raised;
    return this.#save();
  }

  #leaveAlone(name: LimitName, present: number): void {
    this.#handsOff.add(name);
    this.#logger.warn(
      { limit: name, present },
      `another program set the MPTCP limit "${name}" to ${present}; Weft leaves it at that`,
    );
  }

  /** Removes the own endpoints and puts the limits back. The rest of the host's endpoints and limits stay. */
  removeAll(): string[] {
    const failures = this.#remove([]);
    const restored = planRestore({ present: this.#kernel.limits(), raised: this.#raised });
    try {
      if (Object.keys(restored).length > 0) this.#kernel.setLimits(restored);
      this.#raised = {};
    } catch (error) {
      failures.push(errorText(error));
    }
    return [...failures, ...this.#save()];
  }
}

function recordOf({ address, flags, id, linkIndex }: EndpointAddition): OwnedEndpoint {
  return { address, flags, id, linkIndex };
}
