/** The error that a refused netlink request throws. */
import { WeftError } from '../base/errors.ts';
import { errnoName, errnoText } from '../native/index.ts';
import type { Verdict } from './message.ts';

export class NetlinkError extends WeftError {
  readonly operation: string;
  readonly errno: number;
  /** The kernel's own text from the extended ACK, when it gave one. */
  readonly kernelText: string | undefined;
  /** Byte offset of the offending attribute in the request, when the kernel told it. */
  readonly kernelOffset: number | undefined;
  /** The refusal ended a dump rather than a single request. */
  readonly inDump: boolean;

  constructor(operation: string, verdict: Verdict, options: { readonly inDump?: boolean } = {}) {
    const why = verdict.text === undefined ? errnoText(verdict.errno) : verdict.text;
    super(`${operation}: ${why} (${errnoName(verdict.errno)})`, { code: errnoName(verdict.errno) });
    this.operation = operation;
    this.errno = verdict.errno;
    this.kernelText = verdict.text;
    this.kernelOffset = verdict.offset;
    this.inDump = options.inDump ?? false;
  }
}
