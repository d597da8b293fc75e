/**
 * A running Weft: the proxy, the supervisor that keeps paths and endpoints in step with the host, and the control
 * socket, started and stopped together.
 *
 * Invariant: `start` either leaves all of it running or nothing; `stop` undoes what the supervisor made on the host
 * first, because that is what would hurt if the process were killed in between.
 */
import { networkInterfaces } from 'node:os';
import { errorText, formatSocketAddress, WeftError, type Logger } from '../base/index.ts';
import { listConnections, type MptcpConnection } from '../mptcp/index.ts';
import type { FileLock } from '../native/index.ts';
import { ProxyServer, type ListenAddress } from '../proxy/index.ts';
import { removeAbandoned } from './abandoned.ts';
import { reportConnections } from './connection-report.ts';
import { API_VERSION, WEFT_FACE, type ControlApi, type StatusReport } from './control-api.ts';
import { ControlServer, takeServiceLock } from './control-server.ts';
import { explainMultipath } from './explain.ts';
import { networkNamespaceInode, prepareRuntimeFolder } from './runtime-folder.ts';
import { Supervisor } from './supervisor.ts';

export interface WeftOptions {
  readonly version: string;
  readonly listen: readonly ListenAddress[];
  readonly allowRemote: boolean;
  /** `false`: upstream connections are plain TCP, and nothing is changed on the host. */
  readonly multipath: boolean;
  /** Link names; empty: every link that looks like an uplink. */
  readonly interfaces: readonly string[];
  readonly exclude: readonly string[];
  readonly backup: readonly string[];
  readonly logger: Logger;
}

function linkByAddress(): Map<string, string> {
  const links = new Map<string, string>();
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { address } of addresses ?? []) links.set(address, name);
  }
  return links;
}

export class WeftService implements ControlApi {
  readonly #options: WeftOptions;
  readonly #logger: Logger;
  /** Of the monotonic clock: nobody sets that one. */
  readonly #startedAtMs = performance.now();
  #lock: FileLock | undefined;
  #proxy: ProxyServer | undefined;
  #supervisor: Supervisor | undefined;
  #control: ControlServer | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: WeftOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  /**
   * @throws WeftError `ALREADY_RUNNING`; the proxy's errors, such as a taken port; nothing is left then
   */
  async start(): Promise<void> {
    try {
      const folder = this.#takeLock();
      await this.#startProxy();
      await this.#startSupervisor(folder);
      if (folder !== undefined) await this.#startControl(folder);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** The lock comes first: two that work on the same host's routes would undo each other's work. */
  #takeLock(): string | undefined {
    let folder: string;
    try {
      folder = prepareRuntimeFolder();
    } catch (error) {
      this.#logger.warn({}, `"weft status" will not find this Weft: ${errorText(error)}`);
      return undefined;
    }
    this.#lock = takeServiceLock(folder, networkNamespaceInode());
    try {
      removeAbandoned(folder, networkNamespaceInode());
    } catch (error) {
      this.#logger.debug({}, `what killed processes left in "${folder}" stays: ${errorText(error)}`);
    }
    return folder;
  }

  async #startProxy(): Promise<void> {
    const { listen, allowRemote, multipath, logger } = this.#options;
    const proxy = new ProxyServer({ listen, allowRemote, multipath, logger });
    await proxy.start();
    this.#proxy = proxy;
  }

  async #startSupervisor(stateFolder: string | undefined): Promise<void> {
    const { interfaces, exclude, backup, multipath, logger } = this.#options;
    const supervisor = new Supervisor({
      interfaces,
      exclude,
      backup,
      logger,
      ...(stateFolder === undefined ? {} : { stateFolder }),
    });
    this.#supervisor = supervisor;
    if (multipath) await supervisor.start();
  }

  async #startControl(folder: string): Promise<void> {
    try {
      this.#control = await ControlServer.listen<ControlApi>({
        face: WEFT_FACE,
        api: this,
        folder,
        netnsInode: networkNamespaceInode(),
        logger: this.#logger,
      });
    } catch (error) {
      this.#logger.warn({}, `"weft status" will not find this Weft: ${errorText(error)}`);
    }
  }

  /**
   * Undoes what was made on the host, then ends connections and listeners. May be called again.
   * @throws AggregateError when a part could not be stopped; the others are all the same
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const results = await Promise.allSettled([
      Promise.resolve().then(() => this.#supervisor?.stop()),
      Promise.resolve().then(() => this.#control?.close()),
      Promise.resolve().then(() => this.#proxy?.stop()),
    ]);
    this.#lock?.release();
    const errors = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason as unknown] : [],
    );
    if (errors.length > 0) {
      throw new AggregateError(errors, `could not stop everything: ${errors.map(errorText).join('; ')}`);
    }
  }

  /** Where the proxy listens, as a client names it. */
  get proxyAddresses(): readonly string[] {
    return (this.#proxy?.addresses ?? []).map(({ address, port }) => formatSocketAddress(address, port));
  }

  #kernelConnections(): readonly MptcpConnection[] {
    try {
      return listConnections();
    } catch (error) {
      // A kernel without MPTCP diagnostics: the proxy's own numbers remain.
      this.#logger.debug({}, `subflows cannot be listed: ${errorText(error)}`);
      return [];
    }
  }

  status(): Promise<StatusReport> {
    const [proxy, supervisor] = [this.#proxy, this.#supervisor];
    if (proxy === undefined || supervisor === undefined) {
      return Promise.reject(new WeftError('Weft has not started yet', { code: 'NOT_STARTED' }));
    }
    const { allowRemote, multipath, version } = this.#options;
    const supervised = supervisor.status();
    const links = linkByAddress();
    const joined = reportConnections(proxy.connections(), this.#kernelConnections(), Date.now(), (address) =>
      links.get(address),
    );
    const report = {
      apiVersion: API_VERSION,
      version,
      pid: process.pid,
      upForMs: Math.round(performance.now() - this.#startedAtMs),
      ...supervised,
      actions: { ...supervised.actions },
      proxy: { addresses: this.proxyAddresses, allowRemote, multipath, counters: { ...proxy.counters() } },
      ...joined,
    } as const;
    const { inUse, explanation } = explainMultipath({ ...report, wanted: multipath });
    return Promise.resolve({ ...report, multipath: { inUse, explanation } });
  }
}
