/**
 * One connection whose subflows are kept (pure): what stands, what was begun, what failed and when it is tried again.
 * `reconcile` compares it with the plan and says what to do.
 *
 * Invariants: the last subflow is never closed; what was begun counts until its outcome is known, so nothing is begun
 * twice; nothing that failed is begun again before its time.
 */
import type { PathAddress, SubflowClosedEvent, SubflowEvent } from '../plugin-api.ts';
import type { KeeperCommand } from './keeper-commands.ts';
import { retryDelayMs, type RetryTimes } from './retry-pace.ts';
import type {
  ConnectionState,
  LiveSubflow,
  PeerAddress,
  SocketOwner,
  SubflowPlan,
  WantedSubflows,
} from './subflow-plan.ts';

/** Longer than the kernel goes on sending SYNs (127 s), after which it tells that the subflow is closed. */
const PENDING_LIMIT_MS = 180_000;
/** RFC 8684 section 3.6: administratively prohibited; Linux says so when its limit of subflows is reached. */
const RESET_PROHIBITED = 3;
const TRACKS_MAX = 256;
const ID_MAX = 255;

interface KeptSubflow extends LiveSubflow {
  readonly sinceMs: number;
  /** What this end asked for; `undefined` when that is not known, because it was asked for before. */
  backup: boolean | undefined;
  closing: boolean;
}

/** What is known of trying something again and again. */
interface Track {
  failures: number;
  retryAtMs: number;
  /** Begun, and not yet heard of. */
  pending: number;
  pendingUntilMs: number;
  pendingBackup: boolean;
  /** Those that stood or were begun, ever. */
  begun: number;
}

export interface KeeperTimes extends RetryTimes {
  readonly random: () => number;
}

const pairKey = (local: string, remote: PathAddress) => `${local}>${remote.address}>${remote.port}`;
const pairOf = (subflow: Pick<LiveSubflow, 'local' | 'remote'>) =>
  pairKey(subflow.local.address, subflow.remote);
const subflowKey = ({ local, remote }: Pick<LiveSubflow, 'local' | 'remote'>) =>
  `${local.port}>${pairKey(local.address, remote)}`;

export class KeptConnection implements ConnectionState {
  readonly token: number;
  readonly local: PathAddress;
  readonly remote: PathAddress;
  readonly serverSide: boolean;
  readonly denyJoinId0: boolean;
  owner?: SocketOwner;
  established = false;
  /** BOUNDED by the ids of addresses, 255. */
  readonly #peers = new Map<number, PeerAddress>();
  /** BOUNDED by the kernel's subflows of one connection. */
  readonly #subflows = new Map<string, KeptSubflow>();
  /** BOUNDED: TRACKS_MAX, and those that are not wanted any more go when their time has passed. */
  readonly #tracks = new Map<string, Track>();
  /** What the connection knows local addresses by, each by another. BOUNDED: 255 ids. */
  readonly #ids = new Map<string, number>();
  /** Announced here, by address. BOUNDED by the host's addresses. */
  readonly #announced = new Map<string, Track>();

  constructor(ends: Omit<ConnectionState, 'peerAddresses' | 'subflows' | 'owner'>) {
    this.token = ends.token;
    this.local = ends.local;
    this.remote = ends.remote;
    this.serverSide = ends.serverSide;
    this.denyJoinId0 = ends.denyJoinId0;
  }

