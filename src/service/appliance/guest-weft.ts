/**
 * Weft inside the appliance: what `weft up` is on a host (proxy and supervisor), made for what the host asks over the
 * agent's port. The proxy listens on the link to the host and on nothing else; the supervisor looks after the uplinks.
 *
 * Invariant: nothing is open to the network before the host has asked for the proxy.
 */
import { readFileSync } from 'node:fs';
import { freemem, release, totalmem, uptime } from 'node:os';
import {
  GuestLinks,
  PROTOCOL_VERSION,
  type GuestFace,
  type GuestHello,
  type GuestLink,
  type GuestLinkReport,
  type GuestProxy,
  type GuestProxyReport,
  type GuestStatus,
} from '../../appliance/index.ts';
import { errorText, formatSocketAddress, WeftError, type Logger } from '../../base/index.ts';
import { listConnections, readSysctls, type MptcpConnection } from '../../mptcp/index.ts';
import { readHostAddresses } from '../../netlink/index.ts';
import { ProxyServer } from '../../proxy/index.ts';
import { reportConnections } from '../connection-report.ts';
import type { StatusReport } from '../control-api.ts';
import { Supervisor } from '../supervisor.ts';
import { buildGuestReport } from './guest-report.ts';

/** Of the supervisor's record; it goes with the machine. */
const STATE_FOLDER = '/run/weft';

export interface GuestWeftOptions {
  readonly version: string;
  readonly logger: Logger;
  /** Paths, links or mode are others than before. */
  readonly onChange: () => void;
  /** The host wants the end. */
  readonly onStop: () => void;
  readonly stateFolder?: string;
}

interface RunningProxy {
  readonly wanted: Required<GuestProxy>;
  readonly server: ProxyServer;
}

/** Why MPTCP cannot be used; `undefined` when it can. */
function mptcpProblem(): string | undefined {
  try {
    return readSysctls().enabled === false ? 'net.mptcp.enabled is 0' : undefined;
  } catch (error) {
    return errorText(error);
  }
}

/** The link that has an address, by its name in this guest. */
function linkOf(): (address: string) => string | undefined {
  const links = new Map(readHostAddresses().map(({ address, link }) => [address, link]));
  return (address) => links.get(address);
}

function memoryAvailable(): number {
  const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'));
  return match === null ? freemem() : Number(match[1]) * 1024;
}

export class GuestWeft implements GuestFace {
  readonly #options: GuestWeftOptions;
  readonly #links: GuestLinks;
  /** Names, read by the supervisor at every look: NICs come and go. BOUNDED by the links. */
  readonly #backup: string[] = [];
  readonly #exclude: string[] = [];
  #supervisor: Supervisor | undefined;
  #proxy: RunningProxy | undefined;

  constructor(options: GuestWeftOptions) {
    this.#options = options;
    this.#links = new GuestLinks({ logger: options.logger, onChange: () => this.#handleLinks() });
  }

  #handleLinks(): void {
    this.#backup.splice(0, Infinity, ...this.#links.names(({ backup }) => backup === true));
    this.#exclude.splice(0, Infinity, ...this.#links.names(({ role }) => role === 'host'));
    this.#options.onChange();
  }

  hello(): GuestHello {
    const problem = mptcpProblem();
    return {
      protocol: PROTOCOL_VERSION,
      version: this.#options.version,
      kernel: release(),
      node: process.versions.node,
      mptcp: problem === undefined,
      ...(problem === undefined ? {} : { mptcpProblem: problem }),
      uptimeMs: Math.round(uptime() * 1000),
      macs: this.#links.macs(),
    };
  }

  link(link: GuestLink, waitMs: number | undefined): Promise<GuestLinkReport> {
    return this.#links.want(link, waitMs);
  }

  unlink(mac: string): void {
    this.#links.forget(mac);
  }

  async proxy(wanted: Required<GuestProxy>): Promise<GuestProxyReport> {
    const running = this.#proxy;
    if (running !== undefined && JSON.stringify(running.wanted) === JSON.stringify(wanted)) {
      return this.#proxyReport(running.server);
    }
    await this.#stopProxy();
    const { logger } = this.#options;
    const { address, multipath, port } = wanted;
    // Only what the host sends: an uplink must not lead to the proxy, whatever its packets say.
    const [link] = this.#links.names((item) => item.addresses.some((text) => text.startsWith(`${address}/`)));
    if (link === undefined) {
      throw new WeftError(`no link has the address "${address}" for the proxy`, { code: 'EADDRNOTAVAIL' });
    }
    const listen = [{ address, port, link }];
    const server = new ProxyServer({ listen, allowRemote: true, multipath, logger });
    // The proxy's thread takes its time to start, and the first look at the links meanwhile.
    const [started, supervised] = await Promise.allSettled([
      server.start(),
      multipath ? this.#startSupervisor() : undefined,
    ]);
    if (started.status === 'rejected') throw started.reason;
    this.#proxy = { wanted, server };
    if (supervised.status === 'rejected') throw supervised.reason;
    return this.#proxyReport(server);
  }

  async #startSupervisor(): Promise<void> {
    if (this.#supervisor !== undefined) return;
    const { logger, stateFolder = STATE_FOLDER } = this.#options;
    const supervisor = new Supervisor({
      backup: this.#backup,
      exclude: this.#exclude,
      logger,
      stateFolder,
      onChange: () => this.#options.onChange(),
    });
    await supervisor.start();
    this.#supervisor = supervisor;
  }

  #proxyReport(server: ProxyServer): GuestProxyReport {
    return { addresses: server.addresses.map(({ address, port }) => formatSocketAddress(address, port)) };
  }

  async #stopProxy(): Promise<void> {
    const running = this.#proxy;
    this.#proxy = undefined;
    await running?.server.stop();
  }

  status(): Promise<GuestStatus> {
    return Promise.resolve({
      uptimeMs: Math.round(uptime() * 1000),
      memoryTotalBytes: totalmem(),
      memoryAvailableBytes: memoryAvailable(),
      links: this.#links.reports(),
      missingMacs: this.#links.missingMacs,
      ...this.#report(),
    });
  }

  #report(): { readonly report?: StatusReport } {
    const proxy = this.#proxy;
    if (proxy === undefined) return {};
    const { server, wanted } = proxy;
    const report = buildGuestReport({
      version: this.#options.version,
      upForMs: Math.round(uptime() * 1000),
      proxyAddresses: this.#proxyReport(server).addresses,
      multipath: wanted.multipath,
      counters: { ...server.counters() },
      supervised: this.#supervisor?.status(),
      ...reportConnections(server.connections(), this.#kernelConnections(), Date.now(), linkOf()),
    });
    return { report };
  }

  #kernelConnections(): readonly MptcpConnection[] {
    try {
      return listConnections();
    } catch {
      // Without the module mptcp_diag the proxy's own numbers remain.
      return [];
    }
  }

  stop(): void {
    this.#options.onStop();
  }

  /** Ends proxy and supervisor; in bounded time as far as they do. */
  async close(): Promise<void> {
    await this.#stopProxy();
    await this.#supervisor?.stop();
    this.#links.close();
  }
}
