/**
 * Whether something still comes through a subflow (pure): the kernel tells of no path that was cut without a word, so
 * it is inferred from what each socket has heard. Three kinds of signs, and one of beginnings:
 *
 *   unanswered  data of ours was sent again after a timeout, and nothing at all has come back since
 *   silent      data came steadily, and then nothing more, while the same connection's other subflows carry on at
 *               their pace; the end of a burst looks the same for a moment (the slower path ends later), so this is not
 *               `sure` before it has lasted, and is taken back when the others fall silent too. When they have become
 *               slower as well, the sender has less to send, or the reader takes less, and one path is enough for it
 *   missing     a subflow that carried data fell silent, and what the others brought then could not be delivered: the
 *               connection waited for something that was sent over the silent one. The others show that for a moment
 *               only: until the window is full and they stall too, or until it is sent again over one of them. It stays
 *               until something is heard, because the sender sends it there again as soon as anything gets through
 *   join        a subflow's SYNs are not answered, although the same address answers over another path
 *
 * What was sure stays until something is heard again.
 *
 * Invariant: a subflow that has heard anything since is not silent.
 */
import type { SubflowRecord, Silence } from './records.ts';

const ESTABLISHED = 1;
const SYN_SENT = 2;

/** A timeout alone is one lost segment; without an answer for so long it is more. */
const UNANSWERED_MS = 400;
/** Where no other subflow shows that the other end is there, more timeouts have to pass. */
const TIMEOUTS_ALONE = 3;
const TIMEOUTS_SURE = 2;
const TIMEOUTS_JOIN = 2;
/** What has been silent for longer had nothing to answer before, and the one lost segment was the first for a while. */
const FIRST_TIMEOUT_MS = 1000;
/** When the second SYN has timed out (RFC 6298). */
const JOIN_MS = 3000;

/** Two pauses between segments of a steady stream on a slow path are not longer than this and some round trips. */
const SILENT_MS = 450;
/** Two lost segments in a row are not: the sender sends again after a fifth of a second and a round trip (RFC 6298). */
const MISSING_MS = 300;
const MISSING_ROUND_TRIPS = 2;
/** How coarse the kernel's "so long ago" is (HZ = 100). */
const KERNEL_TICK_MS = 10;
/**
 * The others bring what they did in this time. A reader that takes nothing makes them wait too, but it stops all of
 * them with one window: within less than this, and but for the probes of a window that is closed.
 */
const MISSED_PACE_MS = 100;
/** What a subflow owes the others, they lack soon after it has fallen silent. */
const MISSED_WITHIN_MS = 700;
const SILENT_ROUND_TRIPS = 3;
const SILENT_MAX_MS = 3000;
const SILENT_SURE_MS = 3000;
/** What has to have come lately for its absence to mean something, and what the others have to carry meanwhile. */
const LATELY_BYTES = 64 * 1024;
const CARRIES_BYTES = 8 * 1024;
/** "Lately": bytes count half after this. */
const HALF_LIFE_MS = 1000;
/** The others carry on if they have heard something within this. */
const CARRIES_WITHIN_MS = 300;
/** A subflow is worth looking at often for so long after it was busy. */
const BUSY_WITHIN_MS = 1000;

/** The others go on as before when they carry this share of what they did. */
const SAME_PACE = 0.5;
/** Of what the others have brought, no more than this has been delivered. */
const MISSING_DELIVERED = 0.25;

function receivedByOthers(subflow: SubflowRecord): number {
  let bytes = 0;
  for (const other of subflow.connection?.subflows ?? []) {
    if (other !== subflow && other.seen === subflow.seen) bytes += other.receivedNew;
  }
  return bytes;
}

/**
 * Takes one look's reading into what came lately. All subflows of the connection have been read before.
 * @param elapsedMs since the look before
 */
