/**
 * The driver of a SubflowKeeper: takes a plugin's callbacks and the clock to it, and carries out what it wants. All
 * that the four shipped userspace plugins do at run time is here; they bring a `Planner`.
 *
 * Invariants: a callback never waits for a command; the host's addresses are read anew after every change, never
 * followed change by change; between two rounds of commands everything else gets its turn.
 */
import { errorText, formatSocketAddress } from '../../base/index.ts';
import type { ConnectionEvent, ConnectionView, PluginCallbacks, PluginContext } from '../plugin-api.ts';
import type { AnnounceCommand, CreateCommand, KeeperCommand, LeaveCommand } from './keeper-commands.ts';
import { localAddresses } from './local-addresses.ts';
import type { RetryTimes } from './retry-pace.ts';
import { SubflowKeeper } from './subflow-keeper.ts';
import type { LocalAddress, Planner } from './subflow-plan.ts';

/** The kernel's text for a connection that its own path manager has. */
const NOT_USERSPACE = 'userspace PM not selected';

/** The longest that a timer takes. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export interface KeeperDriverOptions {
  readonly planner: Planner;
  readonly times: RetryTimes;
  /** The planner wants to know whose the connection is. */
  readonly needsOwner?: (event: ConnectionEvent) => boolean;
  /** What the log is to say about a new connection. */
  readonly remarkOn?: (event: ConnectionEvent, locals: readonly LocalAddress[]) => string | undefined;
}

/** As `weft mptcp connections` and ip(8) show it. */
const tokenText = (token: number) => `0x${token.toString(16).padStart(8, '0')}`;

const nextTurn = () =>
  new Promise<void>((resolve) => {
    setImmediate(resolve);
  });

export class KeeperDriver {
  readonly #context: PluginContext;
  readonly #options: KeeperDriverOptions;
  readonly #keeper: SubflowKeeper;
  #locals: readonly LocalAddress[] = [];
  #timer: NodeJS.Timeout | undefined;
  #working = false;
  #closed = false;
  /** `again`: something changed while the addresses were being read. */
  #reading: 'no' | 'yes' | 'again' = 'no';
  #toldOfMode = false;
  /** Connections that were there before; the host is asked what they consist of. BOUNDED: by the host's connections. */
  readonly #adopted = new Set<number>();
  /** Those of them whose address ids have not been asked for. */
  readonly #elders = new Set<number>();
  /** Where announced addresses listen. BOUNDED: by the host's addresses. */
  readonly #ports = new Map<string, number>();

  constructor(context: PluginContext, options: KeeperDriverOptions) {
    this.#context = context;
    this.#options = options;
    this.#keeper = new SubflowKeeper(options.planner, { ...options.times, random: Math.random });
  }

