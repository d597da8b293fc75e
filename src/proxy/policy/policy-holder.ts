/**
 * The policy in force. What is under way keeps what was decided for it; whoever decides anew asks here.
 *
 * Invariant: listeners hear of a policy after it is in force, and only of one that could be compiled.
 */
import { CompiledPolicy } from './compiled-policy.ts';
import type { ProxyPolicy } from './types.ts';

export class PolicyHolder {
  #current: CompiledPolicy;
  #generation = 0;
  /** BOUNDED: the parts of one proxy. */
  readonly #listeners: ((compiled: CompiledPolicy) => void)[] = [];

  /** @throws WeftError `BAD_POLICY` */
  constructor(policy: ProxyPolicy) {
    this.#current = new CompiledPolicy(policy);
  }

  get current(): CompiledPolicy {
    return this.#current;
  }

  /** Counts policies; two equal numbers are one policy. */
  get generation(): number {
    return this.#generation;
  }

  onChange(listener: (compiled: CompiledPolicy) => void): void {
    this.#listeners.push(listener);
  }

  /** @throws WeftError `BAD_POLICY`; the former one stays in force then */
  replace(policy: ProxyPolicy): void {
    this.#current = new CompiledPolicy(policy);
    this.#generation++;
    for (const listener of this.#listeners) listener(this.#current);
  }
}
