/** Asks every Weft and daemon of this network namespace where its page is. */
import { WeftError } from '../base/index.ts';
import { WEFT_FACE } from './control-api.ts';
import { callsOf, type AnyFace } from './control-client.ts';
import { DAEMON_FACE } from './daemon/control-api.ts';
import type { WebReport } from './observe/api.ts';
import { WEB_CALLS } from './observe/calls.ts';

/** What finds no socket throws at once. */
const ask = async (face: AnyFace): Promise<WebReport> => callsOf(face, WEB_CALLS).web();

/**
 * One of each that runs, `weft up` first.
 * @throws WeftError `NOT_RUNNING` when none does; what keeps the only one that runs from being asked
 */
export async function askWebReports(): Promise<readonly WebReport[]> {
  const outcomes = await Promise.allSettled([ask(WEFT_FACE), ask(DAEMON_FACE)]);
  const reports = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  if (reports.length > 0) return reports;
  const errors = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
  );
  throw errors.find((error) => !(error instanceof WeftError && error.code === 'NOT_RUNNING')) ?? errors[0];
}
