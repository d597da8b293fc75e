/**
 * docs/openapi.json as it is to be: made from the tables of calls and from the types that stand in the source, so that
 * neither can change without the file.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DAEMON_FACE, EVENT_KINDS, WEFT_FACE } from '../../src/service/index.ts';
import type { AnyCall } from '../../src/service/control-face.ts';
import { FAILURE_STATUS } from '../../src/service/control-failure.ts';
import { TypeSchemas } from './type-schema.ts';

const src = fileURLToPath(new URL('../../src', import.meta.url));

/** Files whose types travel. A type that two of them have would be the last one's. */
const FILES = [
  'mptcp/model.ts',
  'pathmanager/daemon-status.ts',
  'pathmanager/path-daemon.ts',
  'pathmanager/plugin-api.ts',
  'proxy/upstream/types.ts',
  'service/doctor/facts.ts',
  'service/proxy-policy.ts',
  'service/control-face.ts',
  'service/control-api.ts',
  'service/daemon/control-api.ts',
  'service/observe/live-feed.ts',
  'service/observe/model.ts',
  'service/observe/api.ts',
];

interface Described {
  readonly summary: string;
  readonly answer: string;
  /** Of its argument. */
  readonly argument?: string;
  /** The daemon's answer, where that is another. */
  readonly daemonAnswer?: string;
}

/** By the call's name. */
const CALLS: Readonly<Record<string, Described>> = {
  status: {
    summary: 'Whether multipath is in use and why not, paths, endpoints, and the connections of the proxy',
    answer: 'StatusReport',
    daemonAnswer: 'DaemonReport',
  },
  reconcile: {
    summary: 'Compares what is wanted on this host with what is there, and makes it so',
    answer: 'StatusReport',
    argument: 'NoArgument',
  },
  reload: { summary: "Reads the proxy's rules again", answer: 'ReloadReport', argument: 'NoArgument' },
  stop: {
    summary: 'Undoes what was made and ends the process',
    answer: 'StopAnswer',
    argument: 'NoArgument',
  },
  setInterface: {
    summary: "Makes an interface's subflows backup or normal",
    answer: 'InterfaceChange',
    argument: 'InterfaceSetting',
  },
  overview: { summary: 'The host as it was at the last look', answer: 'Overview' },
  history: {
    summary: 'Rates, round-trip times and retransmissions per path',
    answer: 'History',
    argument: 'HistoryQuery',
  },
  connections: {
    summary: 'Connections, searched, sorted and in pages',
    answer: 'ConnectionPage',
    argument: 'ConnectionQuery',
  },
  connection: {
    summary: 'One connection with its subflows',
    answer: 'ConnectionDetail',
    argument: 'ConnectionName',
  },
  recentEvents: { summary: 'What happened', answer: 'RecentEvents' },
  why: {
    summary: 'What limits this host, or one connection, and what mends it',
    answer: 'WhyReport',
    argument: 'WhyQuery',
  },
  addEndpoint: { summary: 'Adds an MPTCP endpoint', answer: 'ActionAnswer', argument: 'EndpointAddAction' },
  changeEndpoint: {
    summary: "Changes flags of an endpoint that is not Weft's own",
    answer: 'ActionAnswer',
    argument: 'EndpointChangeAction',
  },
  removeEndpoint: {
    summary: "Removes an endpoint that is not Weft's own",
    answer: 'ActionAnswer',
    argument: 'EndpointRemoveAction',
  },
  setLimits: { summary: "Sets the path manager's limits", answer: 'ActionAnswer', argument: 'LimitsAction' },
  setPath: {
    summary: 'Makes all paths of a link backup or normal, on open connections too',
    answer: 'ActionAnswer',
    argument: 'PathAction',
  },
  setTunnelPath: {
    summary: 'Sets a path of a tunnel up or down, or gives it another weight',
    answer: 'ActionAnswer',
    argument: 'TunnelPathAction',
  },
  web: { summary: 'Where the page is, with its token', answer: 'WebReport' },
};

/** How a test asks. */
export interface CallExample {
  /** Schemas of answers. */
  readonly answers: Readonly<Partial<Record<'up' | 'daemon', string>>>;
  /** `CONNECTION` stands for the id of one. */
  readonly query?: string;
  readonly body?: unknown;
  /** It may be refused where nothing fits. */
  readonly fails?: boolean;
}

const QUESTIONS: Readonly<Record<string, Omit<CallExample, 'answers'>>> = {
  history: { query: '?minutes=5' },
  connections: { query: '?sort=bytes&order=descending&limit=10' },
  connection: { query: '?id=CONNECTION', fails: true },
  why: { query: '?connection=CONNECTION', fails: true },
  addEndpoint: { body: { address: '192.0.2.7', id: 77, flags: ['signal'] } },
  changeEndpoint: { body: { id: 77, backup: true } },
  removeEndpoint: { body: { id: 77 } },
  setLimits: { body: { subflows: 4 } },
  setPath: { body: { link: 'lte0', backup: true } },
  setInterface: { body: { name: 'lte0', backup: false } },
  setTunnelPath: { body: { tunnel: 'tun0', connection: 'a', path: 'eth0', up: true }, fails: true },
};

/** Each call but the one that ends the process, by its name. */
export const CALL_EXAMPLES: Readonly<Record<string, CallExample | undefined>> = Object.fromEntries(
  Object.entries(CALLS)
    .filter(([name]) => name !== 'stop')
    .map(([name, { answer, daemonAnswer = answer }]) => [
      name,
      Object.assign({ answers: { up: answer, daemon: daemonAnswer } }, QUESTIONS[name]),
    ]),
);

const PREFIX = '#/components/schemas/';
const JSON_TYPE = 'application/json';

