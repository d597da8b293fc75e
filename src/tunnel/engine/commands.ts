/**
 * What the commands of the `mpt` client do, each with the answer that the original gives. Long ones (`create`,
 * `interface IF up`) wait without keeping others from their turn.
 */
import { errorText, WeftError } from '../../base/index.ts';
import { formatCommand, type ClientCommand } from '../client/command.ts';
import { formatPathReport } from '../client/path-report.ts';
import { fileNotFound } from '../client/server-text.ts';
import { formatConnectionConfig } from '../config/connection-text.ts';
import { addLinkAddress, deleteLinkAddress, setLinkUp } from '../host/link-commands.ts';
import { savedConfig } from './connection-report.ts';
import { createAtPeer } from './creation.ts';
import type { TunnelCore } from './core.ts';
import { reportEngine, statusReport } from './engine-report.ts';
import { reloadAll, reloadOne } from './reload.ts';
import type { CommandAnswer, TunnelPathChange } from './types.ts';
import { monotonicMs } from '../../native/index.ts';

/** As long as the original sleeps. */
const LINK_UP_MS = 10_000;
const LOOK_AGAIN_MS = 50;

/** Never throws: what fails is an answer. */
export async function executeCommand(core: TunnelCore, command: ClientCommand): Promise<CommandAnswer> {
  try {
    return await execute(core, command);
  } catch (error) {
    return { ok: false, text: `ERROR: ${errorText(error)}` };
  }
}

// oxlint-disable-next-line typescript/consistent-return -- every kind of command returns
async function execute(core: TunnelCore, command: ClientCommand): Promise<CommandAnswer> {
  const done: CommandAnswer = { ok: true, text: formatCommand(command) };
  switch (command.kind) {
    case 'status':
      return { ok: true, text: statusReport(core) };
    case 'paths':
      return { ok: true, text: formatPathReport(reportEngine(core).connections) };
    case 'path': {
      // No matching path is well, too, in the original.
      const { isUp, publicAddress, remoteAddress } = command;
      for (const connection of core.connections.all) {
        connection.setPathByHand(publicAddress, remoteAddress, isUp);
      }
      return done;
    }
    case 'address': {
      const { action, address, interfaceName, length } = command;
      const spec = { address, prefixLength: length, link: interfaceName };
      if (action === 'add') addLinkAddress(core.host.netlink, spec);
      else deleteLinkAddress(core.host.netlink, spec);
      core.readLinks();
      return done;
    }
    case 'interface':
      if (command.isUp) {
        await linkUp(core, command.interfaceName);
        // As in the original, those too that were set down by `path down`.
        for (const connection of core.connections.all) connection.setUpOnLink(command.interfaceName);
      } else linkDown(core, command.interfaceName);
      return done;
    case 'reload':
      return command.file === undefined ? await reloadAll(core) : await reloadOne(core, command.file);
    case 'restart':
      return await core.serially(() => restart(core, command.file, done));
    case 'save':
      return await core.serially(async () => save(core, command.file, done));
    case 'delete':
      return await core.serially(() => deleteConnection(core, command.file, done));
    case 'create':
      return await createAtPeer(core, command.file);
  }
}

/**
 * Not one of the client's: a path by its index, up, down or with another weight.
 * @throws WeftError `TUNNEL_REFUSED`
 */
export function changePath(core: TunnelCore, { file, path, up, weight }: TunnelPathChange): void {
  const connection = core.connections.find(file);
  if (connection?.links[path] === undefined) {
    const what = connection === undefined ? `no connection "${file}"` : `no path ${path} in "${file}"`;
    throw new WeftError(`the tunnel has ${what}`, { code: 'TUNNEL_REFUSED' });
  }
  if (weight !== undefined) connection.setPathWeight(path, weight);
  if (up !== undefined) connection.setOnePathByHand(path, up);
}

async function restart(
  core: TunnelCore,
  file: string | undefined,
  done: CommandAnswer,
): Promise<CommandAnswer> {
  if (file !== undefined && core.connections.find(file) === undefined) {
    return { ok: false, text: fileNotFound('restart', file) };
  }
  for (const connection of core.connections.all.slice()) {
    if (file !== undefined && connection.file !== file) continue;
    const paths = connection.config.paths.map((path) => ({ ...path, status: 0 }));
    await core.connections.replace(connection, { ...connection.config, paths }, connection.source);
  }
  return done;
}

function save(core: TunnelCore, file: string | undefined, done: CommandAnswer): CommandAnswer {
  if (file !== undefined && core.connections.find(file) === undefined) {
    return { ok: false, text: fileNotFound('save', file) };
  }
  for (const connection of core.connections.all) {
    if (file !== undefined && connection.file !== file) continue;
    const config = savedConfig(connection);
    core.files.save(connection.file, formatConnectionConfig(config, 'file'));
    connection.source = config;
    connection.origin = 'file';
  }
  // What a peer made counts for more from now on.
  core.refreshHost();
  return done;
}

async function deleteConnection(core: TunnelCore, file: string, done: CommandAnswer): Promise<CommandAnswer> {
  const connection = core.connections.find(file);
  if (connection === undefined) return { ok: false, text: fileNotFound('delete', file) };
  // The file first: a connection that is gone and comes again with the next start would be worse.
  core.files.disable(file);
  await core.connections.remove(connection);
  return done;
}

function linkDown(core: TunnelCore, name: string): void {
  const nowMs = monotonicMs();
  core.rememberAddresses(name);
  for (const { links } of core.connections.all) {
    for (const link of links) if (link.host.linkName === name) link.handleLinkGoing(nowMs);
  }
  core.schedule();
  try {
    setLinkUp(core.host.netlink, name, false);
  } finally {
    core.readLinks();
  }
}

/** Waits until the link carries, as long as the original sleeps. */
async function linkUp(core: TunnelCore, name: string): Promise<void> {
  setLinkUp(core.host.netlink, name, true);
  restoreAddresses(core, name);
  const endMs = monotonicMs() + LINK_UP_MS;
  while (!core.isStopped) {
    core.readLinks();
    if (core.host.view.link(name)?.isRunning === true || monotonicMs() >= endMs) break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

/** The kernel forgets a link's IPv6 addresses when it goes down; what it had before `interface IF down` comes back. */
function restoreAddresses(core: TunnelCore, name: string): void {
  const had = core.takeAddresses(name);
  const has = new Set(
    core.host
      .readNow()
      .link(name)
      ?.addresses.map(({ address }) => address),
  );
  for (const { address, prefixLength } of had) {
    if (has.has(address)) continue;
    try {
      addLinkAddress(core.host.netlink, { address, prefixLength, link: name });
    } catch (error) {
      core.trouble(`the address ${address} of ${name} could not be given back: ${errorText(error)}`);
    }
  }
}
