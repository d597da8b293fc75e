/**
 * `weft up` on a Mac: the appliance, whose own proxy is reached on 127.0.0.1, kept in step with the Mac's links. The
 * control socket is the same as elsewhere, so `weft status`, `weft down` and mptcpctl ask it. Not tried on a Mac yet
 * (docs/appliance.md).
 *
 * Invariant: as of Backend: `start` leaves all of it or nothing, `end` takes back what the record names.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  MacHost,
  macQemuProgram,
  planMacUplinks,
  RunningMacMachine,
  type ImageFolder,
  type MacChoice,
  type MacUplink,
  type RunMacCommand,
} from '../../appliance/index.ts';
import { errorText, WeftError, type Logger } from '../../base/index.ts';
import type { FileLock } from '../../native/index.ts';
import { API_VERSION, UNOBSERVED_WEFT_FACE } from '../control-api.ts';
import type { ApplianceReport, ControlApi, StatusReport, StopAnswer } from '../control-api.ts';
import { ControlServer, takeServiceLock } from '../control-server.ts';
import type { ReloadReport } from '../proxy-policy.ts';
import { isProxyAlive } from '../proxy-probe.ts';
import { networkNamespaceInode, prepareRuntimeFolder } from '../runtime-folder.ts';
import { MacJournalFile, macRecordPath, runMacCommand } from './mac-system.ts';

export interface MacWeftOptions extends MacChoice {
  readonly version: string;
  readonly image: ImageFolder;
  /** On 127.0.0.1. */
  readonly port: number;
  readonly logger: Logger;
  readonly onStopRequest: () => void;
  /** For tests: another Mac. */
  readonly run?: RunMacCommand;
  readonly accelerators?: readonly ('hvf' | 'tcg')[];
}

const BOOT_TIMEOUT_MS = 90_000;
/** The Mac says nothing by itself that is listened to. */
const PERIOD_MS = 5000;
const ASK_MS = 4000;

export class MacWeft implements ControlApi {
  readonly #options: MacWeftOptions;
  readonly #startedAtMs = performance.now();
  readonly #folder: string;
  readonly #host: MacHost;
  #machine: RunningMacMachine | undefined;
  #accelerator: 'hvf' | 'tcg' | undefined;
  #uplinks: readonly MacUplink[] = [];
  #lock: FileLock | undefined;
  #control: ControlServer | undefined;
  #period: NodeJS.Timeout | undefined;
  #order: Promise<void> = Promise.resolve();
  #bootMs: number | undefined;
  #failed: string | undefined;

  /** @throws the errors of the runtime folder */
  constructor(options: MacWeftOptions) {
    this.#options = options;
    this.#folder = prepareRuntimeFolder();
    const journal = new MacJournalFile(macRecordPath(this.#folder));
    this.#host = new MacHost(options.run ?? runMacCommand, journal);
  }

  /** @throws WeftError ALREADY_RUNNING, COMMAND, BOOT, NO_PREFIX; nothing is left then */
  async start(): Promise<void> {
    this.#lock = takeServiceLock(this.#folder, networkNamespaceInode());
    try {
      for (const failure of await this.#host.undo()) this.#options.logger.warn({}, failure);
      const begunMs = performance.now();
      this.#uplinks = await this.#plan();
      await this.#host.apply(this.#uplinks);
      await this.#boot();
      this.#bootMs = Math.round(performance.now() - begunMs);
      await this.#listen();
    } catch (error) {
      await this.end();
      throw error;
    }
    this.#period = setInterval(() => void this.#reconcileInOrder(), PERIOD_MS).unref();
  }

  async #plan(): Promise<MacUplink[]> {
    const situation = await this.#host.readSituation(this.#options);
    return planMacUplinks(situation, hostname(), this.#uplinks);
  }

  /** The Mac's own acceleration first, then plain emulation. */
  async #boot(): Promise<void> {
    const { accelerators = ['hvf', 'tcg'], image, logger, port } = this.#options;
    const architecture = process.arch === 'arm64' ? 'arm64' : 'x64';
    for (const [place, accelerator] of accelerators.entries()) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- the next only when this one has failed
        this.#machine = await RunningMacMachine.start({
          program: macQemuProgram(architecture),
          bootTimeoutMs: BOOT_TIMEOUT_MS,
          logger,
          onEnd: (why) => this.#handleDeath(why),
          machine: {
            architecture,
            accelerator,
            kernel: join(image.folder, image.manifest.kernel?.name ?? ''),
            initramfs: join(image.folder, image.manifest.initramfs?.name ?? ''),
            memoryMiB: Math.max(512, image.manifest.memoryMiB),
            processors: 2,
            monitorPath: join(this.#folder, `monitor-${place}.sock`),
            agentPath: join(this.#folder, `agent-${place}.sock`),
            proxyPort: port,
            uplinks: this.#uplinks,
          },
        });
        this.#accelerator = accelerator;
        return;
      } catch (error) {
        if (place === accelerators.length - 1) throw error;
        logger.warn({ accelerator }, `${accelerator} does not work: ${errorText(error)}`);
      }
    }
  }

