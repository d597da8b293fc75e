/**
 * The table that maps the calls of api.ts to HTTP: the same for `weft up` and the daemon, over the unix socket and for
 * the page. docs/openapi.json describes them, docs/control-api.md tells of them.
 *
 * Pure: readers of arguments take what somebody sent and throw what is wrong with it.
 */
import { canonicalIp } from '../../base/index.ts';
import { EndpointFlag, type EndpointFlagName } from '../../mptcp/index.ts';
import {
  badArgument,
  bodyFields,
  queryValues,
  quoted,
  takeBoolean,
  takeDigits,
  takeInteger,
  takeText,
  takeWord,
} from '../control-arguments.ts';
import type { ControlCalls } from '../control-face.ts';
import type {
  ActionApi,
  ConnectionName,
  EndpointAddAction,
  EndpointChangeAction,
  EndpointRemoveAction,
  LimitsAction,
  ObserveApi,
  PathAction,
  TunnelPathAction,
  WebApi,
  WhyQuery,
} from './api.ts';
import { CONNECTION_ROWS_MAX, CONNECTION_SORTS, type ConnectionQuery, type HistoryQuery } from './model.ts';

/** The stream of live data: Server-Sent Events for who accepts them, JSON lines else (live-feed.ts). */
export const LIVE_PATH = '/v1/live';

const HISTORY_MINUTES_MAX = 1440;
const ENDPOINT_ID_MAX = 255;
const PORT_MAX = 65_535;
/** A limit travels as 32 bits; what it may be the kernel says. */
const LIMIT_MAX = 0xffff_ffff;
const WEIGHT_MAX = 10_000;

/** Those that a user gives; `implicit` is the kernel's own. */
export const ENDPOINT_FLAGS_SETTABLE: readonly EndpointFlagName[] = (
  Object.keys(EndpointFlag) as EndpointFlagName[]
).filter((name) => name !== 'implicit');

export function readHistoryQuery(query: URLSearchParams): HistoryQuery {
  const { minutes } = queryValues(query, ['minutes']);
  return minutes === undefined ? {} : { minutes: takeDigits('minutes', minutes, 1, HISTORY_MINUTES_MAX) };
}

export function readConnectionQuery(query: URLSearchParams): ConnectionQuery {
  const { limit, offset, order, search, sort } = queryValues(query, [
    'search',
    'sort',
    'order',
    'offset',
    'limit',
  ]);
  return {
    ...(search === undefined || search === '' ? {} : { search: takeText('search', search) }),
    ...(sort === undefined ? {} : { sort: takeWord('sort', sort, CONNECTION_SORTS) }),
    ...(order === undefined ? {} : { order: takeWord('order', order, ['ascending', 'descending']) }),
    ...(offset === undefined ? {} : { offset: takeDigits('offset', offset, 0, Number.MAX_SAFE_INTEGER) }),
    ...(limit === undefined ? {} : { limit: takeDigits('limit', limit, 1, CONNECTION_ROWS_MAX) }),
  };
}

export function readConnectionName(query: URLSearchParams): ConnectionName {
  const { id } = queryValues(query, ['id']);
  return { id: takeText('id', id) };
}

export function readWhyQuery(query: URLSearchParams): WhyQuery {
  const { connection } = queryValues(query, ['connection']);
  return connection === undefined ? {} : { connection: takeText('connection', connection) };
}

function takeAddress(value: unknown): string {
  const address = typeof value === 'string' ? canonicalIp(value) : undefined;
  if (address === undefined) throw badArgument(`"address" is to be an IP address, not ${quoted(value)}`);
  return address;
}

function takeFlags(value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length > ENDPOINT_FLAGS_SETTABLE.length) {
    throw badArgument(`"flags" is to be a list of ${ENDPOINT_FLAGS_SETTABLE.join(', ')}`);
  }
  return [...new Set(value.map((flag: unknown) => takeWord('flags', flag, ENDPOINT_FLAGS_SETTABLE)))];
}

const takeId = (value: unknown) => takeInteger('id', value, 1, ENDPOINT_ID_MAX);

