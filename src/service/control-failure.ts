/**
 * What went wrong with a control call, in HTTP's words (pure): each code of an error with its status. A code that is
 * not here is a failure of ours (500), or one that the kernel named (409): what somebody asked for does not fit what
 * is there.
 *
 * The table is in docs/openapi.json too; a test holds one against the other.
 */
import { errorText, WeftError } from '../base/index.ts';
import type { ControlFailure } from './control-face.ts';

/** A request that is the client's mistake, with its HTTP status. */
export class Refusal extends WeftError {
  readonly status: number;

  constructor(status: number, code: string, message: string) {
    super(message, { code });
    this.status = status;
  }
}

export const FAILURE_STATUS: Readonly<Record<string, number>> = {
  BAD_ARGUMENT: 400,
  CUT_OFF: 400,
  EPERM: 403,
  EACCES: 403,
  NO_SUCH_CALL: 404,
  NO_SUCH_CONNECTION: 404,
  NO_SUCH_ENDPOINT: 404,
  NO_SUCH_LINK: 404,
  NO_SUCH_TUNNEL: 404,
  NO_SUCH_TUNNEL_PATH: 404,
  NO_INTERFACE: 404,
  AMBIGUOUS: 409,
  OWN_ENDPOINT: 409,
  APPLIANCE: 409,
  NO_MULTIPATH: 409,
  NOT_STOPPABLE: 409,
  TOO_LARGE: 413,
  CONTROL: 500,
  NOT_STARTED: 503,
  REPLACED: 503,
  TOO_MANY: 503,
  NO_MPTCP: 503,
  TUNNEL_REFUSED: 409,
};

/** A name of errno: the kernel's verdict. */
const ERRNO = /^E[A-Z0-9]+$/;

const codeOf = (error: unknown): string => (error instanceof WeftError ? error.code : 'CONTROL');

export function failureStatus(error: unknown): number {
  if (error instanceof Refusal) return error.status;
  const code = codeOf(error);
  return FAILURE_STATUS[code] ?? (ERRNO.test(code) ? 409 : 500);
}

export const failureOf = (error: unknown): ControlFailure => ({
  error: errorText(error),
  code: codeOf(error),
});
