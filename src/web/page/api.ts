/**
 * The control calls, as the page makes them: the same types as in process and over the unix socket. Reading is GET
 * with the session's cookie; changing is POST with the token that /v1/session tells to pages of this origin only.
 * Nothing is kept or tried again here but that token.
 */
import type {
  ActionAnswer,
  ActionApi,
  ConnectionName,
  EndpointAddAction,
  EndpointChangeAction,
  EndpointRemoveAction,
  LimitsAction,
  ObserveApi,
  PathAction,
  TunnelPathAction,
  WhyQuery,
  WhyReport,
} from '../../service/observe/api.ts';
import type {
  ConnectionDetail,
  ConnectionPage,
  ConnectionQuery,
  History,
  HistoryQuery,
  Overview,
  RecentEvents,
} from '../../service/observe/model.ts';

/** A call that failed; `message` is Weft's own words where it answered. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** `NO_SUCH_CONNECTION` …; `UNREACHABLE` when there was no answer. */
  readonly code: string;
  /** 0: no answer. */
  readonly status: number;

  constructor(message: string, code: string, status: number) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** So long that a busy host is waited for, and a dead one is not waited for for ever. */
const CALL_TIMEOUT_MS = 15_000;

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

async function readFailure(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => undefined);
  const error = isRecord(body) && typeof body['error'] === 'string' ? body['error'] : undefined;
  const code = isRecord(body) && typeof body['code'] === 'string' ? body['code'] : 'HTTP_ERROR';
  return new ApiError(
    error ?? `Weft answered ${response.status} ${response.statusText}`,
    code,
    response.status,
  );
}

/** @throws ApiError */
async function request(path: string, init: RequestInit): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, {
      ...init,
      credentials: 'same-origin',
      cache: 'no-store',
      redirect: 'error',
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
  } catch (error) {
    const why =
      error instanceof DOMException && error.name === 'TimeoutError'
        ? 'it did not answer in time'
        : 'no connection';
    throw new ApiError(`Weft cannot be reached: ${why}`, 'UNREACHABLE', 0);
  }
  if (!response.ok) throw await readFailure(response);
  return await response.json();
}

type Query = Readonly<Record<string, string | number | undefined>>;

function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
}

/** The server's answers have the types of the calls: its own tests hold them against the OpenAPI file. */
async function get<Answer>(path: string, query: Query = {}): Promise<Answer> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (await request(withQuery(path, query), { method: 'GET' })) as Answer;
}

export class Api implements ObserveApi, ActionApi {
  #token: Promise<string> | undefined;

  overview(): Promise<Overview> {
    return get('/v1/overview');
  }

  history(query: HistoryQuery): Promise<History> {
    return get('/v1/history', { ...query });
  }

  connections(query: ConnectionQuery): Promise<ConnectionPage> {
    return get('/v1/connections', { ...query });
  }

  connection(name: ConnectionName): Promise<ConnectionDetail> {
    return get('/v1/connection', { ...name });
  }

  recentEvents(): Promise<RecentEvents> {
    return get('/v1/recent-events');
  }

  why(query: WhyQuery): Promise<WhyReport> {
    return get('/v1/why', { ...query });
  }

  addEndpoint(action: EndpointAddAction): Promise<ActionAnswer> {
    return this.#post('/v1/endpoint/add', action);
  }

  changeEndpoint(action: EndpointChangeAction): Promise<ActionAnswer> {
    return this.#post('/v1/endpoint/change', action);
  }

  removeEndpoint(action: EndpointRemoveAction): Promise<ActionAnswer> {
    return this.#post('/v1/endpoint/remove', action);
  }

  setLimits(action: LimitsAction): Promise<ActionAnswer> {
    return this.#post('/v1/limits', action);
  }

  setPath(action: PathAction): Promise<ActionAnswer> {
    return this.#post('/v1/path', action);
  }

  setTunnelPath(action: TunnelPathAction): Promise<ActionAnswer> {
    return this.#post('/v1/tunnel-path', action);
  }

  /** Whether Weft knows this browser. @throws ApiError when it cannot be asked */
  async isSignedIn(): Promise<boolean> {
    try {
      await this.#readToken();
      return true;
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return false;
      throw error;
    }
  }

  async #readToken(): Promise<string> {
    const session = await get<{ readonly token: string }>('/v1/session');
    return session.token;
  }

  async #post<Answer>(path: string, body: object): Promise<Answer> {
    const reading = (this.#token ??= this.#readToken());
    try {
      const answer = await request(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-weft-token': await reading },
        body: JSON.stringify(body),
      });
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      return answer as Answer;
    } catch (error) {
      // It may be of a Weft that has been started anew since: the next attempt asks for it again.
      if (
        !(error instanceof ApiError) ||
        error.status === 0 ||
        error.status === 401 ||
        error.status === 403
      ) {
        this.#token = undefined;
      }
      throw error;
    }
  }
}
