/**
 * The supervisor's hands: reads the host, decides, and carries out what was decided, once for each call. When to
 * call it, and whom to tell, is supervisor.ts's business.
 *
 * `look`, in order: read the host → decide → remove endpoints → change routing → raise limits → add endpoints.
 * Endpoints go before their routes and come after them, because the kernel sends at once when either changes.
 *
 * Invariants: every look compares all that is wanted with all that is there, so a lost message or a failed change is
 * made good by the next one; looks never overlap (each is one synchronous call); `undo` leaves the host as it was.
 */
import { AF_INET, errorText, WeftError, type Logger } from '../base/index.ts';
import { EndpointFlag, PathManager, readSysctls, type Limits } from '../mptcp/index.ts';
import { RouteNetlink } from '../netlink/index.ts';
import { EndpointOwner, neededLimits, type WantedEndpoint } from '../pathmanager/index.ts';
import { findPaths, RoutingTables, tunnelOfDefaultTraffic } from '../routing/index.ts';
import type { HostPath, HostView, IgnoredLink, LinkChoice } from '../routing/index.ts';
import { readHostView } from './host-view.ts';
import { prepareRuntimeFolder } from './runtime-folder.ts';
import { namespaceIdentity } from './namespace-identity.ts';
import { StateJournal } from './state.ts';
import { decide, type Decision } from './supervisor-decision.ts';
import { IDLE_LOOK, type Look } from './supervisor-status.ts';

export interface HostOptions {
  /** Link names; absent or empty: every link that looks like an uplink. */
  readonly interfaces?: readonly string[];
  readonly exclude?: readonly string[];
  /** Links whose paths carry data only when no other path can. */
  readonly backup?: readonly string[];
  readonly logger: Logger;
  /** File of the network namespace to work in; default is this process's own. */
  readonly netns?: string;
  /** Where the record of endpoints is kept; default is the runtime folder. */
  readonly stateFolder?: string;
}

export interface LookResult {
  readonly look: Look;
  /** For the user: what could not be done. */
  readonly failures: readonly string[];
  /** Whether anything on the host was changed. */
  readonly changed: boolean;
}

/** What was done since the start. */
export interface HostCounters {
  readonly routesAndRulesChanged: number;
  readonly endpointsAdded: number;
  readonly endpointsDeleted: number;
  readonly limitsRaised: number;
}

export class HostKeeper {
  readonly #options: HostOptions;
  readonly #choice: LinkChoice;
  readonly #netns: { readonly netns?: string };
  readonly #netlink: RouteNetlink;
  readonly #routing: RoutingTables;
  readonly #privileged: boolean;
  /** What somebody wants of links' paths, whatever was said at the start. BOUNDED: by links that there were. */
  readonly #backupWishes = new Map<string, boolean>();
  /** Absent without MPTCP in the kernel. */
  #pathManager: PathManager | undefined;
  #noPathManager: string | undefined;
  /** These two only with privileges. */
  #journal: StateJournal | undefined;
  #endpoints: EndpointOwner | undefined;
  #engaged = false;
  #toldOmitted = false;
  #routingChanges = 0;

