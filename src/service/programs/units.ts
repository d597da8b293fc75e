/**
 * `weft enable UNIT` and `weft disable UNIT`: a drop-in in /etc/systemd/system, never the unit's own file.
 *
 * Invariants: the drop-in is there whole or not at all; only one with Weft's own first line is replaced or removed.
 * With another `root` than `/` files are looked for and written below it, as for the image of another machine.
 */
import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { AF_INET, WeftError } from '../../base/index.ts';
import { openStreamSocket } from '../../mptcp/index.ts';
import { closeFd } from '../../native/index.ts';
import { findRegister, findWrapLibrary } from './installed.ts';
import { findProgram, readProgram } from './program-file.ts';
import { judgeProgram, Mechanism, type ProgramFacts } from './program-kind.ts';
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
} from './unit-dropin.ts';
import { askedName, dropInPathOf, findUnit, isBooted, systemctl, type Unit } from './unit-find.ts';

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

const FIRST_WITH_SOCKET_PROTOCOL_MPTCP = 257;

function requireMultipathKernel(name: string): void {
  const { fd, fallbackReason } = openStreamSocket(AF_INET);
  closeFd(fd);
  if (fallbackReason === undefined) return;
  throw new WeftError(`"${name}" would get no sockets at all: ${fallbackReason}`, { code: 'NO_MPTCP' });
}

/** Where systemd looks for a command without a slash. */
const COMMAND_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
/** What ProtectHome= and PrivateTmp= hide, or the permissions of a home. */
const PRIVATE_FOLDERS = /^\/(?:home|root|tmp)\//;

/** What is known of the program of a service; `undefined` where nothing is. */
function startedFacts(program: string, root: string): ProgramFacts | undefined {
  const folders = COMMAND_FOLDERS.map((folder) => join(root, folder)).join(':');
  const found = program.includes('/') ? { path: join(root, program) } : findProgram(program, folders);
  return 'path' in found ? readProgram(found.path) : undefined;
}

function planService(unit: Unit, root: string, options: UnitOptions): DropIn {
  const { via, proxyUrl } = options;
  if (via === 'proxy') return proxyDropIn(unit.sources, proxyUrl ?? 'http://127.0.0.1:13128');
  const library = findWrapLibrary();
  const registerPath = findRegister();
  const warnings: string[] = [];
  const program = startedProgram(unit.sources);
  const facts = program === undefined ? undefined : startedFacts(program, root);
  if (facts?.elf !== undefined) {
    const verdict = judgeProgram(facts, library);
    if (verdict.mechanism === undefined) {
      throw new WeftError(`"${unit.name}" would stay TCP: "${program}": ${verdict.reason}`, {
        code: 'NO_WAY',
        hint: `${verdict.remedy === undefined ? '' : `${verdict.remedy}, or `}"weft enable --via proxy ${unit.name}" if it uses proxies`,
      });
    }
    if (verdict.mechanism === Mechanism.register && PRIVATE_FOLDERS.test(registerPath ?? '')) {
      warnings.push(
        `"${program}" does not start if it may not read "${registerPath}": look at User=, ProtectHome= and PrivateTmp=`,
      );
    }
  }
  if (library !== undefined && root === '/') requireMultipathKernel(unit.name);
  const plan = serviceDropIn(unit.sources, { registerPath, libraryPath: library?.path });
  return { text: plan.text, warnings: [...plan.warnings, ...warnings] };
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
    const { name } = askedName(given);
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
