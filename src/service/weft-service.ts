/**
 * A running Weft: the proxy, the backend that gives its connections several paths, and the control socket, started and
 * stopped together.
 *
 * Invariant: `start` either leaves all of it running or nothing; `stop` undoes what the backend made on the host
 * first, because that is what would hurt if the process were killed in between.
 */
import {
  errorText,
  formatSocketAddress,
  isIpv6,
  WeftError,
  type Logger,
  type Prefix,
} from '../base/index.ts';
import { listConnections, type MptcpConnection } from '../mptcp/index.ts';
import type { FileLock } from '../native/index.ts';
import { readHostAddresses } from '../netlink/index.ts';
import { ProxyServer, type ListenAddress, type UpstreamProxy } from '../proxy/index.ts';
import { removeAbandoned } from './abandoned.ts';
import type { BackendProxy } from './backend.ts';
import type { BackendWish } from './backend-choice.ts';
import { reportConnections } from './connection-report.ts';
import { API_VERSION, WEFT_FACE } from './control-api.ts';
import type { BackendKind, ControlApi, StatusReport, StopAnswer, WeftApi } from './control-api.ts';
import { ControlServer, takeServiceLock } from './control-server.ts';
import { countEndToEnd } from './end-to-end.ts';
import { explainMultipath } from './explain.ts';
import { undoBackend } from './leftovers.ts';
import { makeBackend, type ChosenBackend } from './make-backend.ts';
import { Observation } from './observe/service.ts';
import { removeProcessRecord, writeProcessRecord } from './process-record.ts';
import { PolicyKeeper, type ReloadReport } from './proxy-policy.ts';
import type { PolicySources } from './proxy-rules.ts';
import { networkNamespaceInode, prepareRuntimeFolder } from './runtime-folder.ts';
import { TransparentRedirect, type TransparentOptions } from './transparent.ts';

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
  /** Absent: only who names the proxy uses it. */
  readonly transparent?: TransparentOptions;
  /** Where the rules of the proxy come from; absent: everything may be reached, by multipath. */
  readonly policy?: PolicySources;
  /** Default: `auto`. */
  readonly backend?: BackendWish;
  readonly logger: Logger;
  /** For the record of this process: its command line's options. */
  readonly args?: readonly string[];
  /** For the record: the file that the log goes to. */
  readonly logFile?: string;
  /** Somebody has asked over the control socket for the end: the owner calls `stop` then. */
  readonly onStopRequest?: () => void;
}

/** Its name is one that a rules file's key may have too, but nobody would give it. */
const applianceProxy = ({ address, port }: BackendProxy): UpstreamProxy => ({
  name: '(appliance)',
  kind: 'http',
  host: address,
  port,
  multipath: false,
});

const hostPrefix = (address: string): Prefix => ({ address, length: isIpv6(address) ? 128 : 32 });

const linkByAddress = () => new Map(readHostAddresses().map(({ address, link }) => [address, link]));

const notStarted = () => new WeftError('Weft has not started yet', { code: 'NOT_STARTED' });

export class WeftService implements ControlApi {
  readonly #options: WeftOptions;
  readonly #logger: Logger;
  /** Of the monotonic clock: nobody sets that one. */
  readonly #startedAtMs = performance.now();
  #lock: FileLock | undefined;
  #proxy: ProxyServer | undefined;
  #policy: PolicyKeeper | undefined;
  #chosen: ChosenBackend | undefined;
  #observation: Observation | undefined;
  #control: ControlServer | undefined;
  #redirect: TransparentRedirect | undefined;
  #folder: string | undefined;
  #starting: Promise<void> | undefined;
  #ending: Promise<void> | undefined;

