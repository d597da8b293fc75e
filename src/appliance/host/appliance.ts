/**
 * The appliance as one thing: boots the machine, keeps its links in step with the host's uplinks, boots it again when
 * it dies, and ends it with everything that was made for it. What the host's uplinks are is told from outside
 * (service/appliance), each time anew and as a whole.
 *
 *   handleHost ─► plan ─► unplug what went ─► rules, forwarding, firewall ─► plug what came ─► tell the guest
 *
 * Invariants: one of these at a time, in the order asked; of several hosts that wait only the last counts. After
 * `stop` nothing of the appliance is left, and nothing begins again.
 */
import { errorText, WeftError, type Logger } from '../../base/index.ts';
import type { RouteNetlink } from '../../netlink/index.ts';
import { GUEST_PROXY_PORT, type GuestEvent, type GuestHello } from '../guest/protocol.ts';
import { guestText } from './agent-client.ts';
import { bootMachine } from './boot-machine.ts';
import { hostLink } from './guest-links.ts';
import { HostOwner } from './host-owner.ts';
import { ApplianceLedger, type ApplianceJournal } from './journal.ts';
import { removeLeftovers } from './leftovers.ts';
import { planLinks, type PrefixView } from './link-plan.ts';
import { MachineLinks, ASK_MS, LINK_WAIT_MS } from './machine-links.ts';
import type { Machine } from './machine.ts';
import { endsOf } from './prefixes.ts';
import type { BootSource } from './qemu-command.ts';
import type { HostUplink, LinkPlan, SlotAddress } from './types.ts';

/** The host at one moment. */
export interface HostSituation {
  /** The most important first. */
  readonly uplinks: readonly HostUplink[];
  readonly view: PrefixView;
}

export interface ApplianceOptions {
  /** QEMU's name or path. */
  readonly program: string;
  readonly boot: BootSource;
  readonly memoryMiB: number;
  readonly processors: number;
  /** Something of this machine's own, so that two machines choose different prefixes. */
  readonly machineId: string;
  readonly journal: ApplianceJournal;
  readonly netlink: RouteNetlink;
  readonly logger: Logger;
  /** File of the network namespace; default is this thread's own. */
  readonly netns?: string;
  /** `false`: KVM is known not to work here. Default true. */
  readonly tryKvm?: boolean;
  /** KVM was tried in vain; why. */
  readonly onKvmProblem?: (why: string) => void;
  readonly bootTimeoutMs?: number;
  /** Something of the status is different. */
  readonly onChange?: () => void;
}

export type ApplianceState = 'stopped' | 'starting' | 'running' | 'failed';

export interface LinkState {
  readonly slot: SlotAddress;
  readonly uplink: HostUplink;
  readonly plugged: boolean;
  /** What could not be done for it. */
  readonly problem?: string;
}

const BOOT_MS = 90_000;
/** A guest that dies again and again is tried ever more seldom. */
const RESTART_FIRST_MS = 1000;
const RESTART_MAX_MS = 60_000;

export class Appliance {
  readonly #options: ApplianceOptions;
  readonly #ledger: ApplianceLedger;
  readonly #owner: HostOwner;
  #state: ApplianceState = 'stopped';
  #why: string | undefined;
  #machine: Machine | undefined;
  #plan: LinkPlan | undefined;
  #situation: HostSituation | undefined;
  #bootMs: number | undefined;
  #order: Promise<void> = Promise.resolve();
  #pending: Promise<void> | undefined;
  #restart: NodeJS.Timeout | undefined;
  #restartMs = RESTART_FIRST_MS;
  #stopping = false;
  readonly #abort = new AbortController();
  #links: MachineLinks | undefined;
  #failures: readonly string[] = [];
  #linkChanges = 0;
  #restarts = 0;

