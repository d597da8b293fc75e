/** The tunnels that run in this network namespace, asked from another process. */
import { readdirSync } from 'node:fs';
import { WeftError } from '../../base/index.ts';
import type { TunnelPathChange } from '../../tunnel/index.ts';
import { callControl } from '../control-client.ts';
import {
  currentUser,
  networkNamespaceInode,
  runtimeFolderCandidates,
  type RuntimeUser,
} from '../runtime-folder.ts';
import { tunnelFace, tunnelOfSocket, type TunnelReport } from './control-api.ts';

const SERVICE_FOLDER = '/run/mptsrv';
const START_HINT = 'start one with "weft tunnel serve" or "mptsrv"';

function namesIn(folder: string): readonly string[] | 'forbidden' {
  try {
    return readdirSync(folder);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'forbidden' : [];
  }
}

function notRunning(hint: string): WeftError {
  return new WeftError('no tunnel is running here', { code: 'NOT_RUNNING', hint });
}

/**
 * The links of the tunnels that seem to run here, by name. A killed one may be among them.
 * @throws WeftError `NOT_RUNNING`
 */
export function findTunnels(
  user: RuntimeUser = currentUser(),
  netns: number = networkNamespaceInode(),
): readonly string[] {
  const folders = runtimeFolderCandidates(user);
  if ((user.env['WEFT_RUNTIME_DIR'] ?? '') === '') {
    if (user.uid !== 0) folders.push('/run/weft');
    folders.push(SERVICE_FOLDER);
  }
  const links = new Set<string>();
  let isForbidden = false;
  for (const folder of folders) {
    const names = namesIn(folder);
    if (names === 'forbidden') isForbidden = true;
    else for (const name of names) links.add(tunnelOfSocket(name, netns) ?? '');
  }
  links.delete('');
  if (links.size > 0) return [...links].sort();
  const start = 'start one with "weft tunnel serve" or "mptsrv"';
  throw notRunning(
    isForbidden ? `${start}; if it runs as root, ask as root: sudo weft tunnel status` : start,
  );
}

export class TunnelControlClient {
  readonly #interfaceName: string;

  /** @param interfaceName the tunnel's link */
  constructor(interfaceName: string) {
    this.#interfaceName = interfaceName;
  }

  /** @throws WeftError `NOT_RUNNING` and others that say what to do */
  async status(): Promise<TunnelReport> {
    const face = tunnelFace(this.#interfaceName);
    return (await callControl(face, face.calls.status)) as TunnelReport;
  }

  /** @throws WeftError `NOT_RUNNING`, `TUNNEL_REFUSED` */
  async setPath(change: TunnelPathChange): Promise<TunnelReport> {
    const face = tunnelFace(this.#interfaceName);
    return (await callControl(face, { ...face.calls.setPath, argument: change })) as TunnelReport;
  }
}

/**
 * The reports of all tunnels here, or of the one whose link is named.
 * @throws WeftError `NOT_RUNNING` when there is none, and others that say what to do
 */
export async function readTunnelReports(interfaceName?: string): Promise<readonly TunnelReport[]> {
  const reports: TunnelReport[] = [];
  let absent: unknown;
  for (const link of findTunnels()) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- a few tunnels, one after the other
      reports.push(await new TunnelControlClient(link).status());
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== 'NOT_RUNNING') throw error;
      absent = error;
    }
  }
  const wanted = reports.filter(
    ({ tunnel }) => interfaceName === undefined || tunnel.interfaceName === interfaceName,
  );
  if (wanted.length > 0) return wanted;
  if (reports.length === 0) throw absent ?? notRunning(START_HINT);
  const names = reports.map(({ tunnel }) => tunnel.interfaceName).join(', ');
  throw new WeftError(`no tunnel ${interfaceName ?? ''} is running here`, {
    code: 'NOT_RUNNING',
    hint: `those that are: ${names}`,
  });
}