export const ROUTES = ['/v1/events', '/v1/live', '/metrics'] as const;

/** Which process answers a call. */
export interface CallPlace {
  readonly name: string;
  readonly call: AnyCall;
  readonly programs: readonly ('up' | 'daemon')[];
}

/** Every call of both tables. */
export function allCalls(): readonly CallPlace[] {
  const places = new Map<string, CallPlace>();
  const faces = [
    ['up', WEFT_FACE.calls],
    ['daemon', DAEMON_FACE.calls],
  ] as const;
  for (const [program, calls] of faces) {
    for (const [name, call] of Object.entries(calls as Readonly<Record<string, AnyCall>>)) {
      const programs = places.get(name)?.programs ?? [];
      places.set(name, { name, call, programs: [...programs, program] });
    }
  }
  return [...places.values()];
}

const failure = (status: number) => ({
  description: Object.entries(FAILURE_STATUS)
    .filter(([, of]) => of === status)
    .map(([code]) => code)
    .join(', '),
  content: { [JSON_TYPE]: { schema: { $ref: `${PREFIX}ControlFailure` } } },
});

function queryParameters(types: TypeSchemas, argument: string): object[] {
  return types.membersOf(argument).map(({ name, optional, text: description, type }) => {
    const parameter = { name, in: 'query', required: !optional, description, schema: types.schemaOf(type) };
    return parameter;
  });
}

function describeCall(types: TypeSchemas, { call, name, programs }: CallPlace): object {
  const described = CALLS[name];
  if (described === undefined)
    throw new Error(`the call "${name}" is not described in test/support/openapi.ts`);
  const { answer, argument, daemonAnswer, summary } = described;
  const schemas = [answer, ...(daemonAnswer === undefined ? [] : [daemonAnswer])].map((type) =>
    types.reference(type),
  );
  const onlySocket = name === 'web' || call.readArgument?.name === 'readNoArgument' || name === 'status';
  return {
    operationId: name,
    summary,
    'x-weft-programs': programs,
    'x-weft-page': !onlySocket && name !== 'setInterface',
    ...(call.readQuery === undefined || argument === undefined
      ? {}
      : { parameters: queryParameters(types, argument) }),
    ...(call.readArgument === undefined || argument === undefined
      ? {}
      : { requestBody: { required: true, content: { [JSON_TYPE]: { schema: types.reference(argument) } } } }),
    responses: {
      200: {
        description: 'Done',
        content: { [JSON_TYPE]: { schema: schemas.length === 1 ? schemas[0] : { anyOf: schemas } } },
      },
      default: { $ref: '#/components/responses/Failure' },
    },
  };
}

const text = (description: string, type: string) => ({
  200: { description, content: { [type]: { schema: { type: 'string' } } } },
  default: { $ref: '#/components/responses/Failure' },
});

function describeRoutes(types: TypeSchemas): Record<string, object> {
  return {
    '/v1/events': {
      get: {
        operationId: 'events',
        summary: 'Events as JSON lines, without end; those of the daemon are described in docs/events.md',
        'x-weft-programs': ['up', 'daemon'],
        'x-weft-page': false,
        parameters: [
          {
            name: 'kind',
            in: 'query',
            required: false,
            description: 'Only these; may be given more than once',
            schema: { enum: [...new Set([...EVENT_KINDS, ...WEFT_FACE.stream.kinds])] },
          },
        ],
        responses: text('Lines', 'application/x-ndjson'),
      },
    },
    '/v1/live': {
      get: {
        operationId: 'live',
        summary:
          'The overview at once and after each look, and events: Server-Sent Events for who accepts text/event-stream, JSON lines else',
        'x-weft-programs': ['up', 'daemon'],
        'x-weft-page': true,
        responses: {
          200: {
            description: 'Each line, or the name and data of each event',
            content: {
              'text/event-stream': { schema: { type: 'string' } },
              'application/x-ndjson': { schema: types.reference('LiveMessage') },
            },
          },
          default: { $ref: '#/components/responses/Failure' },
        },
      },
    },
    '/metrics': {
      get: {
        operationId: 'metrics',
        summary: 'For Prometheus (docs/metrics.md)',
        'x-weft-programs': ['up', 'daemon'],
        'x-weft-page': true,
        responses: text('OpenMetrics', 'application/openmetrics-text'),
      },
    },
  };
}

/** Files are named so that a slip is seen here and not as a type that is missing. */
function typeFiles(): string[] {
  return FILES.map((name) => join(src, name));
}

export function openApiDocument(): object {
  const types = new TypeSchemas(typeFiles(), PREFIX);
  const paths: Record<string, Record<string, object>> = {};
  for (const place of allCalls()) {
    const { method, path } = place.call;
    (paths[path] ??= {})[method.toLowerCase()] = describeCall(types, place);
  }
  Object.assign(paths, describeRoutes(types));
  types.reference('ControlFailure');
  const statuses = [...new Set(Object.values(FAILURE_STATUS))].sort((a, b) => a - b);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Weft control calls',
      version: '1',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'What a running "weft up" and the path-management daemon answer on their unix sockets, and to their page on 127.0.0.1:13180 (those with x-weft-page). docs/control-api.md tells more. Fields are only ever added.',
    },
    servers: [{ url: 'http://127.0.0.1:13180', description: 'The page, with its session' }],
    paths,
    components: {
      schemas: types.all,
      responses: {
        Failure: {
          description: 'What is wrong, for people, and a code for programs',
          content: { [JSON_TYPE]: { schema: { $ref: `${PREFIX}ControlFailure` } } },
        },
      },
    },
    'x-weft-failures': Object.fromEntries(statuses.map((status) => [status, failure(status).description])),
  };
}