  constructor(options: ApplianceOptions) {
    this.#options = options;
    this.#ledger = new ApplianceLedger(options.journal);
    const { netlink, netns } = options;
    this.#owner = new HostOwner({
      netlink,
      ledger: this.#ledger,
      ...(netns === undefined ? {} : { netns }),
    });
  }

  get state(): ApplianceState {
    return this.#state;
  }

  /** Why it failed. */
  get why(): string | undefined {
    return this.#why;
  }

  get machine(): Machine | undefined {
    return this.#machine;
  }

  get hello(): GuestHello | undefined {
    return this.#machine?.hello;
  }

  /** From QEMU's start to a proxy that listens. */
  get bootMs(): number | undefined {
    return this.#bootMs;
  }

  /** Where the guest's proxy listens; absent before the first start. */
  get proxy(): { readonly address: string; readonly port: number } | undefined {
    if (this.#plan === undefined) return undefined;
    return { address: endsOf(this.#plan.host.prefixes.ipv4).guest.address, port: GUEST_PROXY_PORT };
  }

  get hostSlot(): SlotAddress | undefined {
    return this.#plan?.host;
  }

  /** What could not be done at the last look, for the user. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  get omitted(): readonly string[] {
    return this.#plan?.omitted ?? [];
  }

  get counters(): { routesAndRulesChanged: number; linksPluggedOrUnplugged: number; restarts: number } {
    return {
      routesAndRulesChanged: this.#owner.routingChanges,
      linksPluggedOrUnplugged: this.#linkChanges + (this.#links?.changes ?? 0),
      restarts: this.#restarts,
    };
  }

  links(): LinkState[] {
    const links = this.#links;
    return (this.#plan?.uplinks ?? []).map((slot) => {
      const problem = links?.problemOf(slot.slot);
      const state = { slot, uplink: slot.uplink, plugged: links?.isPlugged(slot.slot) ?? false };
      return problem === undefined ? state : Object.assign(state, { problem });
    });
  }

  /**
   * Removes what an earlier process left, boots, and resolves when the guest's proxy listens and its links are set up.
   * @throws WeftError NO_QEMU, BOOT, NO_PREFIX, EEXIST … ; nothing is left then
   */
  start(situation: HostSituation): Promise<void> {
    this.#situation = situation;
    return this.#inOrder(async () => {
      try {
        await removeLeftovers(this.#ledger, this.#owner);
        await this.#boot();
      } catch (error) {
        await this.#end();
        throw error;
      }
    });
  }

  /** Resolves when the host and the guest's links are as the situation wants them; what failed is in `failures`. */
  handleHost(situation: HostSituation): Promise<void> {
    this.#situation = situation;
    this.#pending ??= this.#inOrder(async () => {
      this.#pending = undefined;
      if (this.#state === 'running') await this.#reconcile();
    });
    return this.#pending;
  }

  /** Ends the machine and removes everything. Harmless when not started. @throws WeftError CLEANUP */
  stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    // What is under way waits for the guest, and ends with it; what could not be removed is told below.
    this.#abort.abort();
    this.#machine?.stop().catch(() => {});
    return this.#inOrder(async () => {
      const failures = await this.#end();
      this.#owner.close();
      if (failures.length === 0) return;
      throw new WeftError(`not everything of the appliance could be removed: ${failures.join('; ')}`, {
        code: 'CLEANUP',
        hint: 'the next start tries again',
      });
    });
  }

  #inOrder(work: () => Promise<void>): Promise<void> {
    const done = this.#order.then(work);
    this.#order = done.catch(() => {});
    return done;
  }

  #become(state: ApplianceState, why?: string): void {
    this.#state = state;
    this.#why = why;
    this.#options.onChange?.();
  }

  #checkNotStopping(): void {
    if (this.#stopping) throw new WeftError('the start was given up', { code: 'ABORTED' });
  }

  async #end(): Promise<readonly string[]> {
    try {
      await this.#machine?.stop();
    } catch (error) {
      this.#options.logger.debug({}, `the appliance did not end in order: ${errorText(error)}`);
    }
    this.#forgetMachine();
    const { failures } = await removeLeftovers(this.#ledger, this.#owner);
    this.#become('stopped');
    return failures;
  }

  #forgetMachine(): void {
    this.#linkChanges += this.#links?.changes ?? 0;
    this.#machine = undefined;
    this.#links = undefined;
  }

  async #boot(): Promise<void> {
    const { logger } = this.#options;
    this.#become('starting');
    const startMs = performance.now();
    const situation = this.#situation;
    if (situation === undefined) return;
    const plan = planLinks(situation.uplinks, situation.view, this.#options.machineId, this.#plan);
    this.#plan = plan;
    this.#failures = this.#owner.apply(plan, situation.view);
    const machine = await this.#startMachine(plan);
    this.#machine = machine;
    this.#links = new MachineLinks(machine, plan);
    this.#checkNotStopping();
    await this.#setUpProxy(machine, plan);
    this.#bootMs = Math.round(performance.now() - startMs);
    this.#become('running');
    await this.#reconcile();
    const { kernel, mptcp, mptcpProblem } = machine.hello;
    if (!mptcp) {
      logger.warn(
        {},
        `the appliance's kernel cannot use MPTCP: ${guestText(mptcpProblem ?? 'it does not say why')}`,
      );
    }
    const bootMs = this.#bootMs;
    const text = `the appliance is up after ${bootMs} ms (kernel ${guestText(kernel)}, ${machine.accelerator})`;
    logger.info({ pid: machine.pid, bootMs }, text);
  }

  #startMachine(plan: LinkPlan): Promise<Machine> {
    const { bootTimeoutMs = BOOT_MS, netns, onKvmProblem, tryKvm = true, ...rest } = this.#options;
    return bootMachine(plan, {
      ...rest,
      bootTimeoutMs,
      tryKvm,
      ledger: this.#ledger,
      ...(netns === undefined ? {} : { netns }),
      ...(onKvmProblem === undefined ? {} : { onKvmProblem }),
      signal: this.#abort.signal,
      onEvent: (event) => this.#handleGuestEvent(event),
      onEnd: (machine, why) => {
        if (machine === this.#machine) this.#handleDeath(why);
      },
    });
  }

  async #setUpProxy(machine: Machine, plan: LinkPlan): Promise<void> {
    const { agent } = machine;
    await agent.ask({ do: 'link', link: hostLink(plan.host), waitMs: LINK_WAIT_MS }, LINK_WAIT_MS + ASK_MS);
    const { address } = endsOf(plan.host.prefixes.ipv4).guest;
    await agent.ask({ do: 'proxy', proxy: { address, port: GUEST_PROXY_PORT } }, LINK_WAIT_MS);
  }

  async #reconcile(): Promise<void> {
    const machine = this.#machine;
    const links = this.#links;
    const situation = this.#situation;
    if (machine === undefined || links === undefined || situation === undefined) return;
    const before = this.#plan;
    let plan: LinkPlan;
    try {
      plan = planLinks(situation.uplinks, situation.view, this.#options.machineId, before);
    } catch (error) {
      this.#setFailures([errorText(error)]);
      return;
    }
    this.#plan = plan;
    const failures = await links.removeObsolete(plan);
    failures.push(...this.#owner.apply(plan, situation.view));
    failures.push(...(await links.provide(plan)));
    // It died meanwhile, which is told elsewhere.
    if (machine !== this.#machine) return;
    this.#setFailures(failures);
    this.#options.onChange?.();
  }

  #setFailures(failures: readonly string[]): void {
    const known = new Set(this.#failures);
    for (const text of failures) if (!known.has(text)) this.#options.logger.warn({}, text);
    this.#failures = failures;
  }

  #handleGuestEvent(event: GuestEvent): void {
    const { logger } = this.#options;
    switch (event.event) {
      case 'log': {
        const level = event.level === 'error' || event.level === 'warn' ? event.level : 'debug';
        logger[level]({}, `guest: ${guestText(event.text)}`);
        return;
      }
      case 'failed':
        logger.error({}, `the appliance gives up: ${guestText(event.text)}`);
        return;
      default:
        this.#options.onChange?.();
    }
  }

  /** The machine ended by itself: its links are gone with it, and it is booted again. */
  #handleDeath(why: string): void {
    if (this.#stopping) return;
    const { logger } = this.#options;
    logger.error({}, `the appliance died: ${why}; it is started again in ${this.#restartMs / 1000} s`);
    const machine = this.#machine;
    this.#forgetMachine();
    this.#become('failed', why);
    // What of it stays in the record is tried again at the end.
    machine?.stop().catch(() => {});
    this.#scheduleRestart();
  }

  #scheduleRestart(): void {
    const waitMs = this.#restartMs;
    this.#restartMs = Math.min(waitMs * 2, RESTART_MAX_MS);
    this.#restart = setTimeout(() => {
      void this.#inOrder(() => this.#bootAgain());
    }, waitMs).unref();
  }

  async #bootAgain(): Promise<void> {
    if (this.#stopping || this.#state === 'running') return;
    this.#restarts++;
    try {
      await this.#boot();
      this.#restartMs = RESTART_FIRST_MS;
    } catch (error) {
      const why = errorText(error);
      const machine = this.#machine;
      this.#forgetMachine();
      await machine?.stop();
      if (this.#stopping) return;
      this.#become('failed', why);
      this.#options.logger.error({}, `the appliance could not be started again: ${why}`);
      this.#scheduleRestart();
    }
  }
}