export function readEndpointAddAction(value: unknown): EndpointAddAction {
  const { address, flags, id, link, port } = bodyFields(value, ['address', 'link', 'port', 'id', 'flags']);
  return {
    address: takeAddress(address),
    flags: takeFlags(flags),
    ...(link === undefined ? {} : { link: takeText('link', link) }),
    ...(port === undefined ? {} : { port: takeInteger('port', port, 1, PORT_MAX) }),
    ...(id === undefined ? {} : { id: takeId(id) }),
  };
}

export function readEndpointChangeAction(value: unknown): EndpointChangeAction {
  const { backup, fullmesh, id } = bodyFields(value, ['id', 'backup', 'fullmesh']);
  if (backup === undefined && fullmesh === undefined) {
    throw badArgument('an endpoint is changed with "backup" or "fullmesh"');
  }
  return {
    id: takeId(id),
    ...(backup === undefined ? {} : { backup: takeBoolean('backup', backup) }),
    ...(fullmesh === undefined ? {} : { fullmesh: takeBoolean('fullmesh', fullmesh) }),
  };
}

export function readEndpointRemoveAction(value: unknown): EndpointRemoveAction {
  const { id } = bodyFields(value, ['id']);
  return { id: takeId(id) };
}

const takeLimit = (name: string, limit: unknown) => takeInteger(name, limit, 0, LIMIT_MAX);

export function readLimitsAction(value: unknown): LimitsAction {
  const { addAddrAccepted, subflows } = bodyFields(value, ['subflows', 'addAddrAccepted']);
  if (addAddrAccepted === undefined && subflows === undefined) {
    throw badArgument('limits are set with "subflows" or "addAddrAccepted"');
  }
  return {
    ...(subflows === undefined ? {} : { subflows: takeLimit('subflows', subflows) }),
    ...(addAddrAccepted === undefined
      ? {}
      : { addAddrAccepted: takeLimit('addAddrAccepted', addAddrAccepted) }),
  };
}

export function readPathAction(value: unknown): PathAction {
  const { backup, link } = bodyFields(value, ['link', 'backup']);
  return { link: takeText('link', link), backup: takeBoolean('backup', backup) };
}

export function readTunnelPathAction(value: unknown): TunnelPathAction {
  const names = ['tunnel', 'connection', 'path', 'up', 'weight'] as const;
  const { connection, path, tunnel, up, weight } = bodyFields(value, names);
  if ((up === undefined) === (weight === undefined)) {
    throw badArgument('a path of a tunnel is changed with "up" or "weight", one of them');
  }
  return {
    tunnel: takeText('tunnel', tunnel),
    connection: takeText('connection', connection),
    path: takeText('path', path),
    ...(up === undefined ? {} : { up: takeBoolean('up', up) }),
    ...(weight === undefined ? {} : { weight: takeInteger('weight', weight, 1, WEIGHT_MAX) }),
  };
}

export const OBSERVE_CALLS: ControlCalls<ObserveApi> = {
  overview: { method: 'GET', path: '/v1/overview' },
  history: { method: 'GET', path: '/v1/history', readQuery: readHistoryQuery },
  connections: { method: 'GET', path: '/v1/connections', readQuery: readConnectionQuery },
  connection: { method: 'GET', path: '/v1/connection', readQuery: readConnectionName },
  recentEvents: { method: 'GET', path: '/v1/recent-events' },
  why: { method: 'GET', path: '/v1/why', readQuery: readWhyQuery },
};

export const ACTION_CALLS: ControlCalls<ActionApi> = {
  addEndpoint: { method: 'POST', path: '/v1/endpoint/add', readArgument: readEndpointAddAction },
  changeEndpoint: { method: 'POST', path: '/v1/endpoint/change', readArgument: readEndpointChangeAction },
  removeEndpoint: { method: 'POST', path: '/v1/endpoint/remove', readArgument: readEndpointRemoveAction },
  setLimits: { method: 'POST', path: '/v1/limits', readArgument: readLimitsAction },
  setPath: { method: 'POST', path: '/v1/path', readArgument: readPathAction },
  setTunnelPath: { method: 'POST', path: '/v1/tunnel-path', readArgument: readTunnelPathAction },
};

/** Over the control socket only: its answer has the page's token. */
export const WEB_CALLS: ControlCalls<WebApi> = {
  web: { method: 'GET', path: '/v1/web' },
};