  constructor(options: WeftOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  /**
   * @throws WeftError `ALREADY_RUNNING`; the proxy's and the backend's errors, such as a taken port; `ABORTED` when
   * `end` was called meanwhile. Nothing is left then.
   */
  async start(): Promise<void> {
    this.#starting = this.#start();
    try {
      await this.#starting;
    } catch (error) {
      await this.#closeAll();
      throw error;
    }
  }

  async #start(): Promise<void> {
    this.#takeLock();
    const { transparent } = this.#options;
    // First of all, because it may be forbidden.
    if (transparent !== undefined) this.#redirect = TransparentRedirect.open(transparent);
    await this.#startProxy();
    this.#checkNotEnding();
    await this.#startBackend();
    this.#checkNotEnding();
    this.#installRedirect();
    const observation = this.#makeObservation();
    this.#observation = observation;
    if (this.#folder !== undefined) await this.#startControl(this.#folder, observation);
    observation.start();
  }

  /** What is seen of the host, for the page, the metrics and the control socket; after a start. */
  get observation(): Observation | undefined {
    return this.#observation;
  }

  #makeObservation(): Observation {
    const [backend, proxy] = [this.#chosen?.backend, this.#proxy];
    if (backend === undefined || proxy === undefined) throw notStarted();
    const { logger, multipath, version } = this.#options;
    return new Observation({
      logger,
      about: () => ({ multipath, backend: backend.kind }),
      control: backend.control,
      sources: async () =>
        (await import('./observe/up-sources.ts')).upSources({
          version,
          backend,
          proxy,
          proxyAddresses: () => this.proxyAddresses,
          status: () => this.#report(),
          stalePaths: () => this.#observation?.stalePaths() ?? [],
        }),
      metrics: { proxy: () => proxy.counters(), actions: () => backend.status().actions },
    });
  }

  #checkNotEnding(): void {
    if (this.#ending !== undefined) throw new WeftError('the start was given up', { code: 'ABORTED' });
  }

  /** The lock comes first: two that work on the same host's routes would undo each other's work. */
  #takeLock(): void {
    let folder: string;
    try {
      folder = prepareRuntimeFolder();
    } catch (error) {
      this.#logger.warn({}, `"weft status" will not find this Weft: ${errorText(error)}`);
      return;
    }
    const netns = networkNamespaceInode();
    this.#lock = takeServiceLock(folder, netns);
    this.#folder = folder;
    const { args = [], logFile } = this.#options;
    try {
      writeProcessRecord(folder, netns, { args, ...(logFile === undefined ? {} : { log: logFile }) });
      removeAbandoned(folder, netns);
    } catch (error) {
      this.#logger.debug({}, `the runtime folder "${folder}" could not be put in order: ${errorText(error)}`);
    }
  }

