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

const SHORTEST_TOLD = 3;

/** Fields are for programs; a person need not read twice what the message says. */
function isTold(value: unknown, message: string): boolean {
  return typeof value === 'string' && value.length >= SHORTEST_TOLD && message.includes(value);
}

/**
 * @param fields a parsed log line of pino; `err` is an error as pino serializes it
 * @param verbose shows fields that the message names already, and an error's stack on lines of its own
 */
export function formatLogMessage(
  fields: Readonly<Record<string, unknown>>,
  messageKey: string,
  verbose: boolean,
): string {
  const text = fields[messageKey];
  const message = typeof text === 'string' ? text : '';
  const parts = [printable(message)];
  let stack = '';
  for (const [name, value] of Object.entries(fields)) {
    if (name === messageKey || HIDDEN.has(name) || value === undefined) continue;
    if (!verbose && isTold(value, message)) continue;
    if (name === 'err' && typeof value === 'object' && value !== null) {
      const error = value as LoggedError;
      parts.push(`error=${valueText(error.message)}`);
      if (verbose && typeof error.stack === 'string') {
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
