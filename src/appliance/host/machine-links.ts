/**
 * The NICs of one running machine, kept as a plan wants them: plugged and unplugged, with or without carrier, and told
 * to the guest; each only when it is not so already.
 */
import { errorText } from '../../base/index.ts';
import { uplinkLink } from './guest-links.ts';
import type { Machine } from './machine.ts';
import type { LinkPlan, SlotAddress, UplinkSlot } from './types.ts';

export const ASK_MS = 10_000;
export const LINK_WAIT_MS = 20_000;

const sameSlot = (a: SlotAddress, b: SlotAddress) =>
  a.prefixes.ipv4.address === b.prefixes.ipv4.address && a.prefixes.ipv6.address === b.prefixes.ipv6.address;

export class MachineLinks {
  readonly #machine: Machine;
  /** BOUNDED by the slots, all three: what the guest was told of a NIC, the carrier that it sees, what went wrong. */
  readonly #told = new Map<number, string>();
  readonly #carrier = new Map<number, boolean>();
  readonly #problems = new Map<number, string>();
  readonly #hostSlot: number;
  /** NICs that were plugged or unplugged. */
  changes = 0;

  constructor(machine: Machine, plan: LinkPlan) {
    this.#machine = machine;
    this.#hostSlot = plan.host.slot;
  }

  isPlugged(slot: number): boolean {
    return this.#machine.plugged.some((there) => there.slot === slot);
  }

  /** What could not be done for it at the last look. */
  problemOf(slot: number): string | undefined {
    return this.#problems.get(slot);
  }

  /** Unplugs what the plan does not have, or has with other addresses. @returns what could not be done, for the user */
  async removeObsolete(plan: LinkPlan): Promise<string[]> {
    const failures: string[] = [];
    for (const there of this.#machine.plugged) {
      if (there.slot === this.#hostSlot) continue;
      const wanted = plan.uplinks.find(({ slot }) => slot === there.slot);
      if (wanted !== undefined && sameSlot(wanted, there)) continue;
      this.#told.delete(there.slot);
      this.#carrier.delete(there.slot);
      this.changes++;
      try {
        await this.#machine.agent.ask({ do: 'unlink', mac: there.mac }, ASK_MS);
        await this.#machine.unplug(there.slot);
      } catch (error) {
        failures.push(`unplug "${there.tapName}" from the appliance: ${errorText(error)}`);
      }
    }
    return failures;
  }

  /** Makes all of the plan's uplinks so. @returns what could not be done, for the user; the next look tries again */
  async provide(plan: LinkPlan): Promise<string[]> {
    const failures: string[] = [];
    this.#problems.clear();
    for (const slot of plan.uplinks) {
      try {
        await this.#provide(slot);
      } catch (error) {
        this.#problems.set(slot.slot, errorText(error));
        failures.push(`${slot.uplink.linkName}: ${errorText(error)}`);
      }
    }
    return failures;
  }

  async #provide(slot: UplinkSlot): Promise<void> {
    const { usable } = slot.uplink;
    const machine = this.#machine;
    if (!this.isPlugged(slot.slot)) {
      await machine.plug(slot, slot.uplink.mtuBytes);
      this.changes++;
    }
    if ((this.#carrier.get(slot.slot) ?? true) !== usable) {
      await machine.setCarrier(slot.slot, usable);
      this.#carrier.set(slot.slot, usable);
    }
    // What the guest knows of a link that is down stays, for when it is up again.
    if (!usable) return;
    const link = uplinkLink(slot);
    const text = JSON.stringify(link);
    if (this.#told.get(slot.slot) === text) return;
    await machine.agent.ask({ do: 'link', link, waitMs: LINK_WAIT_MS }, LINK_WAIT_MS + ASK_MS);
    this.#told.set(slot.slot, text);
  }
}
