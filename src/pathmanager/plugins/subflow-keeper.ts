/**
 * Keeps the subflows of every connection as the plugin's plan wants them (pure): events and time in, commands out.
 * The four shipped userspace plugins differ only in their `Planner`.
 *
 * Usage: tell it what happens (`handle…`), then ask `poll` until it has nothing to do, and again at `nextWakeMs`.
 *
 * Invariants: only connections that something happened to are looked at; one poll gives at most POLL_COMMANDS_MAX
 * commands and one connection's more.
 */
import type { ConnectionEvent, RemoteAddressEvent, SubflowClosedEvent, SubflowEvent } from '../plugin-api.ts';
import type { KeeperCommand } from './keeper-commands.ts';
import { KeptConnection, type KeeperTimes } from './kept-connection.ts';
import type { ConnectionState, LocalAddress, Planner, SocketOwner } from './subflow-plan.ts';

/** So that 20,000 connections that lose a path in one moment do not stop everything else. */
const POLL_COMMANDS_MAX = 64;

export class SubflowKeeper {
  readonly #planner: Planner;
  readonly #times: KeeperTimes;
  /** UNBOUNDED by itself: one for each connection of the host, until its end is told. */
  readonly #connections = new Map<number, KeptConnection>();
  /** Something happened to them. BOUNDED by the connections, as are the next two. */
  readonly #changed = new Set<number>();
  /** When to look again, by token. */
  readonly #due = new Map<number, number>();
  /** Not later than the earliest of them. */
  #earliestMs = Infinity;
  #locals: readonly LocalAddress[] = [];
  /** Lost, and still used by a connection. */
  #gone: ReadonlySet<string> = new Set();

  constructor(planner: Planner, times: KeeperTimes) {
    this.#planner = planner;
    this.#times = times;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  connection(token: number): ConnectionState | undefined {
    return this.#connections.get(token);
  }

  /** The host's addresses as they are now. */
  handleNetwork(locals: readonly LocalAddress[]): void {
    const present = new Set(locals.map((local) => local.address));
    const lost = [...this.#gone, ...this.#locals.map((local) => local.address)].filter(
      (address) => !present.has(address),
    );
    const gone = new Set<string>();
    for (const connection of this.#connections.values()) {
      this.#changed.add(connection.token);
      for (const address of lost) if (connection.uses(address)) gone.add(address);
    }
    this.#gone = gone;
    this.#locals = locals;
  }

  handleConnection(event: ConnectionEvent, nowMs: number): void {
    if (this.#connections.has(event.token)) return;
    const connection = new KeptConnection(event);
    // No event tells of the first subflow. Of an adopted connection it may be gone; those that stand are told.
    if (!event.adopted) {
      const { local, remote } = event;
      connection.addSubflow({ local, remote, localId: 0, remoteId: 0, backup: false, adopted: false }, nowMs);
    }
    this.#connections.set(event.token, connection);
  }

  handleEstablished(token: number): void {
    const connection = this.#touch(token);
    if (connection !== undefined) connection.established = true;
  }

  handleClosed(token: number): void {
    this.#connections.delete(token);
    this.#changed.delete(token);
    this.#due.delete(token);
    if (this.#due.size === 0) this.#earliestMs = Infinity;
  }

  /** Whose the connection is has been found out. */
  handleOwner(token: number, owner: SocketOwner): void {
    const connection = this.#touch(token);
    if (connection !== undefined) connection.owner = owner;
  }

  handlePeerAddress(event: RemoteAddressEvent): void {
    this.#touch(event.token)?.addPeerAddress(event);
  }

  handlePeerAddressRemoved(token: number, remoteId: number): void {
    this.#touch(token)?.removePeerAddress(remoteId);
  }

  handleSubflow(event: SubflowEvent, nowMs: number): void {
    this.#touch(event.token)?.addSubflow(event, nowMs);
  }

  handleSubflowClosed(event: SubflowClosedEvent, nowMs: number): void {
    this.#touch(event.token)?.removeSubflow(event, nowMs, this.#times);
  }

  /** The kernel refused it. */
  handleFailure(command: KeeperCommand, nowMs: number): void {
    this.#touch(command.token)?.handleFailure(command, nowMs, this.#times);
  }

  /** Another plan may be had now (the rules were read anew). */
  handlePlanChange(): void {
    for (const token of this.#connections.keys()) this.#changed.add(token);
  }

  #touch(token: number): KeptConnection | undefined {
    const connection = this.#connections.get(token);
    if (connection !== undefined) this.#changed.add(token);
    return connection;
  }

  /** Its address ids are asked for by those who carry out commands; `undefined`: it has ended. */
  ids(token: number): Pick<KeptConnection, 'knownId' | 'learnId' | 'takeId'> | undefined {
    return this.#connections.get(token);
  }

  /** When `poll` has something to do if nothing is told before; Infinity for never. It may turn out to be too early. */
  get nextWakeMs(): number {
    return this.#changed.size > 0 ? -Infinity : this.#earliestMs;
  }

  /** What is to be done. Empty when there is nothing to do until `nextWakeMs`. */
  poll(nowMs: number): KeeperCommand[] {
    if (nowMs >= this.#earliestMs) this.#collectDue(nowMs);
    const commands: KeeperCommand[] = [];
    for (const token of this.#changed) {
      this.#changed.delete(token);
      this.#reconcile(token, nowMs, commands);
      if (commands.length >= POLL_COMMANDS_MAX) break;
    }
    return commands;
  }

  #collectDue(nowMs: number): void {
    this.#earliestMs = Infinity;
    for (const [token, dueMs] of this.#due) {
      if (dueMs <= nowMs) this.#changed.add(token);
      else this.#earliestMs = Math.min(this.#earliestMs, dueMs);
    }
  }

  #reconcile(token: number, nowMs: number, commands: KeeperCommand[]): void {
    this.#due.delete(token);
    const connection = this.#connections.get(token);
    const plan = connection === undefined ? undefined : this.#planner(connection, this.#locals);
    if (connection === undefined || plan === undefined) return;
    const dueMs = connection.reconcile(plan, this.#gone, nowMs, this.#times, commands);
    if (dueMs === Infinity) return;
    this.#due.set(token, dueMs);
    this.#earliestMs = Math.min(this.#earliestMs, dueMs);
  }
}
