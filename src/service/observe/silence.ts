/**
 * Whether something still comes through a subflow (pure): the kernel tells of no path that was cut without a word, so
 * it is inferred from what each socket has heard. Three kinds of signs, and one of beginnings:
 *
 *   unanswered  data of ours was sent again after a timeout, and nothing at all has come back since
 *   silent      data came steadily, and then nothing more, while the same connection's other subflows carry on at
 *               their pace; the end of a burst looks the same for a moment (the slower path ends later), so this is not
 *               `sure` before it has lasted, and is taken back when the others fall silent too. When they have become
 *               slower as well, the sender has less to send, or the reader takes less, and one path is enough for it
 *   missing     a subflow that carried data fell silent, and what the others bring since then cannot be delivered: the
 *               connection waits for something that was sent over the silent one. It stays until that is heard, because
 *               the sender sends it there again as soon as anything gets through
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
/** When the second SYN has timed out (RFC 6298). */
const JOIN_MS = 3000;

/** Two pauses between segments of a steady stream on a slow path are not longer than this and some round trips. */
const SILENT_MS = 450;
const MISSING_MS = 250;
const MISSING_ROUND_TRIPS = 2;
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

/** The others go on as before when they carry this share of what they did. */
const SAME_PACE = 0.5;
/** Weight of the newest look in what the others' pace is. */
const PACE_WEIGHT = 0.5;
/** Less of it, because they stop too when the window is full of what cannot be delivered. */
const MISSING_PACE = 0.3;
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
  subflow.deliveredNew = delivered - subflow.deliveredLast;
  subflow.deliveredLast = delivered;
  // Silence does not fade it: it is how much came before.
  if (subflow.receivedNew === 0) {
    subflow.othersSince += others;
    subflow.deliveredSince += subflow.deliveredNew;
    subflow.quietMs += elapsedMs;
    return;
  }
  subflow.lately = subflow.lately * 0.5 ** (elapsedMs / HALF_LIFE_MS) + subflow.receivedNew;
  const pace = others / Math.max(1, elapsedMs);
  subflow.othersPace += (pace - subflow.othersPace) * PACE_WEIGHT;
  subflow.othersSince = 0;
  subflow.deliveredSince = 0;
  subflow.quietMs = 0;
}

/** Since this one has fallen silent, all in all. */
const othersKeepPace = ({ othersPace, othersSince, quietMs }: SubflowRecord, share = SAME_PACE) =>
  othersSince >= share * othersPace * quietMs;

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
  const others = liveOthers(subflow).filter(({ receivedNew }) => receivedNew >= CARRIES_BYTES);
  if (others.length === 0 || !othersKeepPace(subflow)) return undefined;
  const roundTrips = SILENT_ROUND_TRIPS * Math.max(roundTripMs(subflow), ...others.map(roundTripMs));
  if (heardAgoMs < Math.min(SILENT_MAX_MS, SILENT_MS + roundTrips)) return undefined;
  return {
    sinceMs: nowMs - heardAgoMs,
    sign: 'silent',
    sure: heardAgoMs >= SILENT_SURE_MS,
    why: "silent although it carried data, while the connection's other subflows carry on",
  };
}

function findMissing(subflow: SubflowRecord, nowMs: number): Silence | undefined {
  const { connection, deliveredNew, deliveredSince, heardAgoMs, lately, othersSince } = subflow;
  if (subflow.backup || connection?.hasOwnBytes !== true || deliveredNew !== 0) return undefined;
  // A reader that takes nothing stops the others at once; whoever waits for this one goes on until the window is full.
  if (lately < LATELY_BYTES || othersSince < LATELY_BYTES || !othersKeepPace(subflow, MISSING_PACE)) {
    return undefined;
  }
  if (deliveredSince > MISSING_DELIVERED * othersSince) return undefined;
  const slowest = Math.max(...connection.subflows.map(roundTripMs));
  if (heardAgoMs < Math.min(SILENT_MAX_MS, MISSING_MS + MISSING_ROUND_TRIPS * slowest)) return undefined;
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
 * The same moment, taken from two looks, may differ by this: the kernel's clock ticks, and a look at thousands of
 * sockets takes a while.
 */
export const CLOCK_SLACK_MS = 60;

/** What holds on to an earlier finding although its signs are gone for now. */
function holds(subflow: SubflowRecord, before: Silence, nowMs: number): boolean {
  if (nowMs - subflow.heardAgoMs > before.sinceMs + CLOCK_SLACK_MS) return false;
  if (before.sign === 'missing') return subflow.state === ESTABLISHED;
  // The kernel gives up sending after a while; what was sure is not unsure for that.
  if (before.sure && before.sign !== 'join') return subflow.state === ESTABLISHED;
  return (
    before.sign === 'silent' &&
    othersKeepPace(subflow) &&
    liveOthers(subflow).some(({ receivedNew }) => receivedNew > 0)
  );
}

/** Judges one subflow anew; `noteArrivals` of this look comes before. */
export function judgeSilence(subflow: SubflowRecord, nowMs: number): Silence | undefined {
  const { silence: before, state } = subflow;
  if (state !== ESTABLISHED) return findUnansweredJoin(subflow, nowMs);
  if (before?.sign === 'missing' && holds(subflow, before, nowMs)) {
    return before.sure || subflow.heardAgoMs < SILENT_SURE_MS ? before : { ...before, sure: true };
  }
  const found = findUnanswered(subflow, nowMs) ?? findMissing(subflow, nowMs) ?? findSilent(subflow, nowMs);
  if (before === undefined) return found;
  if (found !== undefined) return { ...found, sure: found.sure || before.sure };
  return holds(subflow, before, nowMs) ? before : undefined;
}

/**
 * Whether a subflow may be about to be found silent, so that it is worth looking again soon: it was busy, and has heard
 * nothing for a moment.
 */
export function isSuspicious(subflow: SubflowRecord): boolean {
  if (subflow.silence !== undefined || subflow.state !== ESTABLISHED) return false;
  if (subflow.unackedSegments > 0 && subflow.timeoutsInRow > 0) return true;
  return subflow.lately >= LATELY_BYTES && subflow.heardAgoMs >= 150 && subflow.heardAgoMs < SILENT_MAX_MS;
}
