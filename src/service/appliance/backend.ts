/**
 * The backend of a host whose kernel has no MPTCP: a virtual machine whose kernel has it. Reads the host, tells the
 * appliance which uplinks there are, asks the guest how it is, and says all of it in a BackendStatus.
 *
 *   kernel's messages ─► Pace ─► look: links, addresses, routes ─► uplinks ─► Appliance (src/appliance/host)
 *   every few seconds, and when the guest says so: ask it for its status, and its proxy for an answer
 *
 * Invariant: as of Backend; the record and its lock are opened before anything is made, and released last.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  Appliance,
  guestText,
  isApplianceRoute,
  isApplianceRule,
  TAP_NAMES,
  type GuestStatus,
  type HostSituation,
  type ImageFolder,
} from '../../appliance/index.ts';
import { errorText, WeftError, type Logger } from '../../base/index.ts';
import { RouteNetlink, watchRoutes, type RouteEvent } from '../../netlink/index.ts';
import type { Backend, BackendProxy, BackendStatus } from '../backend.ts';
import type { ApplianceReport, StatusReport } from '../control-api.ts';
import { bearingOf, readHostView } from '../host-view.ts';
import type { HostControl } from '../observe/host-control.ts';
import { Pace } from '../supervisor-pace.ts';
import { ApplianceJournalFile } from './appliance-journal.ts';
import { areLinksActive, judgeMode, mapLinks, reportPaths, type GuestView } from './backend-status.ts';
import { isGuestProxyAlive } from './guest-probe.ts';
import { bootSourceOf } from './image-boot.ts';
import { findUplinks, withoutAppliance, type FoundUplinks } from './uplinks.ts';

export interface ApplianceBackendOptions {
  readonly image: ImageFolder;
  /** QEMU's name or path. */
  readonly qemu: string;
  /** As for the supervisor: names of links; empty: every link that looks like an uplink. */
  readonly interfaces?: readonly string[];
  readonly exclude?: readonly string[];
  readonly backup?: readonly string[];
  readonly logger: Logger;
  /** Where the record is kept; only its owner may enter it. */
  readonly stateFolder: string;
  /** File of the network namespace to work in; default is this process's own. */
  readonly netns?: string;
  /** Default: what the image needs, at least 512. */
  readonly memoryMiB?: number;
  /** Default 2, or fewer where the host has not as many. */
  readonly processors?: number;
  readonly bootTimeoutMs?: number;
}

/** What changes without a message is looked at this often; the guest is asked as often. */
const PERIOD_MS = 5000;
const ASK_MS = 4000;
const ASK_AGAIN_MS = 500;
/** For the guest to use its links; a start does not fail for that. */
const PATHS_WAIT_MS = 5000;
const PATHS_POLL_MS = 50;
const MEMORY_MIB = 512;
const PROCESSORS = 2;
const NOTHING_FOUND: FoundUplinks = { found: { paths: [], ignoredLinks: [] }, uplinks: [] };

/** Something of this machine's own that stays from one start to the next. */
function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8').trim() || hostname();
  } catch {
    return hostname();
  }
}

export class ApplianceBackend implements Backend {
  readonly kind = 'appliance';
  readonly #options: ApplianceBackendOptions;
  readonly #pace = new Pace();
  readonly #counts = { looks: 0, kernelMessages: 0, overruns: 0, failures: 0, lastLookMs: 0 };
  #journal: ApplianceJournalFile | undefined;
  #netlink: RouteNetlink | undefined;
  #watch: { close(): void } | undefined;
  #appliance: Appliance | undefined;
  #found: FoundUplinks = NOTHING_FOUND;
  #timer: NodeJS.Timeout | undefined;
  #period: NodeJS.Timeout | undefined;
  #isAsking = false;
  #askTimer: NodeJS.Timeout | undefined;
  #guest: GuestStatus | undefined;
  #proxyAlive = false;
  #stopped: Promise<void> | undefined;

  constructor(options: ApplianceBackendOptions) {
    this.#options = options;
  }

  get proxy(): BackendProxy | undefined {
    return this.#appliance?.proxy;
  }

