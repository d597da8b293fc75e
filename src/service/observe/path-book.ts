/**
 * The paths of the host from look to look (pure): what its subflows carried, how fast, how well, and its state, from
 * what the process that keeps paths in order says, what the links do, and what silence.ts infers.
 *
 * A look is `begin`, `carry` for every subflow, `end`. A path is a local address on a link; one that nobody reports
 * but subflows use is a path too.
 *
 * BOUNDED: PATHS_MAX paths. One that is neither reported nor used any more is told as down for a while, and forgotten.
 */
import { isIpv6, isLoopback } from '../../base/index.ts';
import type { PathReport } from '../control-api.ts';
import type { PathReading, PathState } from './model.ts';
import type { SubflowRecord } from './records.ts';
import { CLOCK_SLACK_MS } from './silence.ts';

export const PATHS_MAX = 64;
/** So many of those that there is no room for are counted. */
const OMITTED_MAX = 4096;
/** How long one that is gone is still told. */
const GONE_SHOWN_MS = 60_000;
/** How long "stale" is believed of a path that nothing uses any more. */
const STALE_BELIEVED_MS = 60_000;
/** Segments of this time are what the loss is of. */
const LOSS_WINDOW_MS = 10_000;
/** BOUNDED: looks that the loss is of, and round-trip times that a median is of. */
const LOSS_LOOKS_MAX = 100;
const RTT_SAMPLES_MAX = 512;

const ESTABLISHED = 1;

/** What a look says of a link. */
export interface LinkState {
  readonly up: boolean;
  /** Why not, in words. */
  readonly why?: string;
}

export interface PathChange {
  readonly path: PathReading;
  readonly before: PathState;
  readonly state: PathState;
  readonly why?: string;
}

interface LossLook {
  readonly atMs: number;
  readonly retransmitted: number;
  readonly sent: number;
}

export class PathRecord {
  readonly id: string;
  readonly link: string;
  readonly address: string;
  report: PathReport | undefined;
  state: PathState | undefined;
  why: string | undefined;
  subflows = 0;
  backups = 0;
  sentBytes = 0;
  receivedBytes = 0;
  retransmittedSegments = 0;
  sentSegments = 0;
  sentBase = 0;
  receivedBase = 0;
  retransmittedBase = 0;
  sentBitsPerSecond = 0;
  receivedBitsPerSecond = 0;
  retransmissionsPerSecond = 0;
  rttUs: number | undefined;
  /** BOUNDED: RTT_SAMPLES_MAX of this look. */
  readonly rtts: number[] = [];
  /** BOUNDED: LOSS_LOOKS_MAX. */
  readonly losses: LossLook[] = [];
  retransmittedNew = 0;
  segmentsNew = 0;
  /** When something came last over it. */
  heardMs = -Infinity;
  /** The clearest sign of this look that nothing comes through. */
  silent: { readonly sinceMs: number; readonly sure: boolean; readonly why: string } | undefined;
  /** Believed since, also when the subflow that showed it is gone. */
  stale:
    | { readonly sinceMs: number; readonly sure: boolean; readonly why: string; believedMs: number }
    | undefined;
  /** Neither reported nor used since. */
  goneMs: number | undefined;

  constructor(link: string, address: string) {
    this.id = pathId(link, address);
    this.link = link;
    this.address = address;
  }
}

export const pathId = (link: string, address: string) => `${link} ${address}`;

function median(values: number[]): number | undefined {
  if (values.length === 0) return undefined;
  values.sort((a, b) => a - b);
  return values[values.length >> 1];
}

/** Of the supervisor's words those that are not its own invention. */
function reportedState(report: PathReport): PathState {
  switch (report.state) {
    case 'active':
      return report.backup ? 'backup' : 'active';
    case 'backup':
      return 'backup';
    case 'down':
    case 'failed':
      return 'down';
    case 'stale':
      return 'stale';
    default:
      return 'waiting';
  }
}

export class PathBook {
  readonly #paths = new Map<string, PathRecord>();
  readonly #byAddress = new Map<string, PathRecord[]>();
  #nowMs = 0;
  /** Those that there was no room for at this look. BOUNDED: OMITTED_MAX. */
  readonly #omitted = new Set<string>();

  begin(nowMs: number, reports: readonly PathReport[]): void {
    this.#nowMs = nowMs;
    this.#omitted.clear();
    for (const path of this.#paths.values()) {
      path.report = undefined;
      path.subflows = path.backups = 0;
      path.rtts.length = 0;
      path.silent = undefined;
      path.retransmittedNew = path.segmentsNew = 0;
    }
    for (const report of reports) {
      const path = this.#open(report.link, report.address);
      if (path !== undefined) path.report = report;
    }
  }

