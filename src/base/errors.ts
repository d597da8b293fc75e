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
