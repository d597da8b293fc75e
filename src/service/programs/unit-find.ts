/**
 * Finds a unit of systemd, its own file and its drop-ins: asks systemctl where systemd runs, looks into the usual folders
 * where not. Reads only.
 *
 * With another `root` than `/` everything is looked for below it, as for the image of another machine.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { WeftError } from '../../base/index.ts';
import { DROP_IN_NAME, type UnitSource } from './unit-dropin.ts';
import { parseUnitFile, parseUnitName, type UnitType } from './unit-file.ts';

export interface Unit {
  readonly name: string;
  readonly type: UnitType;
  /** Below the root, as systemd names it. */
  readonly fragment: string;
  /** Without our drop-in. */
  readonly sources: readonly UnitSource[];
}

const ADMINISTRATOR_FOLDER = '/etc/systemd/system';
/** The usual ones, the first has the last word. */
const UNIT_FOLDERS = [
  ADMINISTRATOR_FOLDER,
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];

/** Whether systemd runs this machine; sd_booted(3). */
export const isBooted = (root: string): boolean => existsSync(join(root, '/run/systemd/system'));

export function systemctl(...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync('systemctl', args, {
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (status === 0) return stdout;
  const why = error?.message ?? stderr.trim().replaceAll(/\s*\n\s*/g, '; ');
  throw new WeftError(`systemctl ${args[0]}: ${why}`, { code: 'SYSTEMCTL' });
}

function shownProperties(name: string): Map<string, string> {
  const shown = systemctl('show', '-p', 'Id', '-p', 'FragmentPath', '-p', 'DropInPaths', '--', name);
  return new Map(
    shown
      .split('\n')
      .map((line) => line.split(/=(.*)/s, 2))
      .map(([key = '', value = '']) => [key, value] as const),
  );
}

export const dropInPathOf = (root: string, name: string): string =>
  join(root, ADMINISTRATOR_FOLDER, `${name}.d`, DROP_IN_NAME);

/** `foo@bar.service` has its file and more drop-ins under the name of `foo@.service`. */
function namesOf(name: string): string[] {
  const template = name.replace(/@.*\.(?=[^.]+$)/, '@.');
  return template === name ? [name] : [name, template];
}

function listDropIns(root: string, name: string): string[] {
  const found = new Map<string, string>();
  for (const folder of UNIT_FOLDERS) {
    for (const unit of namesOf(name)) {
      const path = join(folder, `${unit}.d`);
      const entries = existsSync(join(root, path)) ? readdirSync(join(root, path)) : [];
      for (const entry of entries.filter((one) => one.endsWith('.conf'))) {
        if (!found.has(entry)) found.set(entry, join(path, entry));
      }
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
}

function findFragment(root: string, name: string): string | undefined {
  for (const unit of namesOf(name)) {
    const folder = UNIT_FOLDERS.find((one) => existsSync(join(root, one, unit)));
    if (folder !== undefined) return join(folder, unit);
  }
  return undefined;
}

function readSource(path: string, shownAs: string): UnitSource {
  try {
    return { path: shownAs, assignments: parseUnitFile(readFileSync(path, 'utf8')) };
  } catch (cause) {
    const { code = 'EIO', message } = cause as NodeJS.ErrnoException;
    throw new WeftError(`read the unit file "${shownAs}": ${message}`, { code, cause });
  }
}

function checkedName(text: string): { readonly name: string; readonly type: UnitType } {
  const parsed = parseUnitName(text);
  if (typeof parsed !== 'string') return parsed;
  throw new WeftError(`unit ${JSON.stringify(text)}: ${parsed}`, {
    code: 'BAD_UNIT',
    hint: 'expected a name such as nginx.service, or the path of a unit file',
  });
}

/** A path has a slash; a name has none. A file's name is the unit's, and has its suffix. */
export function askedName(given: string): { readonly name: string; readonly type: UnitType } {
  if (!given.includes('/')) return checkedName(given);
  const asked = checkedName(basename(given));
  if (asked.name === basename(given)) return asked;
  throw new WeftError(`the file ${JSON.stringify(given)} is no unit: its name ends in no unit's suffix`, {
    code: 'BAD_UNIT',
    hint: 'expected the path of a .service or .socket file',
  });
}

function refuseMasked(path: string, name: string): void {
  if (!existsSync(path) || realpathSync(path) !== '/dev/null') return;
  throw new WeftError(`"${name}" is masked`, { code: 'MASKED', hint: `systemctl unmask ${name}` });
}

export function findUnit(given: string, root: string): Unit {
  const isPath = given.includes('/');
  const asked = askedName(given);
  const shown = !isPath && isBooted(root) ? shownProperties(asked.name) : undefined;
  // The name that systemd has for it, which an alias is not.
  const { name, type } = checkedName(shown?.get('Id') || asked.name);
  const fragment = isPath ? resolve(given) : shown?.get('FragmentPath') || findFragment(root, name);
  if (fragment === undefined) {
    // As mptcpize words it.
    throw new WeftError(`can't find FragmentPath attribute for unit ${given}`, {
      code: 'NO_UNIT',
      hint: '"systemctl list-unit-files" names those that there are',
    });
  }
  const fragmentFile = isPath ? fragment : join(root, fragment);
  refuseMasked(fragmentFile, name);
  const own = join(ADMINISTRATOR_FOLDER, `${name}.d`, DROP_IN_NAME);
  const listed = shown?.get('DropInPaths')?.split(' ') ?? listDropIns(root, name);
  const dropIns = listed.filter((path) => path !== '' && path !== own);
  return {
    name,
    type,
    fragment,
    sources: [
      readSource(fragmentFile, fragment),
      ...dropIns.map((path) => readSource(join(root, path), path)),
    ],
  };
}