  /** Resolves when the host's addresses are known. */
  async start(): Promise<void> {
    this.#context.register(this.#callbacks());
    await this.#readNetwork();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** The planner decides differently from now on. */
  replan(): void {
    this.#keeper.handlePlanChange();
    this.#wake();
  }

  #callbacks(): PluginCallbacks {
    const keeper = this.#keeper;
    /** Told to the keeper, which then looks at what there is to do. */
    const then = (work: () => void) => {
      work();
      this.#wake();
    };
    const network = () => void this.#readNetwork();
    return {
      ready: network,
      newConnection: (event) => then(() => this.#handleConnection(event)),
      connectionEstablished: (event) => then(() => keeper.handleEstablished(event.token)),
      connectionClosed: ({ token }) => {
        this.#elders.delete(token);
        keeper.handleClosed(token);
      },
      newAddress: (event) => then(() => keeper.handlePeerAddress(event)),
      addressRemoved: ({ token, remoteId }) => then(() => keeper.handlePeerAddressRemoved(token, remoteId)),
      newSubflow: (event) => then(() => keeper.handleSubflow(event, performance.now())),
      subflowClosed: (event) => then(() => keeper.handleSubflowClosed(event, performance.now())),
      newInterface: network,
      updateInterface: network,
      deleteInterface: network,
      newLocalAddress: network,
      deleteLocalAddress: network,
    };
  }

  #handleConnection(event: ConnectionEvent): void {
    if (event.adopted) {
      // They come in bursts, and are read together when all of them have been told.
      if (this.#adopted.size === 0) setImmediate(() => void this.#adopt());
      this.#adopted.add(event.token);
      return;
    }
    this.#begin(event);
  }

  #begin(event: ConnectionEvent): void {
    this.#keeper.handleConnection(event, performance.now());
    const remark = this.#options.remarkOn?.(event, this.#locals);
    if (remark !== undefined) this.#context.log.warn(remark);
    if (this.#options.needsOwner?.(event) === true) void this.#findOwner(event.token);
  }

  /** Events tell of new subflows only; the host knows which stand. */
  async #adopt(): Promise<void> {
    const tokens = new Set(this.#adopted);
    this.#adopted.clear();
    const keeper = this.#keeper;
    const nowMs = performance.now();
    let views: readonly ConnectionView[];
    try {
      views = await this.#context.network.connections();
    } catch (error) {
      this.#context.log.error(`connections that were there before are left alone: ${errorText(error)}`);
      return;
    }
    for (const view of views) {
      if (!tokens.has(view.token)) continue;
      this.#elders.add(view.token);
      this.#begin({ ...view, adopted: true });
      for (const address of view.remoteAddresses) keeper.handlePeerAddress(address);
      for (const subflow of view.subflows) keeper.handleSubflow({ ...subflow, adopted: true }, nowMs);
      if (view.established) keeper.handleEstablished(view.token);
    }
    this.#wake();
  }

  async #findOwner(token: number): Promise<void> {
    const { log, network } = this.#context;
    try {
      this.#keeper.handleOwner(token, (await network.owner(token)) ?? {});
    } catch (error) {
      log.debug(`owner of connection ${tokenText(token)} not found: ${errorText(error)}`);
      this.#keeper.handleOwner(token, {});
    }
    this.#wake();
  }