  async #startProxy(): Promise<void> {
    const { listen, allowRemote, multipath, transparent, policy = {}, logger } = this.#options;
    this.#policy = new PolicyKeeper(policy, logger);
    const proxy = new ProxyServer({
      listen,
      allowRemote,
      multipath,
      logger,
      policy: this.#policy.policy,
      ...(transparent === undefined
        ? {}
        : { transparent: { servesLinks: transparent.fromLinks.length > 0 } }),
    });
    await proxy.start();
    this.#proxy = proxy;
  }

  /** Last, so that no program comes before its connections can be carried. */
  #installRedirect(): void {
    const { transparent, logger } = this.#options;
    const ports = this.#proxy?.transparentPorts ?? [];
    if (transparent === undefined || ports.length === 0) return;
    // Weft itself talks to the appliance's proxy too, not only by what it dials for clients.
    const own = this.#chosen?.backend.proxy;
    const leftAlone = own === undefined ? [] : [hostPrefix(own.address)];
    this.#redirect?.install(ports, leftAlone);
    const { fromLinks } = transparent;
    const others = fromLinks.length === 0 ? '' : `, and those that come in by ${fromLinks.join(', ')},`;
    logger.info(
      { ports, fromLinks },
      `transparent: TCP connections of this host${others} go through the proxy`,
    );
  }

  async #startBackend(): Promise<void> {
    const { backend = 'auto', interfaces, exclude, backup, multipath, logger } = this.#options;
    const chosen = await makeBackend(backend, {
      interfaces,
      exclude,
      backup,
      multipath,
      logger,
      onChange: () => this.#observation?.lookNow(),
      ...(this.#folder === undefined ? {} : { stateFolder: this.#folder }),
    });
    this.#chosen = chosen;
    const { choice } = chosen;
    logger.info({ backend: choice.kind }, `backend ${choice.kind}: ${choice.why}`);
    if (choice.warning !== undefined) logger.warn({}, choice.warning);
    await this.#undoOther(choice.kind);
    await chosen.backend.start();
    const { proxy } = chosen.backend;
    if (proxy !== undefined) this.#proxy?.setMultipathVia(applianceProxy(proxy));
    this.#proxy?.renewUpstreams();
  }

  /** A backend takes over what a killed one of its own kind has left; of the other kind nothing may stay. */
  async #undoOther(kind: BackendKind): Promise<void> {
    const other = kind === 'native' ? 'appliance' : 'native';
    if (this.#folder === undefined) return;
    const { failures, removed } = await undoBackend(other, this.#folder, this.#logger);
    if (removed.length > 0) {
      this.#logger.info({ removed }, `removed what a killed Weft had left: ${removed.join(', ')}`);
    }
    for (const failure of failures) this.#logger.warn({}, failure);
  }

  #controlApi(observation: Observation): WeftApi {
    return {
      status: () => this.status(),
      reconcile: () => this.reconcile(),
      reload: () => this.reload(),
      stop: () => this.stop(),
      ...observation.socketApi,
    };
  }

  async #startControl(folder: string, observation: Observation): Promise<void> {
    try {
      this.#control = await ControlServer.listen<WeftApi>({
        face: WEFT_FACE,
        api: this.#controlApi(observation),
        source: observation,
        routes: observation.routes,
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
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    // At once: from now on programs reach the network by themselves.
    this.#redirect?.close();
    if (this.#starting !== undefined) {
      // A start under way is not waited for, it is ended: a virtual machine may take a minute.
      await Promise.allSettled([this.#chosen?.backend.stop()]);
      await Promise.allSettled([this.#starting]);
    }
    await this.#closeAll();
  }

  async #closeAll(): Promise<void> {
    this.#redirect?.close();
    const results = await Promise.allSettled([
      Promise.resolve().then(() => this.#chosen?.backend.stop()),
      Promise.resolve().then(() => this.#control?.close()),
      Promise.resolve().then(() => this.#observation?.stop()),
      Promise.resolve().then(() => this.#proxy?.stop()),
    ]);
    this.#control = undefined;
    if (this.#folder !== undefined) removeProcessRecord(this.#folder, networkNamespaceInode());
    this.#lock?.release();
    const errors = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason as unknown] : [],
    );
    if (errors.length > 0) {
      throw new AggregateError(errors, `could not stop everything: ${errors.map(errorText).join('; ')}`);
    }
  }

  /** Its end takes longer then. */
  get hasAppliance(): boolean {
    return this.#chosen?.choice.kind === 'appliance';
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
    return new Promise((resolve) => {
      resolve(this.#report());
    });
  }

  /** @throws WeftError `NOT_STARTED` */
  #report(): StatusReport {
    const [proxy, chosen] = [this.#proxy, this.#chosen];
    if (proxy === undefined || chosen === undefined) throw notStarted();
    const { allowRemote, multipath, transparent, version } = this.#options;
    const { appliance, guest, ...host } = chosen.backend.status();
    const { kind, why } = chosen.choice;
    const links = linkByAddress();
    const joined = reportConnections(proxy.connections(), this.#kernelConnections(), Date.now(), (address) =>
      links.get(address),
    );
    const report = {
      apiVersion: API_VERSION,
      version,
      pid: process.pid,
      upForMs: Math.round(performance.now() - this.#startedAtMs),
      ...host,
      backend: { kind, why },
      ...(appliance === undefined ? {} : { appliance }),
      proxy: {
        addresses: this.proxyAddresses,
        allowRemote,
        multipath,
        counters: { ...proxy.counters() },
        ...(transparent === undefined ? {} : { transparent }),
        ...(this.#policy === undefined ? {} : { policy: this.#policy.report(proxy.upstreamHealth()) }),
      },
      ...joined,
    } as const;
    // The appliance's kernel has the connections, so it is asked about them.
    if (guest !== undefined) return { ...report, multipath: guest.multipath };
    const endToEnd = countEndToEnd(joined.connections);
    const stale = this.#observation?.stalePaths() ?? [];
    return {
      ...report,
      multipath: { ...explainMultipath({ ...report, wanted: multipath, stale }), endToEnd },
    };
  }

  async reconcile(): Promise<StatusReport> {
    await this.#chosen?.backend.reconcile();
    return this.status();
  }

  reload(): Promise<ReloadReport> {
    const [proxy, policy] = [this.#proxy, this.#policy];
    if (proxy === undefined || policy === undefined) return Promise.reject(notStarted());
    return Promise.resolve(policy.reload(proxy));
  }

  stop(): Promise<StopAnswer> {
    const { onStopRequest } = this.#options;
    if (onStopRequest === undefined) {
      return Promise.reject(new WeftError('this Weft ends with its program', { code: 'NOT_STOPPABLE' }));
    }
    // After the answer has left.
    setImmediate(onStopRequest);
    return Promise.resolve({ pid: process.pid });
  }
}
