/**
 * errno values, their names and texts, and the error that a failed system call throws.
 */
import { constants } from 'node:os';
import { WeftError } from '../base/errors.ts';
import { lastErrno, libc } from './libc.ts';

export const {
  EAGAIN,
  EBADF,
  EBUSY,
  EEXIST,
  EINPROGRESS,
  EINTR,
  EINVAL,
  EIO,
  ENOBUFS,
  ENODEV,
  ENOENT,
  EPERM,
  EACCES,
  EPIPE,
  ESRCH,
} = constants.errno;
export const {
  ECONNREFUSED,
  ECONNRESET,
  ENOPROTOOPT,
  ENOTSOCK,
  EPROTONOSUPPORT,
  EOPNOTSUPP,
  EAFNOSUPPORT,
  ENETUNREACH,
} = constants.errno;
export const { EMFILE, EMSGSIZE, ENFILE, ETIMEDOUT, EHOSTUNREACH, EADDRNOTAVAIL } = constants.errno;

/** What Node has no name for and these programs meet: a TUN device without its link. */
const WITHOUT_NAME: readonly (readonly [number, string])[] = [[77, 'EBADFD']];
const names = new Map<number, string>([
  ...WITHOUT_NAME,
  ...Object.entries(constants.errno).map(([name, value]): [number, string] => [value, name]),
]);

/** `EPERM`, or `E<number>` when there is no name. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `E${errno}`;
}

/** The C library's text: `Operation not permitted`. */
export function errnoText(errno: number): string {
  return libc.strerror(errno);
}

/** A system call failed. `code` is the errno's name, as in Node's own errors. */
export class SystemError extends WeftError {
  readonly errno: number;
  readonly operation: string;

  constructor(operation: string, errno: number, hint?: string) {
    super(`${operation}: ${errnoText(errno)} (${errnoName(errno)})`, {
      code: errnoName(errno),
      ...(hint === undefined ? {} : { hint }),
    });
    this.errno = errno;
    this.operation = operation;
  }
}

/** The result of a call that returns -1 on failure; throws SystemError then. `operation` is part of its message. */
export function check(result: number, operation: string): number {
  if (result < 0) throw new SystemError(operation, lastErrno());
  return result;
}
