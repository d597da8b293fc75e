/** Commands of the client as the stand-in for the original program carries them out; those that need no shell. */
import { mergeAnswer } from './mpt-peer-create.ts';
import { formatReport } from './mpt-peer-report.ts';
import { readConnection, writeConnection } from './mpt-peer-text.ts';
import type { LiveConnection } from './mpt-peer-connection.ts';
import type { MptPeer } from './mpt-peer.ts';

interface CommandAnswer {
  readonly ok: boolean;
  readonly text: string;
}

const refused = (reason: string): CommandAnswer => ({ ok: false, text: reason });

async function changePaths(peer: MptPeer, isUp: boolean, publicAddress: string, remoteAddress: string) {
  for (const connection of peer.connections) {
    for (const path of connection.paths) {
      if (path.publicAddress !== publicAddress || path.remoteAddress !== remoteAddress) continue;
      // oxlint-disable-next-line no-await-in-loop -- the program does one thing after another
      await peer.tellPeer(connection, path, isUp ? 0 : 0x83);
      path.status = isUp ? 0 : 0x83;
      if (isUp) path.heardMs = Date.now();
    }
  }
}

async function create(peer: MptPeer, connection: LiveConnection): Promise<number> {
  const { settings } = connection;
  const over = connection.paths.find((path) => path.isCommandDefault) ?? connection.paths[0]!;
  const { code, body } = await peer.exchangeWith({
    command: 0xa3,
    status: 0,
    authType: 2,
    key: peer.globalKey,
    withToken: settings.authType !== 0,
    ipVersion: settings.ipVersion,
    ipLocal: settings.ipLocal,
    ipRemote: settings.ipRemote,
    body: Buffer.from(writeConnection(settings), 'latin1'),
    address: over.remoteAddress,
    port: settings.remoteCommandPort,
  });
  if (code !== 0) return code;
  connection.stop();
  connection.settings = mergeAnswer(settings, readConnection(body.subarray(4).toString('latin1')));
  connection.start();
  return 0;
}

function startAnew(peer: MptPeer, connection: LiveConnection, rereads: boolean): void {
  connection.stop();
  if (rereads) {
    const { ipLocal, localCommandPort } = connection.settings;
    connection.settings = { ...readConnection(peer.files.get(connection.file)!), ipLocal, localCommandPort };
    connection.sequence = peer.options.firstSequence ?? 0;
  } else for (const path of connection.settings.paths) path.status = 0;
  connection.start();
}

export async function executeCommand(peer: MptPeer, text: string): Promise<CommandAnswer> {
  const ok = { ok: true, text };
  const [verb = '', ...words] = text.trim().split(/\s+/);
  const file = words[0];
  const named = peer.connections.find((connection) => connection.file === file);
  const chosen = named === undefined ? peer.connections : [named];
  const isUnknown = file !== undefined && named === undefined;
  switch (verb) {
    case 'show':
      return { ok: true, text: `\n${formatReport(peer)}` };
    case 'path':
      await changePaths(peer, words[0] === 'up', words[1] ?? '', words[2] ?? '');
      return ok;
    case 'create': {
      if (named === undefined) return refused(text);
      const code = await create(peer, named);
      if (code === 0) return ok;
      if (code === 5) return refused('ERROR: Connection already exists (error code:5)\n');
      return refused(`Connection creation failed (code: ${code}; Remote server problem?)\n`);
    }
    case 'save':
      if (isUnknown) return refused(`Save unsuccessful. Config file not found in connection: ${file}\n`);
      for (const each of chosen) peer.files.set(each.file, writeConnection(each.settings));
      return ok;
    case 'delete':
      if (named === undefined) return refused(`Delete unsuccessful. Config file not found: ${file}\n`);
      named.stop();
      peer.connections.splice(peer.connections.indexOf(named), 1);
      return ok;
    case 'restart':
    case 'reload': {
      const what = verb === 'reload' ? 'Reload' : 'Restart';
      if (isUnknown) {
        return refused(`${what} unsuccessful. Config file not found in the connection: ${file}\n`);
      }
      for (const each of chosen) startAnew(peer, each, verb === 'reload');
      return ok;
    }
    default:
      return refused(`${text}: Illegal command`);
  }
}