  #open(link: string, address: string): PathRecord | undefined {
    const id = pathId(link, address);
    let path = this.#paths.get(id);
    if (path !== undefined) return path;
    if (this.#paths.size >= PATHS_MAX && !this.#makeRoom()) {
      if (this.#omitted.size < OMITTED_MAX) this.#omitted.add(id);
      return undefined;
    }
    path = new PathRecord(link, address);
    this.#paths.set(id, path);
    this.#byAddress.set(address, [...(this.#byAddress.get(address) ?? []), path]);
    return path;
  }

  /** The one that has been gone for longest. */
  #makeRoom(): boolean {
    let oldest: PathRecord | undefined;
    for (const path of this.#paths.values()) {
      if (path.goneMs !== undefined && path.goneMs < (oldest?.goneMs ?? Infinity)) oldest = path;
    }
    if (oldest === undefined) return false;
    this.#forget(oldest);
    return true;
  }

  #forget(path: PathRecord): void {
    this.#paths.delete(path.id);
    const rest = (this.#byAddress.get(path.address) ?? []).filter((other) => other !== path);
    if (rest.length === 0) this.#byAddress.delete(path.address);
    else this.#byAddress.set(path.address, rest);
  }

  /**
   * The path of a subflow.
   * @param linkOf the link that has the address now; a subflow may be bound to one that it names itself
   */
  #pathOf(
    subflow: SubflowRecord,
    linkOf: (subflow: SubflowRecord) => string | undefined,
  ): PathRecord | undefined {
    const known = this.#byAddress.get(subflow.localAddress);
    // The ordinary case by far: the address is on one link, and was there at the last look.
    if (known?.length === 1 && (subflow.path === undefined || subflow.path === known[0]!.id)) return known[0];
    if (isLoopback(subflow.localAddress)) return undefined;
    const link = linkOf(subflow);
    if (link === undefined) return known?.find(({ id }) => id === subflow.path) ?? known?.[0];
    return this.#open(link, subflow.localAddress);
  }

  /** Counts what a subflow moved since the last look towards its path. */
  carry(subflow: SubflowRecord, linkOf: (subflow: SubflowRecord) => string | undefined): void {
    const path = this.#pathOf(subflow, linkOf);
    subflow.path = path?.id;
    subflow.link = path?.link;
    if (path === undefined) return;
    path.sentBytes += subflow.sentNew;
    path.receivedBytes += subflow.receivedNew;
    path.retransmittedSegments += subflow.retransmittedNew;
    path.sentSegments += subflow.segmentsNew;
    path.retransmittedNew += subflow.retransmittedNew;
    path.segmentsNew += subflow.segmentsNew;
    if (subflow.state === ESTABLISHED) {
      path.subflows++;
      if (subflow.backup) path.backups++;
      if (subflow.rttUs !== undefined && path.rtts.length < RTT_SAMPLES_MAX) path.rtts.push(subflow.rttUs);
      path.heardMs = Math.max(path.heardMs, this.#nowMs - subflow.heardAgoMs);
    }
    const { silence } = subflow;
    if (silence !== undefined && (path.silent === undefined || (silence.sure && !path.silent.sure))) {
      path.silent = silence;
    }
  }

  /**
   * Ends the look.
   * @param windowMs length of the window that rates are of and that ends now; 0: it goes on
   * @returns the paths whose state has changed, but not those seen for the first time
   */
  end(windowMs: number, linkState: (link: string) => LinkState | undefined): PathChange[] {
    const changes: PathChange[] = [];
    for (const path of this.#paths.values()) {
      this.#measure(path, windowMs);
      this.#noteAbsence(path);
      const link = linkState(path.link);
      this.#judgeStale(path, link);
      const { state: before } = path;
      const { state, why } = this.#stateOf(path, link);
      path.state = state;
      path.why = why;
      if (before !== undefined && before !== state) {
        changes.push({ path: readPath(path), before, state, ...(why === undefined ? {} : { why }) });
      }
      if (path.goneMs !== undefined && this.#nowMs - path.goneMs > GONE_SHOWN_MS) this.#forget(path);
    }
    return changes;
  }

  #measure(path: PathRecord, windowMs: number): void {
    path.rttUs = median(path.rtts);
    if (path.segmentsNew > 0 || path.retransmittedNew > 0) {
      path.losses.push({
        atMs: this.#nowMs,
        retransmitted: path.retransmittedNew,
        sent: path.segmentsNew,
      });
    }
    while (
      path.losses.length > LOSS_LOOKS_MAX ||
      (path.losses[0]?.atMs ?? Infinity) < this.#nowMs - LOSS_WINDOW_MS
    ) {
      path.losses.shift();
    }
    if (windowMs === 0) return;
    path.sentBitsPerSecond = Math.round(((path.sentBytes - path.sentBase) * 8000) / windowMs);
    path.receivedBitsPerSecond = Math.round(((path.receivedBytes - path.receivedBase) * 8000) / windowMs);
    path.retransmissionsPerSecond = ((path.retransmittedSegments - path.retransmittedBase) * 1000) / windowMs;
    path.sentBase = path.sentBytes;
    path.receivedBase = path.receivedBytes;
    path.retransmittedBase = path.retransmittedSegments;
  }

  #noteAbsence(path: PathRecord): void {
    const isGone = path.report === undefined && path.subflows === 0 && path.silent === undefined;
    if (!isGone) path.goneMs = undefined;
    else path.goneMs ??= this.#nowMs;
  }

  #judgeStale(path: PathRecord, link: LinkState | undefined): void {
    const { silent } = path;
    // If something came over it since, it is that one subflow's, or its peer's, trouble.
    if (silent !== undefined && path.heardMs <= silent.sinceMs + CLOCK_SLACK_MS) {
      if (path.stale === undefined || (silent.sure && !path.stale.sure)) {
        path.stale = { ...silent, believedMs: this.#nowMs };
      }
      path.stale.believedMs = this.#nowMs;
      return;
    }
    const { stale } = path;
    if (stale === undefined) return;
    const isOver =
      !stale.sure ||
      path.heardMs > stale.sinceMs + CLOCK_SLACK_MS ||
      link?.up !== true ||
      this.#nowMs - stale.believedMs > STALE_BELIEVED_MS;
    if (isOver) path.stale = undefined;
  }

  #stateOf(
    path: PathRecord,
    link: LinkState | undefined,
  ): { readonly state: PathState; readonly why: string | undefined } {
    if (link === undefined) return { state: 'down', why: 'the link is gone' };
    if (!link.up) return { state: 'down', why: link.why };
    const { report, stale } = path;
    if (report === undefined && path.goneMs !== undefined)
      return { state: 'down', why: 'the address is gone' };
    const said = report === undefined ? usedState(path) : reportedState(report);
    if (said === 'down') return { state: 'down', why: report?.why };
    if (stale !== undefined) return { state: 'stale', why: stale.why };
    return { state: said, why: said === 'active' || said === 'backup' ? undefined : report?.why };
  }

  /** How many paths the last look had no room for. */
  get omitted(): number {
    return this.#omitted.size;
  }

  /** In the order of the reports, then of their appearance. */
  paths(): PathRecord[] {
    return [...this.#paths.values()];
  }

  readings(): PathReading[] {
    return this.paths().map(readPath);
  }

  get(id: string): PathRecord | undefined {
    return this.#paths.get(id);
  }
}

