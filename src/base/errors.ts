/**
 * The one error class of Weft. Every operation that fails throws a `WeftError` (or a subclass with more typed
 * fields); a broken invariant is an assertion instead, and malformed input from the network is returned, not
 * thrown. Message form: `what failed: why (ERRNO) — next step`.
 */

export interface WeftErrorOptions {
  /** Stable, upper-case code that programs test for, such as `NETLINK` or `NO_KOFFI`. */
  readonly code: string;
  /** What the user can do about it; becomes the part after the dash. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export class WeftError extends Error {
  readonly code: string;
  readonly hint: string | undefined;

  constructor(message: string, options: WeftErrorOptions) {
    super(
      options.hint === undefined ? message : `${message} — ${options.hint}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = new.target.name;
    this.code = options.code;
    this.hint = options.hint;
  }
}

/** The text of anything that was thrown, on one line. Never throws, whatever its members do. */
export function errorText(thrown: unknown): string {
  try {
    const text = String(thrown instanceof Error ? thrown.message : thrown);
    return text.replaceAll(/\s*\n\s*/g, ' ');
  } catch {
    return 'something was thrown that cannot be shown';
  }
}

/** Ours, or the system's, such as `ENOSPC`; `ERROR` where there is none. Pure. */
export function errorCode(thrown: unknown): string {
  const code = thrown instanceof Error ? (thrown as { readonly code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : 'ERROR';
}

/** `ENOSPC: no space left on device, write` as Node words it becomes `no space left on device (ENOSPC)`. Pure. */
export function systemReason(thrown: unknown): string {
  const text = errorText(thrown);
  const [, code, reason] = /^([A-Z][A-Z0-9]+): ([^,]+)(?:, |$)/.exec(text) ?? [];
  return code === undefined || reason === undefined ? text : `${reason} (${code})`;
}

/** The file of which the system speaks, of two the second; `undefined`: none. */
const fileOf = (error: Error) => /'([^']+)'$/.exec(errorText(error))?.[1];

/**
 * Runs work with files. What the system refuses becomes a WeftError that says what was attempted; a WeftError stays.
 * @param what `write "/tmp/image.ova"`
 */
export async function withFiles<T>(what: string, work: () => Promise<T> | T, hint?: string): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(what, error, hint);
  }
}

/** @returns the error itself when it is ours or not of the system's */
export function fileError(what: string, error: unknown, hint?: string): unknown {
  if (error instanceof WeftError || !(error instanceof Error)) return error;
  const { code } = error as { readonly code?: unknown };
  // Node's own complaints (ERR_…) are mistakes of ours.
  if (typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return error;
  const file = fileOf(error);
  const where = file === undefined || what.includes(`"${file}"`) ? '' : `, "${file}"`;
  return new WeftError(`${what}: ${systemReason(error)}${where}`, {
    code,
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}
