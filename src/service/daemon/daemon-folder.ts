/**
 * Where the daemon keeps its record and its socket: the runtime folder of Weft, or the one that the service manager
 * made for it (RuntimeDirectory= of systemd.exec(5)), which is the only one that a unit with DynamicUser= can write to
 * and that is still there after a crash.
 */
import { realpathSync } from 'node:fs';
import type { JournalOwner } from '../state.ts';
import { currentUser, prepareRuntimeFolder, type RuntimeUser } from '../runtime-folder.ts';

/** How the names of its files there begin. */
export const DAEMON_FILES = 'mptcpd';

export const DAEMON_JOURNAL: JournalOwner = {
  file: DAEMON_FILES,
  what: 'the MPTCP endpoints of this network namespace are kept by mptcpd,',
  hint: 'two would undo each other’s work: stop that one first ("weft daemon status" shows it)',
};

/** With a folder of the service manager, that one is named. systemd gives a link to it, with DynamicUser=. */
export function daemonUser(user: RuntimeUser = currentUser()): RuntimeUser {
  const { env } = user;
  const [given] = (env['RUNTIME_DIRECTORY'] ?? '').split(':');
  if (given === undefined || given === '' || (env['WEFT_RUNTIME_DIR'] ?? '') !== '') return user;
  return { ...user, env: { ...env, WEFT_RUNTIME_DIR: realpathSync(given) } };
}

/** @throws as prepareRuntimeFolder */
export const prepareDaemonFolder = (): string => prepareRuntimeFolder(daemonUser());
