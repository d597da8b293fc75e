/** Whether what a module exports is a plugin (pure); it may be JavaScript, so it may be anything. */
import { WeftError } from '../../base/errors.ts';
import type { Plugin } from '../plugin-api.ts';

const LONGEST_NAME = 64;

const bad = (why: string) => new WeftError(`its default export is no plugin: ${why}`, { code: 'BAD_PLUGIN' });

/** @throws WeftError BAD_PLUGIN, which says what is missing */
export function checkPlugin(exported: unknown): Plugin {
  if (typeof exported !== 'object' || exported === null) throw bad('it is not an object');
  const { name, init, exit, priority, description, version } = exported as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string' || name === '') throw bad('it has no name');
  if (name.length > LONGEST_NAME) throw bad(`its name has more than ${LONGEST_NAME} characters`);
  if (typeof init !== 'function') throw bad('it has no function "init"');
  if (exit !== undefined && typeof exit !== 'function') throw bad('"exit" is not a function');
  const inRange = typeof priority === 'number' && Number.isInteger(priority) && Math.abs(priority) <= 20;
  if (priority !== undefined && !inRange) throw bad('"priority" is not a whole number from -20 to 19');
  for (const [key, value] of Object.entries({ description, version })) {
    if (value !== undefined && typeof value !== 'string') throw bad(`"${key}" is not text`);
  }
  return exported as Plugin;
}
