/**
 * A path of a tunnel up, down, or with another weight, by the tunnel's own control socket: `mptsrv` and
 * `weft tunnel serve` are processes of their own.
 */
import { shellCommand, WeftError } from '../../base/index.ts';
import type { TunnelConnectionStatus } from '../../tunnel/index.ts';
import { readTunnelReports, TunnelControlClient } from '../tunnel/control-client.ts';
import type { ActionAnswer, TunnelPathAction } from './api.ts';
import { findTunnelPath, tunnelPathNames } from './tunnel-path-name.ts';

async function readConnections(tunnel: string): Promise<readonly TunnelConnectionStatus[]> {
  try {
    const [report] = await readTunnelReports(tunnel);
    return report?.connections ?? [];
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== 'NOT_RUNNING') throw error;
    throw new WeftError(error.message, { code: 'NO_SUCH_TUNNEL', cause: error });
  }
}

function findConnection(
  connections: readonly TunnelConnectionStatus[],
  { connection: wanted, tunnel }: TunnelPathAction,
): TunnelConnectionStatus {
  const found =
    connections.find(({ file }) => file === wanted) ?? connections.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  throw new WeftError(`the tunnel ${tunnel} has no connection "${wanted}"`, {
    code: 'NO_SUCH_TUNNEL_PATH',
    hint: `it has: ${connections.map(({ name }) => name).join(', ')}`,
  });
}

/**
 * @throws WeftError `NO_SUCH_TUNNEL`, `NO_SUCH_TUNNEL_PATH`, `TUNNEL_REFUSED`
 */
export async function setTunnelPath(action: TunnelPathAction): Promise<ActionAnswer> {
  const { path, tunnel, up, weight } = action;
  const connection = findConnection(await readConnections(tunnel), action);
  const index = findTunnelPath(connection.paths, path);
  if (index === undefined) {
    throw new WeftError(`the connection "${connection.name}" has no path "${path}"`, {
      code: 'NO_SUCH_TUNNEL_PATH',
      hint: `it has: ${tunnelPathNames(connection.paths).join(', ')}`,
    });
  }
  await new TunnelControlClient(tunnel).setPath({
    file: connection.file,
    path: index,
    ...(up === undefined ? {} : { up }),
    ...(weight === undefined ? {} : { weight }),
  });
  const name = tunnelPathNames(connection.paths)[index] ?? path;
  const words = weight === undefined ? [up === true ? 'up' : 'down'] : ['weight', String(weight)];
  const done = weight === undefined ? `was set ${words[0]} by hand` : `has the weight ${weight} now`;
  return {
    text: `path ${name} of ${connection.name} (${tunnel}) ${done}`,
    command: shellCommand(['weft', 'tunnel', 'path', tunnel, connection.name, name, ...words]),
  };
}
