/**
 * The text of one log line after its time and level: the message, then the fields as `name=value`. Pure. Values come
 * in part from the network (host names, error texts), so control characters never reach the terminal.
 */

import { printable } from '../base/index.ts';

/** pino's own fields, which the line shows elsewhere or not at all. */
const HIDDEN = new Set(['level', 'time', 'pid', 'hostname', 'v']);
const LONGEST_VALUE = 400;

function valueText(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  const short = text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
  const clean = printable(short);
  return typeof value === 'string' && /[\s"=]|^$/.test(clean) ? JSON.stringify(clean) : clean;
}

interface LoggedError {
  readonly message?: unknown;
  readonly stack?: unknown;
}

/**
 * @param fields a parsed log line of pino; `err` is an error as pino serializes it
 * @param withStack adds the error's stack, on lines of its own
 */
export function formatLogMessage(
  fields: Readonly<Record<string, unknown>>,
  messageKey: string,
  withStack: boolean,
): string {
  const message = fields[messageKey];
  const parts = [printable(typeof message === 'string' ? message : '')];
  let stack = '';
  for (const [name, value] of Object.entries(fields)) {
    if (name === messageKey || HIDDEN.has(name) || value === undefined) continue;
    if (name === 'err' && typeof value === 'object' && value !== null) {
      const error = value as LoggedError;
      parts.push(`error=${valueText(error.message)}`);
      if (withStack && typeof error.stack === 'string') {
        stack = `\n${error.stack
          .split('\n')
          .map((line) => `    ${printable(line)}`)
          .join('\n')}`;
      }
      continue;
    }
    parts.push(`${name}=${valueText(value)}`);
  }
  return parts.join(' ') + stack;
}