  get peerAddresses(): PeerAddress[] {
    return [...this.#peers.values()];
  }

  get subflows(): KeptSubflow[] {
    return [...this.#subflows.values()].filter((subflow) => !subflow.closing);
  }

  /** Whether a subflow or an announcement is at this address of the host. */
  uses(address: string): boolean {
    if (this.#announced.has(address)) return true;
    for (const subflow of this.#subflows.values()) if (subflow.local.address === address) return true;
    return false;
  }

  addPeerAddress({ remoteId: id, address, port }: { remoteId: number } & PathAddress): void {
    this.#peers.set(id, { id, address, port });
  }

  removePeerAddress(id: number): void {
    this.#peers.delete(id);
  }

  addSubflow(event: Omit<SubflowEvent, 'token'>, nowMs: number): void {
    const key = subflowKey(event);
    if (this.#subflows.has(key)) return;
    const track = this.#trackOf(pairOf(event));
    const own = track.pending > 0;
    if (own) track.pending--;
    else track.begun++;
    const { local, remote, localId, remoteId, linkIndex } = event;
    // A subflow at an announced port has the id of that announcement.
    if (!this.#isTaken(localId)) this.#ids.set(idKey(local.address, false), localId);
    this.#subflows.set(key, {
      local,
      remote,
      localId,
      remoteId,
      ...(linkIndex === undefined ? {} : { linkIndex }),
      sinceMs: nowMs,
      backup: own ? track.pendingBackup : event.adopted ? undefined : false,
      closing: false,
    });
  }

  removeSubflow(
    event: Pick<SubflowClosedEvent, 'local' | 'remote' | 'resetReason'>,
    nowMs: number,
    times: KeeperTimes,
  ): void {
    const key = subflowKey(event);
    const subflow = this.#subflows.get(key);
    this.#subflows.delete(key);
    const track = this.#trackOf(pairOf(event));
    if (subflow === undefined) {
      // One that could not be connected has an end without a beginning.
      if (track.pending === 0) return;
      track.pending--;
    } else {
      if (subflow.closing) return;
      if (nowMs - subflow.sinceMs >= times.stableMs) track.failures = 0;
    }
    fail(track, nowMs, times);
    // Asking again soon would only be refused again.
    if (event.resetReason === RESET_PROHIBITED) {
      track.retryAtMs = nowMs + retryDelayMs(Infinity, times, times.random());
    }
  }

  /** The kernel refused a command. */
  handleFailure(command: KeeperCommand, nowMs: number, times: KeeperTimes): void {
    switch (command.kind) {
      case 'create': {
        const track = this.#tracks.get(pairKey(command.local.address, command.remote));
        if (track === undefined) return;
        track.pending = Math.max(0, track.pending - 1);
        fail(track, nowMs, times);
        return;
      }
      case 'announce': {
        const track = this.#announced.get(command.address);
        if (track === undefined) return;
        track.pending = 0;
        fail(track, nowMs, times);
        return;
      }
      case 'close': {
        const subflow = this.#subflows.get(subflowKey(command));
        if (subflow !== undefined) subflow.closing = false;
        return;
      }
      default:
      // The address is gone in any case, and a flag is set again when the plan changes.
    }
  }

  #trackOf(key: string): Track {
    let track = this.#tracks.get(key);
    if (track === undefined) {
      track = newTrack();
      this.#tracks.set(key, track);
      const oldest = this.#tracks.keys().next();
      if (this.#tracks.size > TRACKS_MAX && oldest.done !== true) this.#tracks.delete(oldest.value);
    }
    return track;
  }

  #isTaken(id: number): boolean {
    for (const known of this.#ids.values()) if (known === id) return true;
    return false;
  }

  /**
   * The id that the connection knows a local address by; `undefined` when it does not know it yet.
   * @param listening the address with a port of its own, which for the kernel is another one
   */
  knownId(address: string, listening: boolean): number | undefined {
    return address === this.local.address && !listening ? 0 : this.#ids.get(idKey(address, listening));
  }

  /** The connection is older than this process, and knows the address already. */
  learnId(address: string, port: number, id: number): void {
    this.#ids.set(port === 0 ? idKey(address, false) : `${address} port ${port}`, id);
  }

  /** The id to name a local address by from now on: the one that is proposed, unless it is another address's here. */
  takeId(address: string, listening: boolean, proposed: number): number {
    const known = this.knownId(address, listening);
    if (known !== undefined) return known;
    let id = proposed;
    for (let other = ID_MAX; this.#isTaken(id) && other > 0; other--) id = other;
    this.#ids.set(idKey(address, listening), id);
    return id;
  }

  /**
   * What is to be done now, added to `commands`.
   *
   * @param gone addresses that this host had and has no more
   * @returns when to look again if nothing happens before, Infinity for never
   */
  reconcile(
    plan: SubflowPlan,
    gone: ReadonlySet<string>,
    nowMs: number,
    times: KeeperTimes,
    commands: KeeperCommand[],
  ): number {
    this.#leave(gone, commands);
    this.#refuse(plan, commands);
    this.#setBackups(plan, commands);
    this.#forget(plan, gone, nowMs);
    if (!this.established) return Infinity;
    return Math.min(this.#create(plan, nowMs, times, commands), this.#announce(plan, nowMs, commands));
  }

  /** Tells the peer of addresses that this host has lost: their subflows could not do it themselves. */
  #leave(gone: ReadonlySet<string>, commands: KeeperCommand[]): void {
    for (const address of gone) {
      const there = this.subflows.filter((subflow) => subflow.local.address === address);
      const staying = this.subflows.some((subflow) => !gone.has(subflow.local.address));
      if (!staying || (there.length === 0 && !this.#announced.has(address))) continue;
      this.#announced.delete(address);
      const ids = [this.knownId(address, false), this.knownId(address, true)];
      const localIds = ids.filter((id) => id !== undefined);
      commands.push({
        kind: 'leave',
        token: this.token,
        address,
        localIds,
        subflows: there,
      });
      for (const subflow of there) subflow.closing = true;
    }
  }

  #refuse(plan: SubflowPlan, commands: KeeperCommand[]): void {
    for (const subflow of this.subflows) {
      const why = plan.refused.get(subflow);
      if (why === undefined || this.subflows.length < 2) continue;
      // One that is not refused has to carry the connection then.
      if (this.subflows.every((other) => plan.refused.has(other))) return;
      subflow.closing = true;
      const { local, remote } = subflow;
      commands.push({ kind: 'close', token: this.token, local, remote, why });
    }
  }

  #setBackups(plan: SubflowPlan, commands: KeeperCommand[]): void {
    for (const subflow of this.subflows) {
      const backup = plan.backups.get(subflow);
      if (backup === undefined || backup === subflow.backup) continue;
      subflow.backup = backup;
      const { local, remote } = subflow;
      commands.push({ kind: 'backup', token: this.token, local, remote, backup });
    }
  }

  #forget(plan: SubflowPlan, gone: ReadonlySet<string>, nowMs: number): void {
    const wanted = new Set(plan.wanted.map((item) => pairKey(item.local.address, item.remote)));
    for (const [key, track] of this.#tracks) {
      if (wanted.has(key) || track.pending > 0) continue;
      const stands = [...this.#subflows.values()].some((subflow) => pairOf(subflow) === key);
      if (stands) continue;
      // An address that comes back is a new chance; a peer that announces the same again and again is not.
      const lost = gone.has(key.slice(0, key.indexOf('>')));
      if (lost || track.retryAtMs <= nowMs) this.#tracks.delete(key);
    }
  }

  #create(plan: SubflowPlan, nowMs: number, times: KeeperTimes, commands: KeeperCommand[]): number {
    let dueMs = Infinity;
    let begun = 0;
    for (const track of this.#tracks.values()) {
      if (track.pending > 0 && track.pendingUntilMs <= nowMs) {
        track.pending = 0;
        fail(track, nowMs, times);
      }
      if (track.pending > 0) dueMs = Math.min(dueMs, track.pendingUntilMs);
      begun += track.pending;
    }
    let room = plan.maximum - this.subflows.length - begun;
    for (const wanted of plan.wanted) {
      const key = pairKey(wanted.local.address, wanted.remote);
      const standing = this.subflows.filter((subflow) => pairOf(subflow) === key).length;
      const track = this.#trackOf(key);
      const had = plan.reestablish ? standing + track.pending : track.begun;
      let missing = wanted.count - had;
      if (missing > 0 && track.retryAtMs > nowMs) {
        dueMs = Math.min(dueMs, track.retryAtMs);
        continue;
      }
      for (; missing > 0 && room > 0; missing--, room--) {
        begin(track, nowMs, wanted.backup);
        dueMs = Math.min(dueMs, track.pendingUntilMs);
        commands.push(this.#creation(wanted));
      }
    }
    return dueMs;
  }

  #creation({ local, remote, remoteId, backup }: WantedSubflows): KeeperCommand {
    const { address, linkIndex } = local;
    return {
      kind: 'create',
      token: this.token,
      local: { address, linkIndex },
      remote,
      remoteId,
      backup,
    };
  }

  #announce(plan: SubflowPlan, nowMs: number, commands: KeeperCommand[]): number {
    let dueMs = Infinity;
    for (const address of plan.announced) {
      let track = this.#announced.get(address);
      if (track === undefined) {
        track = newTrack();
        this.#announced.set(address, track);
      }
      if (track.pending > 0) continue;
      if (track.retryAtMs > nowMs) {
        dueMs = Math.min(dueMs, track.retryAtMs);
        continue;
      }
      track.pending = 1;
      const listen = !this.serverSide;
      commands.push({ kind: 'announce', token: this.token, address, listen });
    }
    return dueMs;
  }
}

const idKey = (address: string, listening: boolean) => (listening ? `${address} listening` : address);

function newTrack(): Track {
  return { failures: 0, retryAtMs: 0, pending: 0, pendingUntilMs: 0, pendingBackup: false, begun: 0 };
}

function begin(track: Track, nowMs: number, backup: boolean): void {
  track.pending++;
  track.begun++;
  track.pendingUntilMs = nowMs + PENDING_LIMIT_MS;
  track.pendingBackup = backup;
}

function fail(track: Track, nowMs: number, times: KeeperTimes): void {
  track.failures++;
  track.retryAtMs = nowMs + retryDelayMs(track.failures, times, times.random());
}
