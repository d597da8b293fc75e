/** Which connection somebody means: by its id, its token, the address of its other end, or what it was opened for. */
import { formatSocketAddress, WeftError } from '../../base/index.ts';
import type { ConnectionDetail, ConnectionPage, ConnectionQuery, ConnectionReading } from './model.ts';
import { CONNECTION_ROWS_MAX } from './model.ts';

/** What is asked of an observer. */
export interface ConnectionSource {
  /** @throws WeftError `NO_SUCH_CONNECTION` */
  connection(id: string): ConnectionDetail;
  connections(query: ConnectionQuery): ConnectionPage;
}

/** BOUNDED: how many candidates an answer names. */
const CANDIDATES_MAX = 8;

const hostOf = (target: string) => target.replace(/:\d+$/, '');

/** All texts by which a connection may be named, but for its id. */
function namesOf(row: ConnectionReading): readonly (string | undefined)[] {
  const { program, remoteAddress, remotePort, target } = row;
  const host = target === undefined ? undefined : hostOf(target);
  return [formatSocketAddress(remoteAddress, remotePort), target, host, remoteAddress, program];
}

const describe = (row: ConnectionReading) =>
  `${row.id} (${row.target ?? formatSocketAddress(row.remoteAddress, row.remotePort)})`;

function noSuch(wanted: string): WeftError {
  return new WeftError(`there is no connection "${wanted}"`, {
    code: 'NO_SUCH_CONNECTION',
    hint: 'name it by its id, its token (0x…), ADDRESS:PORT of the other end, or a host name',
  });
}

/** `m1f00ba7` as it is, the token `0x1f00ba7` as that. */
function idOf(wanted: string): string | undefined {
  if (/^[gmps][0-9a-f]{1,16}$/.test(wanted)) return wanted;
  const token = /^0x([0-9a-f]{1,8})$/i.exec(wanted)?.[1];
  return token === undefined ? undefined : `m${Number.parseInt(token, 16).toString(16)}`;
}

function byId(source: ConnectionSource, id: string): ConnectionDetail | undefined {
  try {
    return source.connection(id);
  } catch (error) {
    if (error instanceof WeftError && error.code === 'NO_SUCH_CONNECTION') return undefined;
    throw error;
  }
}

/**
 * @param wanted as in `WhyQuery.connection`
 * @throws WeftError `NO_SUCH_CONNECTION`; `AMBIGUOUS`, naming those that may be meant
 */
export function findConnection(source: ConnectionSource, wanted: string): ConnectionDetail {
  const id = idOf(wanted);
  const named = id === undefined ? undefined : byId(source, id);
  if (named !== undefined) return named;
  const lower = wanted.toLowerCase();
  const { rows } = source.connections({ search: lower, limit: CONNECTION_ROWS_MAX });
  const matching = rows.filter((row) => namesOf(row).some((name) => name?.toLowerCase() === lower));
  const [first] = matching;
  if (first === undefined) throw noSuch(wanted);
  if (matching.length === 1) return source.connection(first.id);
  const shown = matching.slice(0, CANDIDATES_MAX).map(describe).join(', ');
  const more = matching.length - CANDIDATES_MAX;
  throw new WeftError(`"${wanted}" means ${matching.length} connections`, {
    code: 'AMBIGUOUS',
    hint: `name one by its id: ${shown}${more > 0 ? ` and ${more} more` : ''}`,
  });
}