export function noteArrivals(subflow: SubflowRecord, elapsedMs: number): void {
  const others = receivedByOthers(subflow);
  const delivered = subflow.connection?.receivedBytes ?? 0;
  const deliveredNew = delivered - subflow.deliveredLast;
  subflow.deliveredLast = delivered;
  // Silence does not fade it: it is how much came before.
  if (subflow.receivedNew === 0) {
    subflow.othersSince += others;
    subflow.quietMs += elapsedMs;
    noteWaiting(subflow, others, deliveredNew);
    return;
  }
  const kept = 0.5 ** (elapsedMs / HALF_LIFE_MS);
  subflow.lately = subflow.lately * kept + subflow.receivedNew;
  const pace = others / Math.max(1, elapsedMs);
  subflow.othersPace += (pace - subflow.othersPace) * (1 - kept);
  subflow.othersSince = 0;
  subflow.waitingBytes = 0;
  subflow.quietMs = 0;
  subflow.isMissed = false;
}

/** Whether the others wait for this one: they go on for a while after it, and nothing of that can be delivered. */
function noteWaiting(subflow: SubflowRecord, others: number, deliveredNew: number): void {
  if (subflow.connection?.hasOwnBytes !== true || subflow.lately < LATELY_BYTES) return;
  if (subflow.quietMs > MISSED_WITHIN_MS) return;
  const isWaiting = deliveredNew <= MISSING_DELIVERED * others;
  subflow.waitingBytes = isWaiting ? subflow.waitingBytes + others : 0;
  subflow.isMissed ||= subflow.waitingBytes >= Math.max(LATELY_BYTES, MISSED_PACE_MS * subflow.othersPace);
}

/** Since this one has fallen silent, all in all. */
const othersKeepPace = ({ othersPace, othersSince, quietMs }: SubflowRecord) =>
  othersSince >= SAME_PACE * othersPace * quietMs;

const roundTripMs = (subflow: SubflowRecord) =>
  Math.max(subflow.rttUs ?? 0, subflow.receiveRttUs ?? 0) / 1000;

/** Among the others of its connection, the ones that have just heard something. */
function liveOthers(subflow: SubflowRecord): SubflowRecord[] {
  const others = subflow.connection?.subflows ?? [];
  return others.filter(
    (other) =>
      other !== subflow &&
      other.seen === subflow.seen &&
      other.state === ESTABLISHED &&
      other.silence === undefined &&
      other.heardAgoMs <= CARRIES_WITHIN_MS,
  );
}

function findUnanswered(subflow: SubflowRecord, nowMs: number): Silence | undefined {
  const { heardAgoMs, timeoutsInRow, unackedSegments } = subflow;
  if (unackedSegments === 0 || timeoutsInRow === 0 || heardAgoMs < UNANSWERED_MS) return undefined;
  const isFirst = timeoutsInRow === 1 && subflow.silence === undefined;
  if (isFirst && heardAgoMs > FIRST_TIMEOUT_MS + roundTripMs(subflow)) return undefined;
  if (timeoutsInRow < TIMEOUTS_ALONE && liveOthers(subflow).length === 0) return undefined;
  return {
    sinceMs: nowMs - heardAgoMs,
    sign: 'unanswered',
    sure: timeoutsInRow >= TIMEOUTS_SURE,
    why: `${unackedSegments} ${unackedSegments === 1 ? 'segment is' : 'segments are'} not acknowledged after ${timeoutsInRow} ${timeoutsInRow === 1 ? 'timeout' : 'timeouts'} in a row, and nothing has come since`,
  };
}

function findSilent(subflow: SubflowRecord, nowMs: number): Silence | undefined {
  const { heardAgoMs } = subflow;
  if (subflow.backup || heardAgoMs < SILENT_MS || subflow.lately < LATELY_BYTES) return undefined;
  const others = liveOthers(subflow);
  if (others.length === 0 || subflow.othersSince < CARRIES_BYTES || !othersKeepPace(subflow))
    return undefined;
  const roundTrips = SILENT_ROUND_TRIPS * Math.max(roundTripMs(subflow), ...others.map(roundTripMs));
  if (heardAgoMs < Math.min(SILENT_MAX_MS, SILENT_MS + roundTrips)) return undefined;
  return {
    sinceMs: nowMs - heardAgoMs,
    sign: 'silent',
    sure: heardAgoMs >= SILENT_SURE_MS,
    why: "silent although it carried data, while the connection's other subflows carry on",
  };
}