  /**
   * Removes what a killed one left, boots, and resolves when connections can use it.
   * @throws WeftError ALREADY_RUNNING, NO_QEMU, BOOT, NO_PREFIX, EPERM …; nothing is left then
   */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { bootTimeoutMs, image, logger, memoryMiB, netns, processors, qemu, stateFolder } = this.#options;
    const where = netns === undefined ? {} : { netns };
    this.#journal = ApplianceJournalFile.open(stateFolder, logger, netns);
    this.#netlink = RouteNetlink.open(where);
    this.#watch = watchRoutes((event) => this.#handleEvent(event), where);
    const kvmNote = join(stateFolder, 'appliance-kvm-problem');
    this.#appliance = new Appliance({
      ...where,
      program: qemu,
      boot: bootSourceOf(image),
      memoryMiB: memoryMiB ?? Math.max(MEMORY_MIB, image.manifest.memoryMiB),
      processors: processors ?? PROCESSORS,
      machineId: machineId(),
      journal: this.#journal,
      netlink: this.#netlink,
      logger,
      // Remembered until the next boot empties the folder: finding out takes ten seconds.
      tryKvm: !existsSync(kvmNote),
      onKvmProblem: (why) => rememberKvmProblem(kvmNote, why),
      ...(bootTimeoutMs === undefined ? {} : { bootTimeoutMs }),
      onChange: () => this.#askSoon(),
    });
    await this.#appliance.start(this.#look());
    await this.#waitForPaths(this.#appliance);
    if (this.#stopped !== undefined) throw new WeftError('the start was given up', { code: 'ABORTED' });
    this.#period = setInterval(() => {
      this.#pace.handleEvent('host', performance.now());
      this.#schedule();
      this.#askSoon();
    }, PERIOD_MS).unref();
    // What changed while it booted.
    this.#schedule();
  }

  /** The guest uses its links a moment after it has them. */
  async #waitForPaths(appliance: Appliance): Promise<void> {
    const endMs = performance.now() + PATHS_WAIT_MS;
    for (;;) {
      await this.#ask();
      const isOver = this.#stopped !== undefined || performance.now() > endMs;
      if (isOver || areLinksActive(appliance.links(), this.#guestView)) return;
      await new Promise((resolve) => {
        setTimeout(resolve, PATHS_POLL_MS);
      });
    }
  }

  #look(): HostSituation {
    const { backup = [], exclude = [], interfaces = [] } = this.#options;
    if (this.#netlink === undefined) return { uplinks: [], view: { links: [], addresses: [], routes: [] } };
    const view = readHostView(this.#netlink);
    this.#found = findUplinks(withoutAppliance(view), { interfaces, exclude }, backup);
    this.#counts.looks++;
    return { uplinks: this.#found.uplinks, view };
  }

  #handleEvent(event: RouteEvent): void {
    this.#counts.kernelMessages++;
    if (event.kind === 'overrun') this.#counts.overruns++;
    this.#pace.handleEvent(event.kind === 'overrun' ? 'host' : applianceBearing(event), performance.now());
    this.#schedule();
  }

  #schedule(): void {
    const { dueMs } = this.#pace;
    if (dueMs === undefined || this.#period === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#runLook(), Math.max(0, Math.ceil(dueMs - performance.now())));
  }

  async #runLook(): Promise<void> {
    const appliance = this.#appliance;
    if (appliance === undefined || this.#stopped !== undefined) return;
    const startMs = performance.now();
    const before = appliance.counters.routesAndRulesChanged;
    try {
      await appliance.handleHost(this.#look());
      this.#counts.failures += appliance.failures.length;
    } catch (error) {
      this.#counts.failures++;
      this.#options.logger.warn(
        {},
        `the appliance's links could not be brought up to date: ${errorText(error)}`,
      );
    }
    const endMs = performance.now();
    this.#counts.lastLookMs = endMs - startMs;
    this.#pace.handleLook(startMs, endMs, appliance.counters.routesAndRulesChanged !== before);
    this.#schedule();
  }

  async reconcile(): Promise<void> {
    await this.#runLook();
    if (this.#appliance?.state === 'running') await this.#waitForPaths(this.#appliance);
  }

  #askSoon(): void {
    if (this.#period === undefined || this.#isAsking) return;
    this.#isAsking = true;
    void this.#ask().finally(() => {
      this.#isAsking = false;
      const links = this.#appliance?.links() ?? [];
      if (this.#period === undefined || areLinksActive(links, this.#guestView)) return;
      // Something is under way in there.
      clearTimeout(this.#askTimer);
      this.#askTimer = setTimeout(() => this.#askSoon(), ASK_AGAIN_MS).unref();
    });
  }

  /** Asks the guest and its proxy how they are. Never rejects. */
  async #ask(): Promise<void> {
    const appliance = this.#appliance;
    const machine = appliance?.machine;
    if (appliance?.state !== 'running' || machine === undefined || appliance.proxy === undefined) {
      this.#guest = undefined;
      this.#proxyAlive = false;
      return;
    }
    const [status, alive] = await Promise.all([
      machine.agent.ask({ do: 'status' }, ASK_MS).catch(() => undefined),
      isGuestProxyAlive(appliance.proxy, this.#options.netns),
    ]);
    this.#guest = status;
    this.#proxyAlive = alive;
  }

  status(): BackendStatus {
    const { backup = [] } = this.#options;
    const appliance = this.#appliance;
    const { found, uplinks, vpn } = this.#found;
    const links = appliance?.links() ?? [];
    const hello = appliance?.hello;
    const report = readGuestReport(this.#guest?.report);
    const { mode, reason } = judgeMode({
      state: appliance?.state ?? 'stopped',
      usable: uplinks.filter(({ usable }) => usable).map(({ linkName }) => linkName),
      ...(appliance?.why === undefined ? {} : { why: appliance.why }),
      ...(hello === undefined || hello.mptcp
        ? {}
        : { mptcpProblem: guestText(hello.mptcpProblem ?? 'unknown') }),
      ...(vpn === undefined ? {} : { vpn }),
    });
    return {
      mode,
      reason,
      paths: reportPaths(found.paths, links, this.#guestView, backup),
      ignoredLinks: found.ignoredLinks.map(({ name, why }) => ({ link: name, why })),
      endpoints: [],
      actions: { ...this.#counts, ...appliance?.counters },
      appliance: this.#report(),
      ...(report === undefined ? {} : { guest: report }),
    };
  }

  /** The guest's kernel has endpoints and limits, and its own Weft keeps them. */
  readonly control = APPLIANCE_CONTROL;

  get #guestView(): GuestView {
    const paths = readGuestReport(this.#guest?.report)?.paths;
    const links = (this.#guest?.links ?? []).map(({ mac, name }) => ({ mac, name: guestText(name) }));
    return paths === undefined ? { links } : { links, paths };
  }

  #report(): ApplianceReport {
    const appliance = this.#appliance;
    const { image, memoryMiB, processors } = this.#options;
    const { manifest, digest } = image;
    const links = appliance?.links() ?? [];
    const report: ApplianceReport = {
      state: appliance?.state ?? 'stopped',
      memoryMiB: memoryMiB ?? Math.max(MEMORY_MIB, manifest.memoryMiB),
      cpus: processors ?? PROCESSORS,
      image: { version: manifest.version, kernel: manifest.kernelRelease ?? 'unknown', digest },
      links: mapLinks(links, this.#guestView, appliance?.omitted ?? []),
    };
    const { bootMs, machine, proxy, why } = appliance ?? {};
    return {
      ...report,
      ...(why === undefined ? {} : { why }),
      ...(machine === undefined ? {} : { pid: machine.pid, accelerator: machine.accelerator }),
      ...(bootMs === undefined ? {} : { bootMs }),
      ...(proxy === undefined ? {} : { proxy: { ...proxy, alive: this.#proxyAlive } }),
    };
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer);
    clearTimeout(this.#askTimer);
    clearInterval(this.#period);
    this.#period = undefined;
    this.#watch?.close();
    try {
      await this.#appliance?.stop();
    } finally {
      this.#netlink?.close();
      this.#journal?.close();
    }
  }
}

function inTheAppliance(): WeftError {
  return new WeftError('endpoints, limits and paths are in the appliance, which is not changed from here', {
    code: 'APPLIANCE',
    hint: 'what is to be backup is named at the start: weft up --backup LINK',
  });
}

const APPLIANCE_CONTROL: HostControl = {
  refusal: inTheAppliance,
  ownsEndpoint: () => false,
  setPath: () => Promise.reject(inTheAppliance()),
  setLimits: () => {
    throw inTheAppliance();
  },
  lookNow: () => {},
};

/** Changes that the appliance itself makes are looked at once more, and not taken for the host's. */
function applianceBearing(event: RouteEvent): ReturnType<typeof bearingOf> {
  switch (event.kind) {
    case 'link':
      return TAP_NAMES.includes(event.link.name) ? 'own' : 'host';
    case 'route':
      return isApplianceRoute(event.route) ? 'own' : bearingOf(event);
    case 'rule':
      return isApplianceRule(event.rule) ? 'own' : bearingOf(event);
    default:
      return bearingOf(event);
  }
}

function rememberKvmProblem(path: string, why: string): void {
  try {
    writeFileSync(path, `${why}\n`, { mode: 0o600 });
  } catch {
    // Then it is tried again.
  }
}

/** The texts of what the guest says, fit for a terminal. BOUNDED: by the length of a line. */
function cleaned(value: unknown): unknown {
  if (typeof value === 'string') return guestText(value);
  if (Array.isArray(value)) return value.map(cleaned);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, cleaned(item)]));
}

/** The guest is another program, and may be another version; a report that has not even this is none. */
function readGuestReport(value: unknown): StatusReport | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { connections, multipath, paths, proxy } = value as Partial<StatusReport>;
  const isReport =
    Array.isArray(connections) &&
    Array.isArray(paths) &&
    typeof multipath === 'object' &&
    typeof proxy === 'object';
  return isReport ? (cleaned(value) as StatusReport) : undefined;
}
