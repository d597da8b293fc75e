/**
 * The command line that would do what a form of the page is about to do (pure), shown before it is done. What the
 * answer says afterwards is the service's own word; a test holds the two against each other.
 *
 * Not here: doing it (control-*.ts). References: ip-mptcp(8), docs/commands.md.
 */
import { shellCommand } from '../../../base/index.ts';
import type {
  EndpointAddAction,
  EndpointChangeAction,
  EndpointRemoveAction,
  LimitsAction,
  PathAction,
  TunnelPathAction,
} from '../../../service/observe/api.ts';

const line = (...words: readonly (string | number)[]) => shellCommand(['weft', ...words.map(String)]);

export function endpointAddCommand({ address, link, port, id, flags }: EndpointAddAction): string {
  const words: (string | number)[] = ['mptcp', 'endpoint', 'add', address];
  if (port !== undefined) words.push('port', port);
  if (link !== undefined) words.push('dev', link);
  if (id !== undefined) words.push('id', id);
  return line(...words, ...flags);
}

export function endpointChangeCommand({ id, backup, fullmesh }: EndpointChangeAction): string {
  const words: (string | number)[] = ['mptcp', 'endpoint', 'set', id];
  if (backup !== undefined) words.push(backup ? '+backup' : '-backup');
  if (fullmesh !== undefined) words.push(fullmesh ? '+fullmesh' : '-fullmesh');
  return line(...words);
}

export function endpointRemoveCommand({ id }: EndpointRemoveAction): string {
  return line('mptcp', 'endpoint', 'delete', 'id', id);
}

export function limitsCommand({ subflows, addAddrAccepted }: LimitsAction): string {
  const words: (string | number)[] = ['mptcp', 'limits', 'set'];
  if (subflows !== undefined) words.push('subflows', subflows);
  if (addAddrAccepted !== undefined) words.push('add_addr_accepted', addAddrAccepted);
  return line(...words);
}

export function pathCommand({ link, backup }: PathAction): string {
  return line('path', link, backup ? 'backup' : 'normal');
}

export function tunnelPathCommand({ tunnel, connection, path, up, weight }: TunnelPathAction): string {
  const words: (string | number)[] = ['tunnel', 'path', tunnel, connection, path];
  if (up !== undefined) words.push(up ? 'up' : 'down');
  if (weight !== undefined) words.push('weight', weight);
  return line(...words);
}