const missingAfterMs = (subflow: SubflowRecord) =>
  Math.min(SILENT_MAX_MS, MISSING_MS + MISSING_ROUND_TRIPS * roundTripMs(subflow));

function findMissing(subflow: SubflowRecord, nowMs: number): Silence | undefined {
  const { heardAgoMs } = subflow;
  if (subflow.backup || !subflow.isMissed || heardAgoMs < missingAfterMs(subflow)) return undefined;
  return {
    sinceMs: nowMs - heardAgoMs,
    sign: 'missing',
    sure: heardAgoMs >= SILENT_SURE_MS,
    why: 'silent although it carried data, and what came over other paths since then waits for it',
  };
}

function findUnansweredJoin(subflow: SubflowRecord, nowMs: number): Silence | undefined {
  const { remoteAddress, timeoutsInRow } = subflow;
  if (subflow.state !== SYN_SENT || timeoutsInRow < TIMEOUTS_JOIN) return undefined;
  // An address that answers nobody says nothing of the path.
  if (!liveOrIdle(subflow, remoteAddress)) return undefined;
  return {
    sinceMs: subflow.silence?.sinceMs ?? nowMs - JOIN_MS,
    sign: 'join',
    sure: true,
    why: `${timeoutsInRow + 1} SYNs to ${remoteAddress} were not answered, which answers over another path`,
  };
}

function liveOrIdle(subflow: SubflowRecord, remoteAddress: string): boolean {
  const others = subflow.connection?.subflows ?? [];
  return others.some(
    (other) =>
      other !== subflow &&
      other.seen === subflow.seen &&
      other.state === ESTABLISHED &&
      other.silence === undefined &&
      other.remoteAddress === remoteAddress,
  );
}

/**
 * The same moment, taken from two looks, may differ by this: the kernel's clock ticks, a look at thousands of sockets
 * takes a while, and on a busy machine what the kernel wrote is read later. Whoever is found silent has been for longer.
 */
export const CLOCK_SLACK_MS = 200;

/** What holds on to an earlier finding although its signs are gone for now. */
function holds(subflow: SubflowRecord, before: Silence, nowMs: number): boolean {
  if (nowMs - subflow.heardAgoMs > before.sinceMs + CLOCK_SLACK_MS) return false;
  // The kernel gives up sending after a while; what was sure is not unsure for that.
  if (before.sure && before.sign !== 'join') return subflow.state === ESTABLISHED;
  return before.sign === 'silent' && othersKeepPace(subflow) && liveOthers(subflow).length > 0;
}

/** Judges one subflow anew; `noteArrivals` of this look comes before. */
export function judgeSilence(subflow: SubflowRecord, nowMs: number): Silence | undefined {
  const { silence: before, state } = subflow;
  if (state !== ESTABLISHED) return findUnansweredJoin(subflow, nowMs);
  const found = findUnanswered(subflow, nowMs) ?? findMissing(subflow, nowMs) ?? findSilent(subflow, nowMs);
  if (before === undefined) return found;
  if (found !== undefined) return { ...found, sure: found.sure || before.sure };
  return holds(subflow, before, nowMs) ? before : undefined;
}

/**
 * Whether it is worth looking again soon, because a subflow could be found silent: what shows it may be there for less
 * than the ordinary time between two looks.
 */
export function isWorthWatching(subflow: SubflowRecord): boolean {
  if (subflow.silence !== undefined || subflow.state !== ESTABLISHED) return false;
  if (subflow.unackedSegments > 0 && subflow.timeoutsInRow > 0) return true;
  const isShared = (subflow.connection?.subflows.length ?? 0) > 1;
  return isShared && subflow.lately >= LATELY_BYTES && subflow.heardAgoMs < BUSY_WITHIN_MS;
}

/**
 * Milliseconds after which a look will find that the subflow is missing, unless something is heard of it before;
 * `Infinity` when there is no sign of that.
 */
export function msUntilMissing(subflow: SubflowRecord): number {
  const { backup, heardAgoMs, isMissed, silence, state } = subflow;
  if (backup || !isMissed || silence !== undefined || state !== ESTABLISHED) return Infinity;
  return Math.max(0, missingAfterMs(subflow) - heardAgoMs) + KERNEL_TICK_MS;
}
