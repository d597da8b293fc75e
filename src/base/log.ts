/**
 * The logger that layers are given. pino's loggers satisfy it; nothing below `service` knows pino.
 */

export type LogMethod = (fields: Readonly<Record<string, unknown>>, message: string) => void;

export interface Logger {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
}

const ignore: LogMethod = () => {};

/** A logger for tests and for library users who want none. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