  #handleDeath(why: string): void {
    this.#failed = why;
    this.#options.logger.error({}, `the appliance has failed: ${why}`);
    this.#options.onStopRequest();
  }

  async #listen(): Promise<void> {
    this.#control = await ControlServer.listen<ControlApi>({
      face: UNOBSERVED_WEFT_FACE,
      api: this,
      folder: this.#folder,
      netnsInode: networkNamespaceInode(),
      logger: this.#options.logger,
    });
  }

  #reconcileInOrder(): Promise<void> {
    this.#order = this.#order.then(() => this.#reconcile());
    return this.#order;
  }

  /** Never rejects. */
  async #reconcile(): Promise<void> {
    const machine = this.#machine;
    if (machine === undefined || this.#failed !== undefined) return;
    const { logger } = this.#options;
    try {
      const uplinks = await this.#plan();
      const gone = this.#uplinks.filter((old) => !uplinks.some(({ device }) => device === old.device));
      const added = uplinks.filter((item) => !this.#uplinks.some(({ device }) => device === item.device));
      for (const uplink of gone) {
        // oxlint-disable-next-line no-await-in-loop -- one after another
        await machine.unplug(uplink);
        logger.info({ link: uplink.device }, `path ${uplink.device} is gone`);
      }
      if (JSON.stringify(uplinks) !== JSON.stringify(this.#uplinks)) await this.#host.apply(uplinks);
      for (const uplink of added) {
        // oxlint-disable-next-line no-await-in-loop
        await machine.plug(uplink);
        logger.info({ link: uplink.device }, `path ${uplink.device} (${uplink.port}) is in use`);
      }
      this.#uplinks = uplinks;
    } catch (error) {
      logger.warn({}, `the appliance's links could not be brought up to date: ${errorText(error)}`);
    }
  }

  /** Harmless when called again, and without a start. @throws WeftError CLEANUP */
  async end(): Promise<void> {
    clearInterval(this.#period);
    await this.#order;
    await this.#control?.close();
    this.#control = undefined;
    await this.#machine?.stop();
    this.#machine = undefined;
    // Without the lock another Weft runs, and what is recorded is its.
    const failures = this.#lock === undefined ? [] : await this.#host.undo();
    this.#lock?.release();
    this.#lock = undefined;
    if (failures.length === 0) return;
    throw new WeftError(`not everything could be taken back: ${failures.join('; ')}`, {
      code: 'CLEANUP',
      hint: 'the next "weft up" tries again',
    });
  }

  #report(alive: boolean): ApplianceReport {
    const { image, port } = this.#options;
    const pid = this.#machine?.pid;
    const state = this.#failed !== undefined ? 'failed' : this.#machine === undefined ? 'stopped' : 'running';
    return {
      state,
      image: {
        version: image.manifest.version,
        kernel: image.manifest.kernelRelease ?? 'unknown',
        digest: image.digest,
      },
      proxy: { address: '127.0.0.1', port, alive },
      links: this.#uplinks.map(({ device, guest, host, mac, prefix, slot }) => ({
        link: device,
        mac,
        guestLink: `eth${slot}`,
        hostAddresses: [`${host}/${prefix.length}`],
        guestAddresses: [`${guest}/${prefix.length}`],
        state: 'active',
      })),
      ...(pid === undefined ? {} : { pid }),
      ...(this.#failed === undefined ? {} : { why: this.#failed }),
      ...(this.#accelerator === undefined ? {} : { accelerator: this.#accelerator }),
      ...(this.#bootMs === undefined ? {} : { bootMs: this.#bootMs }),
    };
  }

  async status(): Promise<StatusReport> {
    const { port, version } = this.#options;
    const address = `127.0.0.1:${port}`;
    const asked = this.#machine?.agent.ask({ do: 'status' }, ASK_MS).catch(() => undefined);
    const [guest, alive] = await Promise.all([asked, isProxyAlive(address)]);
    const inside = guest?.report as Partial<StatusReport> | undefined;
    const several = this.#uplinks.length >= 2;
    const names = this.#uplinks.map(({ device }) => device).join(', ');
    const reason = several
      ? `connections can use ${names}`
      : `only one way out, or none${names === '' ? '' : `: ${names}`}`;
    const endToEnd = { connections: 0, mptcp: 0, severalPaths: 0 };
    return {
      apiVersion: API_VERSION,
      version,
      pid: process.pid,
      upForMs: Math.round(performance.now() - this.#startedAtMs),
      mode: several ? 'multipath' : 'single-path',
      reason,
      multipath: inside?.multipath ?? {
        inUse: false,
        explanation: ['The appliance has not said how it is.'],
        endToEnd,
      },
      backend: { kind: 'appliance', why: `${process.platform} has no MPTCP that a proxy could use` },
      appliance: this.#report(alive),
      paths: this.#uplinks.map(({ device, gateway, host, preferred }) => ({
        link: device,
        address: host,
        family: 4,
        backup: false,
        state: 'active',
        preferred,
        ...(gateway === undefined ? {} : { gateway }),
      })),
      ignoredLinks: [],
      endpoints: [],
      actions: {},
      proxy: { addresses: [address], allowRemote: false, multipath: true, counters: {} },
      connections: inside?.connections ?? [],
      connectionsOmitted: inside?.connectionsOmitted ?? 0,
    };
  }

  async reconcile(): Promise<StatusReport> {
    await this.#reconcileInOrder();
    return this.status();
  }

  reload(): Promise<ReloadReport> {
    return Promise.reject(
      new WeftError('the proxy inside the appliance has no rules on this system', { code: 'NO_RULES' }),
    );
  }

  stop(): Promise<StopAnswer> {
    setImmediate(this.#options.onStopRequest);
    return Promise.resolve({ pid: process.pid });
  }
}
