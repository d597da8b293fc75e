/**
 * `weft enable UNIT` and `weft disable UNIT`: a drop-in in /etc/systemd/system, never the unit's own file.
 *
 * Invariants: the drop-in is there whole or not at all; only one with Weft's own first line is replaced or removed.
 * With another `root` than `/` files are looked for and written below it, as for the image of another machine.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { AF_INET, WeftError } from '../../base/index.ts';
import { openStreamSocket } from '../../mptcp/index.ts';
import { closeFd } from '../../native/index.ts';
import { findRegister, findWrapLibrary } from './installed.ts';
import { readProgram } from './program-file.ts';
import { judgeProgram } from './program-kind.ts';
import type { Via } from './run-plan.ts';
import {
  DROP_IN_NAME,
  hasTcpListener,
  isOurDropIn,
  proxyDropIn,
  serviceDropIn,
  socketDropIn,
  startedProgram,
  type DropIn,
  type UnitSource,
} from './unit-dropin.ts';
import { parseUnitFile, parseUnitName, type UnitType } from './unit-file.ts';

export interface UnitOptions {
  /** Default `/`. */
  readonly root?: string | undefined;
  readonly via?: Via | undefined;
  /** Of the proxy that a service is to use with `via: 'proxy'`. */
  readonly proxyUrl?: string | undefined;
}

export interface UnitChange {
  /** The unit's own file, which stays as it is. */
  readonly unitPath: string;
  readonly dropInPath: string;
  /** `false`: it was so already. */
  readonly changed: boolean;
  /** One line each. */
  readonly warnings: readonly string[];
}

