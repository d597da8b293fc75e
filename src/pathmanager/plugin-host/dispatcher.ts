/**
 * Who is told what (pure): a new connection goes to the default plugin and is bound to it by its token; the
 * connection's later events go to that plugin; listeners go to the default plugin; interfaces and addresses to all.
 *
 * The way of an event is short, because there may be tens of thousands a second: table, binding, and the argument is
 * only made when the plugin has registered that callback.
 */
import { EventType, type MptcpEvent } from '../../mptcp/index.ts';
import type { PluginCallbackName, PluginCallbacks } from '../plugin-api.ts';
import { ConnectionTable, type TableEntry } from './connection-table.ts';
import { callbackArgument, callbackOf } from './event-decode.ts';

/** The argument of a callback; those without one are given `undefined`. */
export type CallbackArgument<Name extends PluginCallbackName> = Parameters<
  NonNullable<PluginCallbacks[Name]>
>[0];

/** A name that a plugin registered, with its callbacks. */
export interface DispatchTarget {
  readonly name: string;
  wants(callback: PluginCallbackName): boolean;
  /** Never throws and does not wait. */
  deliver(callback: PluginCallbackName, argument: object | undefined): void;
}

export interface DispatchCounters {
  dispatched: number;
  unmatched: number;
}

export class Dispatcher<Target extends DispatchTarget> {
  readonly connections = new ConnectionTable<Target>();
  readonly counters: DispatchCounters = { dispatched: 0, unmatched: 0 };
  /** Told of the end of a connection, after its plugin was. */
  readonly #onClosed: ((token: number, target: Target | undefined) => void) | undefined;
  #targets: readonly Target[] = [];
  #preferred: string | undefined;
  #default: Target | undefined;

  constructor(preferred: string | undefined, onClosed?: (token: number, target: Target | undefined) => void) {
    this.#preferred = preferred;
    this.#onClosed = onClosed;
  }

  get targets(): readonly Target[] {
    return this.#targets;
  }

  /** The one of the preferred name, otherwise the first. */
  get defaultTarget(): Target | undefined {
    return this.#default;
  }

  #choose(): void {
    this.#default = this.#targets.find((target) => target.name === this.#preferred) ?? this.#targets[0];
  }

  prefer(name: string | undefined): void {
    this.#preferred = name;
    this.#choose();
  }

  /** In the order of the plugins; the first is the default where none is preferred. */
  setTargets(targets: readonly Target[]): void {
    this.#targets = targets;
    this.#choose();
  }

  /** Takes a target out; its connections are nobody's from then on. @returns how many */
  remove(target: Target): number {
    this.setTargets(this.#targets.filter((known) => known !== target));
    return this.connections.unbind(target);
  }

  /** One event of the kernel, or one made up for what was lost (`adopted`). @returns whether it was news */
  handleEvent(event: MptcpEvent, adopted = false): boolean {
    const { token } = event;
    switch (event.type) {
      case EventType.created:
        return this.#open(event, adopted);
      case EventType.closed:
        return this.#close(event, token ?? 0);
      case EventType.listenerCreated:
      case EventType.listenerClosed:
        this.#tell(this.#default, event, false);
        return true;
      default:
        return token !== undefined && this.#follow(event, token, adopted);
    }
  }

  #tell(target: Target | undefined, event: MptcpEvent, adopted: boolean): void {
    const name = callbackOf(event.type);
    if (target === undefined || name === undefined || !target.wants(name)) return;
    this.counters.dispatched++;
    target.deliver(name, callbackArgument(event, name, adopted));
  }

  #open(event: MptcpEvent, adopted: boolean): boolean {
    const target = this.#default;
    if (this.connections.open(event, target, adopted) === undefined) return false;
    this.#tell(target, event, adopted);
    return true;
  }

  #close(event: MptcpEvent, token: number): boolean {
    const entry = this.connections.close(token);
    // A connection that was refused has an end without a beginning.
    if (entry === undefined) return false;
    this.#tell(entry.owner, event, false);
    this.#onClosed?.(token, entry.owner);
    return true;
  }

  #follow(event: MptcpEvent, token: number, adopted: boolean): boolean {
    const entry: TableEntry<Target> | undefined = this.connections.get(token);
    if (entry === undefined) {
      this.counters.unmatched++;
      return false;
    }
    if (this.connections.receive(entry, event) !== 'news') return false;
    this.#tell(entry.owner, event, adopted);
    return true;
  }

  /** To every plugin: interfaces, addresses, the path manager's coming and going. */
  tellAll(name: PluginCallbackName, argument: object | undefined): void {
    for (const target of this.#targets) {
      if (!target.wants(name)) continue;
      this.counters.dispatched++;
      target.deliver(name, argument);
    }
  }
}
