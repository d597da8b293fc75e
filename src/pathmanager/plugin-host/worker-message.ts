/**
 * What a plugin's thread sent, as a message or as the reason why it is none (pure). The plugin can reach the port
 * itself, so that anything that can be copied between threads may come.
 *
 * Invariant: never throws; no text of the result is longer than `LONGEST_TEXT`.
 */
import type { PluginCallbackName } from '../plugin-api.ts';
import { LONGEST_TEXT, type CommandGroup, type FromPlugin, type LogLevel } from './worker-protocol.ts';

const LEVELS: readonly unknown[] = ['debug', 'info', 'warn', 'error'] satisfies readonly LogLevel[];
const LONGEST_KIND = 32;
/** More than there are callbacks. */
const MAX_CALLBACKS = 64;

type Fields = Readonly<Record<string, unknown>>;

const cut = (text: string) => text.slice(0, LONGEST_TEXT);

/** The named fields, which all have to be text. */
function texts<Name extends string>(
  fields: Fields,
  names: readonly Name[],
): Readonly<Record<Name, string>> | undefined {
  const found: Partial<Record<Name, string>> = {};
  for (const name of names) {
    const value = fields[name];
    if (typeof value !== 'string') return undefined;
    found[name] = cut(value);
  }
  return found as Record<Name, string>;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function registered(fields: Fields): FromPlugin | undefined {
  const text = texts(fields, ['name']);
  const { target, callbacks } = fields;
  if (text === undefined || !isCount(target) || !Array.isArray(callbacks)) return undefined;
  if (callbacks.length > MAX_CALLBACKS) return undefined;
  const names: readonly unknown[] = callbacks;
  if (!names.every((name) => typeof name === 'string')) return undefined;
  return { kind: 'registered', target, ...text, callbacks: names as readonly PluginCallbackName[] };
}

function call(fields: Fields): FromPlugin | undefined {
  const text = texts(fields, ['group', 'command']);
  const { id, arguments: args } = fields;
  if (text === undefined || !isCount(id) || !Array.isArray(args)) return undefined;
  // Whether there is such a group is seen when the call is carried out.
  return { kind: 'call', id, group: text.group as CommandGroup, command: text.command, arguments: args };
}

function outcome(kind: 'began' | 'exited', { failure }: Fields): FromPlugin | undefined {
  if (failure === undefined) return { kind };
  return typeof failure === 'string' ? { kind, failure: cut(failure) } : undefined;
}

function message(kind: unknown, fields: Fields): FromPlugin | undefined {
  switch (kind) {
    case 'loaded': {
      const text = texts(fields, ['name', 'description', 'version']);
      const { priority } = fields;
      if (text === undefined || typeof priority !== 'number' || !Number.isFinite(priority)) return undefined;
      return { kind, ...text, priority };
    }
    case 'unloadable': {
      const text = texts(fields, ['reason']);
      return text && { kind, ...text };
    }
    case 'registered':
      return registered(fields);
    case 'began':
    case 'exited':
      return outcome(kind, fields);
    case 'trouble': {
      const text = texts(fields, ['callback', 'message']);
      const { trouble } = fields;
      return text && (trouble === 'threw' || trouble === 'late') ? { kind, trouble, ...text } : undefined;
    }
    case 'call':
      return call(fields);
    case 'log': {
      const text = texts(fields, ['message']);
      const { level } = fields;
      return text && LEVELS.includes(level) ? { kind, level: level as LogLevel, ...text } : undefined;
    }
    case 'dropped':
      return { kind };
    default:
      return undefined;
  }
}

/** @returns the message; text: why it is none */
export function parseFromPlugin(value: unknown): FromPlugin | string {
  if (typeof value !== 'object' || value === null) return 'it sent a message that is no object';
  const fields = value as Fields;
  const { kind } = fields;
  const known = message(kind, fields);
  if (known !== undefined) return known;
  const shown = typeof kind === 'string' ? ` of kind "${kind.slice(0, LONGEST_KIND)}"` : '';
  return `it sent a malformed message${shown}`;
}