interface Unit {
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
const FIRST_WITH_SOCKET_PROTOCOL_MPTCP = 257;

/** Whether systemd runs this machine; sd_booted(3). */
const isBooted = (root: string): boolean => existsSync(join(root, '/run/systemd/system'));

function systemctl(...args: string[]): string {
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

const dropInPathOf = (root: string, name: string): string =>
  join(root, ADMINISTRATOR_FOLDER, `${name}.d`, DROP_IN_NAME);

/** `foo@bar.service` has its file and more drop-ins under the name of `foo@.service`. */
function namesOf(name: string): string[] {
  const template = name.replace(/@[^.]*\./, '@.');
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

/** A path has a slash; a name has none. */
function findUnit(given: string, root: string): Unit {
  const isPath = given.includes('/');
  const asked = checkedName(isPath ? basename(given) : given);
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
  const own = join(ADMINISTRATOR_FOLDER, `${name}.d`, DROP_IN_NAME);
  const listed = shown?.get('DropInPaths')?.split(' ') ?? listDropIns(root, name);
  const dropIns = listed.filter((path) => path !== '' && path !== own);
  return {
    name,
    type,
    fragment,
    sources: [
      readSource(isPath ? fragment : join(root, fragment), fragment),
      ...dropIns.map((path) => readSource(join(root, path), path)),
    ],
  };
}

function requireMultipathKernel(name: string): void {
  const { fd, fallbackReason } = openStreamSocket(AF_INET);
  closeFd(fd);
  if (fallbackReason === undefined) return;
  throw new WeftError(`"${name}" would get no sockets at all: ${fallbackReason}`, { code: 'NO_MPTCP' });
}

function planService(unit: Unit, root: string, options: UnitOptions): DropIn {
  const { via, proxyUrl } = options;
  if (via === 'proxy') return proxyDropIn(unit.sources, proxyUrl ?? 'http://127.0.0.1:13128');
  const library = findWrapLibrary();
  const program = startedProgram(unit.sources);
  const facts = program === undefined ? undefined : readProgram(join(root, program));
  if (facts?.elf !== undefined) {
    const verdict = judgeProgram(facts, library);
    if (verdict.mechanism === undefined) {
      throw new WeftError(`"${unit.name}" would stay TCP: "${program}": ${verdict.reason}`, {
        code: 'NO_WAY',
        hint: `${verdict.remedy === undefined ? '' : `${verdict.remedy}, or `}"weft enable --via proxy ${unit.name}" if it uses proxies`,
      });
    }
  }
  if (library !== undefined && root === '/') requireMultipathKernel(unit.name);
  const registerPath = findRegister();
  const plan = serviceDropIn(unit.sources, { registerPath, libraryPath: library?.path });
  const hidden = registerPath !== undefined && /^\/(?:home|root|tmp)\//.test(registerPath);
  return hidden
    ? {
        ...plan,
        warnings: [
          ...plan.warnings,
          `"${registerPath}" must be readable to the service if it is a Node program; ProtectHome=, PrivateTmp= and another user may hide it`,
        ],
      }
    : plan;
}

function planSocket(unit: Unit, root: string): DropIn {
  if (!hasTcpListener(unit.sources)) {
    throw new WeftError(`"${unit.name}" listens to no TCP port`, {
      code: 'NO_WAY',
      hint: 'only ListenStream= with a port can be MPTCP',
    });
  }
  if (isBooted(root)) {
    const version = Number(/^systemd (\d+)/.exec(systemctl('--version'))?.[1] ?? 0);
    if (version < FIRST_WITH_SOCKET_PROTOCOL_MPTCP) {
      throw new WeftError(`systemd ${version} does not know SocketProtocol=mptcp`, {
        code: 'NO_WAY',
        hint: `systemd ${FIRST_WITH_SOCKET_PROTOCOL_MPTCP} does`,
      });
    }
  }
  return socketDropIn();
}

/** What is at our place; `undefined` for nothing. */
function readOwn(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const text = stat.isFile() ? readFileSync(path, 'utf8') : '';
  if (isOurDropIn(text)) return text;
  throw new WeftError(`"${path}" was not written by Weft, and stays`, {
    code: 'NOT_OURS',
    hint: 'move it away if it is not needed',
  });
}

function writeWhole(path: string, text: string): void {
  const folder = path.slice(0, path.lastIndexOf('/'));
  const temporary = join(folder, `.${DROP_IN_NAME}.${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const fd = openSync(temporary, 'wx', 0o644);
    try {
      fchmodSync(fd, 0o644);
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (cause) {
    if (existsSync(temporary)) unlinkSync(temporary);
    const { code = 'EIO', message } = cause as NodeJS.ErrnoException;
    throw new WeftError(`write "${path}": ${message}`, {
      code,
      cause,
      ...(code === 'EACCES' || code === 'EROFS' ? { hint: 'it takes root: sudo' } : {}),
    });
  }
}

function reload(root: string): string[] {
  if (!isBooted(root)) return [];
  try {
    systemctl('daemon-reload');
    return [];
  } catch (error) {
    return [`can't reload unit, manual 'systemctl daemon-reload' is required: ${(error as Error).message}`];
  }
}

/**
 * Gives a unit MPTCP from its next start on.
 * @throws WeftError `BAD_UNIT`, `NO_UNIT`, `NO_WAY`, `NO_MPTCP`, `NOT_OURS`, `SYSTEMCTL`, or that of writing (EACCES …)
 */
export function enableUnit(given: string, options: UnitOptions = {}): UnitChange {
  const root = options.root ?? '/';
  const unit = findUnit(given, root);
  const plan = unit.type === 'socket' ? planSocket(unit, root) : planService(unit, root, options);
  const dropInPath = dropInPathOf(root, unit.name);
  const changed = readOwn(dropInPath) !== plan.text;
  if (changed) writeWhole(dropInPath, plan.text);
  const warnings = [...plan.warnings, ...(changed ? reload(root) : [])];
  return { unitPath: unit.fragment, dropInPath, changed, warnings };
}

/** The name of a unit that may be gone already, whose drop-in can be removed all the same. */
function remainingUnit(given: string, root: string): { readonly name: string; readonly fragment: string } {
  try {
    return findUnit(given, root);
  } catch (error) {
    const { name } = checkedName(given.includes('/') ? basename(given) : given);
    const path = dropInPathOf(root, name);
    if (existsSync(path)) return { name, fragment: name };
    throw error;
  }
}

/**
 * Takes back what enableUnit has made; nothing else.
 * @throws WeftError `BAD_UNIT`, `NO_UNIT`, `NOT_OURS`, or that of removing (EACCES …)
 */
export function disableUnit(given: string, options: UnitOptions = {}): UnitChange {
  const root = options.root ?? '/';
  const { name, fragment } = remainingUnit(given, root);
  const dropInPath = dropInPathOf(root, name);
  const changed = readOwn(dropInPath) !== undefined;
  if (changed) {
    try {
      unlinkSync(dropInPath);
    } catch (cause) {
      const { code = 'EIO', message } = cause as NodeJS.ErrnoException;
      throw new WeftError(`remove "${dropInPath}": ${message}`, { code, cause });
    }
    try {
      rmdirSync(dropInPath.slice(0, dropInPath.lastIndexOf('/')));
    } catch {
      // Others have drop-ins there too.
    }
  }
  return { unitPath: fragment, dropInPath, changed, warnings: changed ? reload(root) : [] };
}