  /**
   * Opens what is needed and takes the lock, without changing anything yet.
   * @throws WeftError ALREADY_RUNNING when another process manages this network namespace's paths
   */
  constructor(options: HostOptions) {
    this.#options = options;
    const { exclude, interfaces, netns } = options;
    this.#choice = {
      ...(interfaces === undefined ? {} : { interfaces }),
      ...(exclude === undefined ? {} : { exclude }),
    };
    this.#netns = netns === undefined ? {} : { netns };
    this.#netlink = RouteNetlink.open(this.#netns);
    this.#routing = new RoutingTables(this.#netlink);
    try {
      this.#privileged = this.#routing.mayChange();
      this.#open();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #open(): void {
    const { logger, netns, stateFolder } = this.#options;
    // The lock is for all that is made, routes too.
    if (this.#privileged) {
      const folder = stateFolder ?? prepareRuntimeFolder();
      this.#journal = StateJournal.open(folder, namespaceIdentity(netns), logger);
    }
    try {
      this.#pathManager = PathManager.open(this.#netns);
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== 'NO_MPTCP') throw error;
      this.#noPathManager = errorText(error);
      return;
    }
    if (this.#journal !== undefined) {
      this.#endpoints = new EndpointOwner(this.#pathManager, this.#journal, logger);
    }
  }

  /** Whether this process may change routes and endpoints. */
  get privileged(): boolean {
    return this.#privileged;
  }

  /** For the next look, until the end. */
  setBackup(link: string, backup: boolean): void {
    this.#backupWishes.set(link, backup);
  }

  /** Read anew each time: whoever made the options may have changed the list. */
  get #backupLinks(): readonly string[] {
    const named = (this.#options.backup ?? []).filter((link) => this.#backupWishes.get(link) !== false);
    const wished = [...this.#backupWishes].flatMap(([link, backup]) => (backup ? [link] : []));
    return [...new Set([...named, ...wished])];
  }

  /** Sets limits for a user: they are left at that. @throws NetlinkError */
  setLimits(limits: Partial<Limits>): void {
    if (this.#endpoints === undefined) this.#pathManager?.setLimits(limits);
    else this.#endpoints.setLimits(limits);
  }

  get counters(): HostCounters {
    const { endpointsAdded = 0, endpointsDeleted = 0, limitsRaised = 0 } = this.#endpoints?.counters ?? {};
    return { routesAndRulesChanged: this.#routingChanges, endpointsAdded, endpointsDeleted, limitsRaised };
  }

  #changes(): number {
    const { endpointsAdded, endpointsDeleted, limitsRaised, routesAndRulesChanged } = this.counters;
    return endpointsAdded + endpointsDeleted + limitsRaised + routesAndRulesChanged;
  }

  /** Looks at the host and brings it to what is wanted. */
  look(): LookResult {
    const before = this.#changes();
    const view = readHostView(this.#netlink);
    const found = findPaths(view, this.#choice);
    const vpn = tunnelOfDefaultTraffic(view, this.#choice);
    const mptcpProblem = this.#mptcpProblem();
    const decision = decide({
      found,
      privileged: this.#privileged,
      engaged: this.#engaged,
      ...(vpn === undefined ? {} : { vpn }),
      ...(mptcpProblem === undefined ? {} : { mptcpProblem }),
    });
    this.#engaged = decision.engaged;
    const seen: Look = {
      ...IDLE_LOOK,
      decision,
      found: found.paths,
      ignoredLinks: [...found.ignoredLinks, ...this.#missingLinks(view)],
      links: view.links,
      backup: this.#backupLinks,
    };
    const failures: string[] = [];
    const look = this.#privileged ? this.#apply(seen, view, decision, failures) : this.#show(seen);
    return { look, failures, changed: this.#changes() !== before };
  }

  #apply(seen: Look, view: HostView, { paths }: Decision, failures: string[]): Look {
    const endpoints = this.#endpoints;
    const wanted = this.#wantedEndpoints(paths);
    if (paths.length > 0) failures.push(...(endpoints?.retire(wanted) ?? []));
    else if (endpoints?.ownsSomething === true) failures.push(...endpoints.removeAll());
    const routed = this.#routing.apply(paths, view);
    this.#routingChanges += routed.done.length;
    failures.push(...routed.failures.map((failure) => failure.text));
    this.#tellOmitted(routed.detoursOmitted);
    const look = { ...seen, tables: routed.tables };
    if (endpoints === undefined) return look;
    const limited = endpoints.raiseLimits(neededLimits(largestFamily(wanted, paths)));
    const report = endpoints.provide(wanted);
    failures.push(...limited.failures, ...report.failures);
    const { limits, maximum } = limited;
    const { endpoints: all, ownIds, uses } = report;
    const limitsMaximum = maximum === undefined ? {} : { limitsMaximum: maximum };
    return { ...look, uses, endpoints: all, ownIds, limits, ...limitsMaximum };
  }

  /** Once: a host with a full internet table changes every second. */
  #tellOmitted(count: number): void {
    if (count === 0 || this.#toldOmitted) return;
    this.#toldOmitted = true;
    const text = `the main table has ${count} more destinations than Weft copies: traffic from a path's address to them takes that path's default route`;
    this.#options.logger.warn({ count }, text);
  }

  /** Without privileges the endpoints of others can still be shown. */
  #show(seen: Look): Look {
    const pathManager = this.#pathManager;
    if (pathManager === undefined) return seen;
    return { ...seen, endpoints: pathManager.endpoints(), limits: pathManager.limits() };
  }

  #wantedEndpoints(paths: readonly HostPath[]): WantedEndpoint[] {
    const backup = this.#backupLinks;
    return paths
      .filter((path) => path.state === 'usable')
      .map(({ address, linkIndex, linkName }) => ({
        address,
        linkIndex,
        flags: EndpointFlag.subflow | (backup.includes(linkName) ? EndpointFlag.backup : 0),
      }));
  }

  #mptcpProblem(): string | undefined {
    if (this.#noPathManager !== undefined) return this.#noPathManager;
    const settings = readSysctls(this.#netns);
    if (settings.enabled === false) {
      return 'MPTCP is switched off: "sysctl -w net.mptcp.enabled=1" switches it on';
    }
    if (settings.path_manager === 'userspace' || (settings.pm_type ?? 0) === 1) {
      return 'the kernel leaves subflows to a userspace path manager, so endpoints have no effect: "sysctl -w net.mptcp.pm_type=0" changes that';
    }
    return undefined;
  }

  /** Links that were named and are not there; they may come. */
  #missingLinks(view: HostView): IgnoredLink[] {
    const { backup = [], exclude = [], interfaces = [] } = this.#options;
    const named = new Set([...interfaces, ...exclude, ...backup]);
    return [...named]
      .filter((name) => !view.links.some((link) => link.name === name))
      .map((name) => ({ name, why: 'no link has this name at present' }));
  }

  /** Removes exactly what was made and puts the limits back. @returns what could not be, for the user */
  undo(): string[] {
    if (!this.#privileged) return [];
    const failures: string[] = [];
    const attempt = (work: () => readonly string[]) => {
      try {
        failures.push(...work());
      } catch (error) {
        failures.push(errorText(error));
      }
    };
    attempt(() => this.#endpoints?.removeAll() ?? []);
    attempt(() => this.#routing.removeAll().failures.map((failure) => failure.text));
    return failures;
  }

  close(): void {
    this.#pathManager?.close();
    this.#journal?.close();
    this.#netlink.close();
  }
}

/** How many endpoints of one family are wanted, for the family that has more: a connection uses only one. */
function largestFamily(wanted: readonly WantedEndpoint[], paths: readonly HostPath[]): number {
  const v4 = new Set(paths.filter((path) => path.family === AF_INET).map((path) => path.address));
  const count = wanted.filter((item) => v4.has(item.address)).length;
  return Math.max(count, wanted.length - count);
}
