/**
 * Which endpoints to make, to change and to remove (pure). One for each wanted address, bound to its link.
 *
 * The kernel's endpoints carry no owner mark, so ownership is a record (ownership.ts): an endpoint is Weft's own
 * when the record names its address, id, link and kind. Everything else is another program's (NetworkManager's, an
 * administrator's): it counts as the path's endpoint where it serves, and is never changed or removed.
 *
 * References: facts of the kernel's table in net/mptcp/pm_kernel.c: one endpoint for an address, ids 1-255, a
 * bound on their number that differs between kernels (8 in 6.18, 255 in 7.x).
 */
import { EndpointFlag, type Endpoint, type EndpointSpec } from '../mptcp/index.ts';

/** An address that wants an endpoint. */
export interface WantedEndpoint {
  readonly address: string;
  readonly linkIndex: number;
  /** EndpointFlag bits. */
  readonly flags: number;
}

/** What Weft remembers of an endpoint that it made. */
export interface OwnedEndpoint {
  readonly address: string;
  readonly id: number;
  readonly linkIndex: number;
  /** As Weft made or changed it. */
  readonly flags: number;
}

export interface EndpointAddition extends OwnedEndpoint {
  /** The kernel has an implicit endpoint of this address, which it turns into this one only if no id is named. */
  readonly replacesImplicit: boolean;
}

/** Own flags that are to be others. */
export interface EndpointChange {
  readonly record: OwnedEndpoint;
  readonly flags: number;
}

/** How an address stands with the kernel's endpoints. */
export interface EndpointUse {
  readonly address: string;
  /** `own` and `foreign`: there is one; `missing`: about to be made; `waiting`: the kernel's table is full. */
  readonly state: 'own' | 'foreign' | 'missing' | 'waiting';
  readonly id?: number;
  readonly backup: boolean;
  /** In words, when it is not what is wanted. */
  readonly why?: string;
}

export interface EndpointPlan {
  readonly deletions: readonly OwnedEndpoint[];
  readonly additions: readonly EndpointAddition[];
  readonly changes: readonly EndpointChange[];
  /** Own ones that are there and stay. */
  readonly kept: readonly OwnedEndpoint[];
  /** In the order of what is wanted. */
  readonly uses: readonly EndpointUse[];
}

export interface EndpointTable {
  readonly present: readonly Endpoint[];
  readonly owned: readonly OwnedEndpoint[];
  /** How many endpoints the kernel takes; absent until it refused one. */
  readonly capacity?: number;
  /** The id given last; ids are not used again soon, because a peer may still act on the old one's removal. */
  readonly lastId: number;
}

const MAX_ID = 255;

/** The kernel changes these of an endpoint that stays the same one, and of its live subflows. */
const CHANGEABLE = EndpointFlag.backup | EndpointFlag.fullmesh;

const kindOf = ({ flags }: { readonly flags: number }) => flags & ~CHANGEABLE;

/** Whether the endpoint in the kernel is the one that the record tells of. */
export function isSame(record: OwnedEndpoint, endpoint: Endpoint): boolean {
  return (
    record.address === endpoint.address &&
    record.id === endpoint.id &&
    record.linkIndex === endpoint.linkIndex &&
    endpoint.port === 0 &&
    kindOf(record) === kindOf(endpoint)
  );
}

/** Weft's endpoints of the record that are still there. */
export function stillThere(table: Pick<EndpointTable, 'owned' | 'present'>): OwnedEndpoint[] {
  return table.owned.filter((record) => table.present.some((endpoint) => isSame(record, endpoint)));
}

export function nextId(lastId: number, used: ReadonlySet<number>): number | undefined {
  for (let step = 1; step <= MAX_ID; step++) {
    const id = ((lastId + step - 1) % MAX_ID) + 1;
    if (!used.has(id)) return id;
  }
  return undefined;
}

const isBackup = ({ flags }: { readonly flags: number }) => (flags & EndpointFlag.backup) !== 0;

/** Why another program's endpoint does not serve in the place of a wanted one. */
function whyOfNoUse(wanted: WantedEndpoint, endpoint: Endpoint): string | undefined {
  const lacking = wanted.flags & ~endpoint.flags;
  if ((lacking & EndpointFlag.subflow) !== 0) {
    return 'it has no "subflow" flag, so connections from here do not use it';
  }
  if ((lacking & EndpointFlag.signal) !== 0) {
    return 'it has no "signal" flag, so peers are not told of it';
  }
  const elsewhere = endpoint.linkIndex !== 0 && endpoint.linkIndex !== wanted.linkIndex;
  return elsewhere ? 'it is bound to another link' : undefined;
}