/** Of a path that only its subflows tell of. */
function usedState(path: PathRecord): PathState {
  return path.subflows > 0 && path.backups === path.subflows ? 'backup' : 'active';
}

function lossOf(path: PathRecord): number | undefined {
  let retransmitted = 0;
  let sent = 0;
  for (const look of path.losses) {
    retransmitted += look.retransmitted;
    sent += look.sent;
  }
  return sent === 0 ? undefined : Math.min(1, retransmitted / sent);
}

export function readPath(path: PathRecord): PathReading {
  const { report, rttUs, why } = path;
  const lossShare = lossOf(path);
  return {
    id: path.id,
    link: path.link,
    address: path.address,
    ...(report?.gateway === undefined ? {} : { gateway: report.gateway }),
    family: isIpv6(path.address) ? 6 : 4,
    ...(report?.table === undefined ? {} : { table: report.table }),
    ...(report?.endpointId === undefined ? {} : { endpointId: report.endpointId }),
    backup: report?.backup ?? usedState(path) === 'backup',
    state: path.state ?? 'waiting',
    ...(why === undefined ? {} : { why }),
    subflows: path.subflows,
    sentBytes: path.sentBytes,
    receivedBytes: path.receivedBytes,
    retransmittedSegments: path.retransmittedSegments,
    sentSegments: path.sentSegments,
    sentBitsPerSecond: path.sentBitsPerSecond,
    receivedBitsPerSecond: path.receivedBitsPerSecond,
    retransmissionsPerSecond: Math.round(path.retransmissionsPerSecond * 10) / 10,
    ...(lossShare === undefined ? {} : { lossShare }),
    ...(rttUs === undefined ? {} : { rttUs }),
  };
}
