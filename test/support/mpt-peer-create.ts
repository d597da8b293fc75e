/** What a create makes of a connection on either side, as the original program does it (pure). */
import { BUILT_IN_KEY, type OriginalConnection, type OriginalPath } from './mpt-peer-text.ts';

/** The responder's new connection: its template, and what the asker says. The key is not in the message. */
export function makeForPeer(
  template: OriginalConnection,
  asked: OriginalConnection,
  ipLocal: string,
): OriginalConnection {
  const count = Math.min(template.paths.length, asked.paths.length);
  const isV6 = asked.ipVersion === 6;
  const paths: OriginalPath[] = [];
  for (const [index, theirs] of asked.paths.slice(0, count).entries()) {
    const { keepaliveS, deadS } = theirs;
    const changed = {
      remoteAddress: theirs.publicAddress,
      keepaliveS,
      deadS,
      weightOut: theirs.weightIn,
      weightIn: theirs.weightOut,
    };
    paths.push({ ...template.paths[index]!, ...changed });
  }
  const network = {
    ipVersion: asked.ipVersion,
    source: isV6 ? '::/0' : '0.0.0.0/0',
    destination: `${asked.ipLocal}/${isV6 ? 128 : 32}`,
  };
  return {
    ...template,
    name: asked.name,
    ipVersion: asked.ipVersion,
    authType: asked.authType,
    key: asked.authType === 2 ? BUILT_IN_KEY : Buffer.alloc(32),
    ipLocal,
    ipRemote: asked.ipLocal,
    remotePort: asked.localPort,
    remoteCommandPort: asked.localCommandPort,
    reorderWindow: Math.max(template.reorderWindow, asked.reorderWindow),
    paths,
    networks: asked.networks.length === 0 ? [] : [network],
  };
}

/** The asker's connection after the answer; its networks stay its own. */
export function mergeAnswer(settings: OriginalConnection, answer: OriginalConnection): OriginalConnection {
  const paths: OriginalPath[] = [];
  for (const [index, theirs] of answer.paths.entries()) {
    const mine = settings.paths[index];
    if (mine === undefined) break;
    const changed = {
      remoteAddress: theirs.publicAddress,
      weightOut: theirs.weightIn,
      weightIn: theirs.weightOut,
    };
    paths.push({ ...mine, ...changed });
  }
  return {
    ...settings,
    remotePort: answer.localPort,
    remoteCommandPort: answer.localCommandPort,
    reorderWindow: Math.max(settings.reorderWindow, answer.reorderWindow),
    paths,
  };
}