function describeForeign(wanted: WantedEndpoint, endpoint: Endpoint): EndpointUse {
  const use = {
    address: wanted.address,
    state: 'foreign',
    id: endpoint.id,
    backup: isBackup(endpoint),
  } as const;
  const reason = whyOfNoUse(wanted, endpoint);
  if (reason === undefined) return use;
  return { ...use, why: `another program made endpoint ${endpoint.id} of this address: ${reason}` };
}

/** The endpoint in the kernel that takes the place of a wanted one. */
function findTaken(wanted: WantedEndpoint, present: readonly Endpoint[]): Endpoint | undefined {
  return present.find(
    (endpoint) =>
      endpoint.address === wanted.address &&
      endpoint.port === 0 &&
      (endpoint.flags & EndpointFlag.implicit) === 0,
  );
}

/** One that the kernel made by itself, for a subflow from an address that had none. */
function findImplicit(wanted: WantedEndpoint, present: readonly Endpoint[]): Endpoint | undefined {
  return present.find(
    (endpoint) => endpoint.address === wanted.address && (endpoint.flags & EndpointFlag.implicit) !== 0,
  );
}

/** @param wanted most important first; each address once */
export function planEndpoints(wanted: readonly WantedEndpoint[], table: EndpointTable): EndpointPlan {
  const { present, capacity = Infinity } = table;
  const own = new Map(stillThere(table).map((record) => [record.address, record]));
  const uses: EndpointUse[] = [];
  const additions: EndpointAddition[] = [];
  const kept: OwnedEndpoint[] = [];
  const changes: EndpointChange[] = [];
  const usedIds = new Set(present.map((endpoint) => endpoint.id));
  let lastId = table.lastId;
  // What is not Weft's has its place whatever Weft wants. An implicit one counts too: while the table is full the
  // kernel does not even exchange it.
  const isMine = (endpoint: Endpoint) => own.get(endpoint.address)?.id === endpoint.id;
  let free = capacity - present.filter((endpoint) => !isMine(endpoint)).length;

  for (const item of wanted) {
    const taken = findTaken(item, present);
    const record = own.get(item.address);
    if (taken !== undefined && record?.id !== taken.id) {
      uses.push(describeForeign(item, taken));
      continue;
    }
    if (free <= 0) {
      uses.push({
        address: item.address,
        state: 'waiting',
        backup: isBackup(item),
        why: `the kernel takes ${capacity} endpoints, and all are in use; this address is next when one is free`,
      });
      continue;
    }
    free--;
    if (taken !== undefined && record?.linkIndex === item.linkIndex && kindOf(record) === kindOf(item)) {
      kept.push(record);
      // Compared with what Weft set last: what an administrator changed since then stays as it is.
      if (record.flags !== item.flags) changes.push({ record, flags: item.flags });
      uses.push({ address: item.address, state: 'own', id: record.id, backup: isBackup(taken) });
      continue;
    }
    const implicit = findImplicit(item, present);
    const id = implicit?.id ?? nextId(lastId, usedIds);
    if (id === undefined) {
      uses.push({
        address: item.address,
        state: 'waiting',
        backup: isBackup(item),
        why: 'no endpoint id is free',
      });
      continue;
    }
    usedIds.add(id);
    if (implicit === undefined) lastId = id;
    additions.push({
      address: item.address,
      id,
      linkIndex: item.linkIndex,
      flags: item.flags,
      replacesImplicit: implicit !== undefined,
    });
    uses.push({ address: item.address, state: 'missing', id, backup: isBackup(item) });
  }
  const staying = new Set(kept);
  const deletions = [...own.values()].filter((record) => !staying.has(record));
  return { deletions, additions, changes, kept, uses };
}

/** How the kernel is asked for an addition. */
export function additionSpec(addition: EndpointAddition): EndpointSpec {
  const { address, flags, id, linkIndex, replacesImplicit } = addition;
  return { address, flags, linkIndex, ...(replacesImplicit ? {} : { id }) };
}