  async #readNetwork(): Promise<void> {
    if (this.#reading !== 'no') {
      this.#reading = 'again';
      return;
    }
    do {
      this.#reading = 'yes';
      try {
        this.#locals = localAddresses(await this.#context.network.interfaces());
        this.#keeper.handleNetwork(this.#locals);
        this.#forgetPorts();
      } catch (error) {
        this.#context.log.error(`read the host's addresses: ${errorText(error)}`);
      }
    } while ((this.#reading as string) === 'again');
    this.#reading = 'no';
    this.#wake();
  }

  #forgetPorts(): void {
    for (const address of this.#ports.keys()) {
      if (!this.#locals.some((local) => local.address === address)) this.#ports.delete(address);
    }
  }

  #wake(): void {
    if (this.#working || this.#closed || this.#keeper.nextWakeMs === Infinity) return;
    this.#working = true;
    void this.#work();
  }

  async #work(): Promise<void> {
    // Events come in bursts: after the turn that brought this one the keeper knows all of them.
    await nextTurn();
    while (!this.#closed) {
      const commands = this.#keeper.poll(performance.now());
      if (commands.length === 0 && this.#keeper.nextWakeMs !== -Infinity) break;
      await Promise.all(commands.map((command) => this.#execute(command)));
      await nextTurn();
    }
    this.#working = false;
    this.#setTimer();
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    const wakeMs = this.#keeper.nextWakeMs;
    if (this.#closed || wakeMs === Infinity) return;
    const delayMs = Math.min(Math.max(wakeMs - performance.now(), 1), TIMER_MAX_MS);
    this.#timer = setTimeout(() => this.#wake(), delayMs).unref();
  }

  async #execute(command: KeeperCommand): Promise<void> {
    try {
      await this.#carryOut(command);
    } catch (error) {
      const text = errorText(error);
      if (text.includes(NOT_USERSPACE)) {
        this.#leaveToKernel(command.token, text);
        return;
      }
      this.#context.log.debug(`connection ${tokenText(command.token)}: ${text}`);
      this.#keeper.handleFailure(command, performance.now());
    }
  }

  #leaveToKernel(token: number, text: string): void {
    this.#keeper.handleClosed(token);
    if (this.#toldOfMode) return;
    this.#toldOfMode = true;
    this.#context.log.info(`connections that the kernel's own path manager has are left to it: ${text}`);
  }

  async #carryOut(command: KeeperCommand): Promise<void> {
    const { userspace, log } = this.#context;
    const { token } = command;
    switch (command.kind) {
      case 'create':
        return this.#create(command);
      case 'announce':
        return this.#announce(command);
      case 'leave':
        return this.#leave(command);
      case 'backup':
        return userspace.setBackup(command);
      case 'close':
        log.info(command.why);
        return userspace.removeSubflow({ token, local: command.local, remote: command.remote });
    }
  }

  /** @param listening the address with a port of its own */
  async #idOf(token: number, address: string, listening: boolean): Promise<number> {
    const known = this.#keeper.ids(token)?.knownId(address, listening);
    if (known !== undefined) return known;
    if (this.#elders.delete(token)) await this.#learnIds(token);
    const proposed = await this.#context.ids.id(address);
    return this.#keeper.ids(token)?.takeId(address, listening, proposed) ?? proposed;
  }

  /** What the daemon before this one, or the kernel, named addresses by. */
  async #learnIds(token: number): Promise<void> {
    for (const { address, port, id } of await this.#context.userspace.addresses(token)) {
      this.#keeper.ids(token)?.learnId(address, port, id);
    }
  }

  async #create(command: CreateCommand): Promise<void> {
    const { token, local, remote, remoteId, backup } = command;
    const localId = await this.#idOf(token, local.address, false);
    const to = formatSocketAddress(remote.address, remote.port);
    this.#context.log.debug(`connection ${tokenText(token)}: subflow from ${local.address} to ${to}`);
    await this.#context.userspace.addSubflow({
      token,
      local: { address: local.address, port: 0 },
      remote,
      localId,
      remoteId,
      backup,
      linkIndex: local.linkIndex,
    });
  }

  async #announce(command: AnnounceCommand): Promise<void> {
    const { token, address, listen } = command;
    const id = await this.#idOf(token, address, listen);
    // The address that the connection began with the peer knows.
    if (id === 0) return;
    const port = listen
      ? await this.#announceListening(token, address, id)
      : await this.#context.userspace.addAddress({ token, address, id, listen });
    const where = port === 0 ? address : formatSocketAddress(address, port);
    this.#context.log.debug(`connection ${tokenText(token)}: announced ${where} (id ${id})`);
  }

  /** All connections share one listener of an address, which is open as long as any of them has announced it. */
  async #announceListening(token: number, address: string, id: number): Promise<number> {
    const { userspace } = this.#context;
    const known = this.#ports.get(address);
    if (known !== undefined) {
      try {
        return await userspace.addAddress({ token, address, id, port: known });
      } catch (error) {
        // While it was closed, somebody else may have taken the port.
        if (!errorText(error).includes('EADDRINUSE')) throw error;
      }
    }
    const port = await userspace.addAddress({ token, address, id });
    this.#ports.set(address, port);
    return port;
  }

  async #leave(command: LeaveCommand): Promise<void> {
    const { token, address, localIds, subflows } = command;
    const { userspace, log } = this.#context;
    log.debug(`connection ${tokenText(token)}: ${address} is gone`);
    for (const id of localIds) {
      try {
        await userspace.removeAddress({ token, address, id });
      } catch (error) {
        log.debug(`connection ${tokenText(token)}: ${errorText(error)}`);
      }
    }
    // Those that the withdrawal did not close.
    const closed = subflows.map((ends) => userspace.removeSubflow({ token, ...ends }));
    await Promise.allSettled(closed);
  }
}
