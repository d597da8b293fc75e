/**
 * Reading the configuration again, all of it or one file, without touching what has not changed.
 *
 * Invariants: with one error in the files nothing changes; an unchanged connection loses no packet; connections that
 * peers made stay, unless a file wants their place.
 */
import { errorText } from '../../base/index.ts';
import { fileNotFound } from '../client/server-text.ts';
import { formatConfigIssue, type ConfigIssue } from '../config/issue.ts';
import type { ConnectionConfig, ConnectionFile, InterfaceConfig, TunnelConfig } from '../config/model.ts';
import { findClashes } from '../config/tunnel-folder.ts';
import type { TunnelCore } from './core.ts';
import type { LiveConnection } from './live-connection.ts';
import type { CommandAnswer } from './types.ts';

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Whether the tunnel's device has to be made anew. */
const needsDevice = (a: InterfaceConfig, b: InterfaceConfig): boolean =>
  a.name !== b.name || !same(a.ipv4, b.ipv4) || !same(a.ipv6, b.ipv6);

function refused(core: TunnelCore, issues: readonly ConfigIssue[]): CommandAnswer {
  const errors = issues.map(formatConfigIssue);
  core.emit({ kind: 'reload', ok: false, added: [], changed: [], removed: [], unchanged: [], errors });
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return { ok: false, text: `Reload unsuccessful. ${errors[0] ?? 'the folder cannot be read'}${more}` };
}

/** `reload`: the whole folder. */
export function reloadAll(core: TunnelCore): Promise<CommandAnswer> {
  return core.serially(async () => {
    const { config, errors, warnings } = core.files.readFolder();
    if (config === undefined) return refused(core, errors);
    core.warnOf(warnings);
    if (needsDevice(core.config.interface, config.interface)) return await restartAll(core, config);
    const former = core.config;
    core.config = config;
    try {
      core.openPort();
    } catch (error) {
      core.config = former;
      return refused(core, [{ file: 'interface.conf', text: errorText(error) }]);
    }
    core.host.setConfig(config.interface);
    return await applyConnections(core, config.connections);
  });
}

async function restartAll(core: TunnelCore, config: TunnelConfig): Promise<CommandAnswer> {
  try {
    await core.restartWith(config);
  } catch (error) {
    return refused(core, [{ file: 'interface.conf', text: errorText(error) }]);
  }
  const changed = config.connections.map(({ file }) => file);
  core.emit({ kind: 'reload', ok: true, added: [], changed, removed: [], unchanged: [], errors: [] });
  return { ok: true, text: 'reload' };
}

async function applyConnections(core: TunnelCore, files: readonly ConnectionFile[]): Promise<CommandAnswer> {
  const wanted = new Map(files.map(({ file, connection }) => [file, connection]));
  const done = {
    added: [] as string[],
    changed: [] as string[],
    removed: [] as string[],
    unchanged: [] as string[],
  };
  const errors: string[] = [];
  const attempt = async (file: string, list: string[], work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
      list.push(file);
    } catch (error) {
      errors.push(errorText(error));
    }
  };
  for (const connection of core.connections.all.slice()) {
    const isGone = connection.origin === 'file' && !wanted.has(connection.file);
    const isInTheWay = connection.origin === 'peer' && standsInTheWay(connection, files);
    if (isGone || isInTheWay) {
      await attempt(connection.file, done.removed, () => core.connections.remove(connection));
    }
  }
  for (const connection of core.connections.all.slice()) {
    const config = wanted.get(connection.file);
    if (config === undefined) continue;
    if (same(connection.source, config)) done.unchanged.push(connection.file);
    else await attempt(connection.file, done.changed, () => core.connections.replace(connection, config));
  }
  for (const { file, connection } of files) {
    if (core.connections.find(file) !== undefined) continue;
    await attempt(file, done.added, () => core.connections.add({ file, connection }, 'file'));
  }
  core.refreshHost();
  core.emit({ kind: 'reload', ok: errors.length === 0, ...done, errors });
  return errors.length === 0
    ? { ok: true, text: 'reload' }
    : { ok: false, text: `Reload unsuccessful. ${errors[0] ?? ''}` };
}

/** Whether a file wants this connection's place: its addresses, its file name or its port. */
function standsInTheWay(connection: LiveConnection, files: readonly ConnectionFile[]): boolean {
  if (files.some(({ file }) => file === connection.file)) return false;
  return files.some((file) => findClashes([connection.asFile, file]).length > 0);
}

/** `reload FILE`: one that is loaded. */
export function reloadOne(core: TunnelCore, file: string): Promise<CommandAnswer> {
  return core.serially(async () => {
    const connection = core.connections.find(file);
    if (connection === undefined) return { ok: false, text: fileNotFound('reload', file) };
    const { connection: config, errors, warnings } = core.files.readConnection(file);
    if (config === undefined) return refused(core, errors);
    for (const issue of warnings) core.logger.warn({}, formatConfigIssue(issue));
    const others = core.connections.all.filter((other) => other !== connection).map(({ asFile }) => asFile);
    const clashes = findClashes([...others, { file, connection: config }]);
    if (clashes.length > 0) return refused(core, clashes);
    return await applyOne(core, connection, config);
  });
}

async function applyOne(
  core: TunnelCore,
  connection: LiveConnection,
  config: ConnectionConfig,
): Promise<CommandAnswer> {
  const { file } = connection;
  const isSame = same(connection.source, config);
  try {
    if (!isSame) await core.connections.replace(connection, config);
  } catch (error) {
    return refused(core, [{ file: `connections/${file}`, text: errorText(error) }]);
  }
  connection.origin = 'file';
  const [changed, unchanged] = isSame ? [[], [file]] : [[file], []];
  core.emit({ kind: 'reload', ok: true, added: [], removed: [], changed, unchanged, errors: [] });
  return { ok: true, text: `reload ${file}` };
}
