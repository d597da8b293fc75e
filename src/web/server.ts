/**
 * The page's web server: listeners with narrow limits around a WebHandler. On loopback unless told otherwise; beyond it
 * only with a token that stands in a file.
 *
 * Invariants: it listens on all of its addresses or is not there; after `close` no descriptor and no timer is left;
 * whoever holds connections open without asking is cut off. References: docs/web.md.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  errorCode,
  errorText,
  formatSocketAddress,
  systemReason,
  WeftError,
  type Logger,
} from '../base/index.ts';
import { addressUrl, checkReach, isBeyondLoopback, type WebAddress, type WebOrigin } from './addresses.ts';
import { WebHandler, type WebCounters } from './handler.ts';
import { WebKeys } from './keys.ts';
import { readPageFiles } from './page-files.ts';
import { makeWebToken, readWebToken } from './token-file.ts';

/** BOUNDED: what one client, and all clients, may ask of a process whose main job is something else. */
const HEADER_MAX_BYTES = 8 << 10;
const CONNECTIONS_MAX = 64;
const HEADERS_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 10_000;
/** Without a word; a stream takes it away. */
const SILENCE_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 20_000;
const CHECK_INTERVAL_MS = 1000;

export interface WebOptions {
  readonly addresses: readonly WebAddress[];
  /** By which a reverse proxy or a forwarded port is reached. */
  readonly origins?: readonly WebOrigin[];
  /** Where the token stands, or is to stand. Absent: a new one for each start, on loopback only. */
  readonly tokenFile?: string;
  /** Carries out what is no file of the page: control calls, the live stream, /metrics. */
  readonly calls: RequestListener;
  /** The folder with index.html. */
  readonly pageFolder: string;
  /** The file that describes the calls; told as /v1/openapi.json. */
  readonly openapiFile?: string;
  /** What is running: `up`, `daemon`. */
  readonly program: string;
  readonly logger: Logger;
}

/** Monotonic. */
const nowMs = () => performance.now();

function makeServer(handler: WebHandler): Server {
  const handle: RequestListener = (request, response) => handler.handle(request, response);
  const server = createServer(
    {
      maxHeaderSize: HEADER_MAX_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      insecureHTTPParser: false,
    },
    handle,
  );
  server.setTimeout(SILENCE_TIMEOUT_MS);
  server.maxConnections = CONNECTIONS_MAX;
  // The body of who is refused is not even asked for.
  server.on('checkContinue', handle);
  return server;
}

/** A host without IPv6 says so when its loopback address is asked for. */
const NO_IPV6: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/**
 * @param oneOfMore `::1` may be missing: who names a port alone means both loopback addresses
 * @returns where it listens
 */
async function listen(
  server: Server,
  { address, port }: WebAddress,
  logger: Logger,
  oneOfMore: boolean,
): Promise<WebAddress | undefined> {
  try {
    server.listen({ host: address, port, exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    if (oneOfMore && address === '::1' && NO_IPV6.has(errorCode(error))) return undefined;
    const name = formatSocketAddress(address, port);
    // Node: `listen EADDRINUSE: address already in use 127.0.0.1:13180`
    const why = systemReason(
      errorText(error)
        .replace(/^listen /, '')
        .replace(` ${address}:${port}`, ''),
    );
    throw new WeftError(`listen on ${name} for the page: ${why}`, { code: errorCode(error), cause: error });
  }
  server.on('error', (err) => logger.warn({ err }, 'the listener of the page failed'));
  return { address, port: (server.address() as AddressInfo).port };
}

interface Listening {
  readonly server: Server;
  readonly address: WebAddress;
}

interface Started {
  readonly listening: readonly Listening[];
  readonly handler: WebHandler;
  readonly token: string;
  readonly origins: readonly WebOrigin[];
  readonly madeTokenFile: boolean;
}

export class WebServer {
  readonly #servers: readonly Server[];
  readonly #handler: WebHandler;
  readonly #token: string;
  readonly #origins: readonly WebOrigin[];
  /** Where it listens. */
  readonly addresses: readonly WebAddress[];
  /** The token file was made by this start. */
  readonly madeTokenFile: boolean;

  private constructor(parts: Started) {
    this.#servers = parts.listening.map(({ server }) => server);
    this.#handler = parts.handler;
    this.#token = parts.token;
    this.#origins = parts.origins;
    this.addresses = parts.listening.map(({ address }) => address);
    this.madeTokenFile = parts.madeTokenFile;
  }

  /**
   * @throws WeftError `NO_TOKEN_FILE` beyond loopback without one; what readWebToken throws; `EADDRINUSE` and what else
   * bind(2) says. Nothing listens then
   */
  static async start(options: WebOptions): Promise<WebServer> {
    const { addresses, calls, logger, openapiFile, origins = [], tokenFile } = options;
    checkReach(options);
    const { made, token } =
      tokenFile === undefined ? { token: makeWebToken(), made: false } : readWebToken(tokenFile);
    const handler = new WebHandler({
      rules: { origins, openMetrics: !isBeyondLoopback(addresses) && origins.length === 0 },
      keys: new WebKeys({ token, randomBytes, nowMs }),
      files: readPageFiles(
        options.pageFolder,
        openapiFile === undefined ? {} : { '/v1/openapi.json': openapiFile },
      ),
      calls,
      server: `weft (${options.program})`,
      nowMs,
      logger,
    });
    const listening: Listening[] = [];
    try {
      for (const address of addresses) {
        const server = makeServer(handler);
        const found = await listen(server, address, logger, addresses.length > 1);
        if (found !== undefined) listening.push({ server, address: found });
      }
    } catch (error) {
      for (const { server } of listening) server.close();
      throw error;
    }
    return new WebServer({ listening, handler, token, origins, madeTokenFile: made });
  }

  /** `127.0.0.1:13180` */
  get names(): readonly string[] {
    return this.addresses.map(({ address, port }) => formatSocketAddress(address, port));
  }

  /** Without the token: for logs. */
  get plainUrl(): string {
    const [origin] = this.#origins;
    return origin === undefined ? addressUrl(this.addresses[0]!) : `${origin.origin}/`;
  }

  /** With the token: for the eyes of who started it, and for no log. */
  get url(): string {
    return `${this.plainUrl}?token=${this.#token}`;
  }

  counters(): WebCounters {
    return this.#handler.counters();
  }

  /** Ends listeners, streams and what is under way. May be called again. */
  async close(): Promise<void> {
    this.#handler.close();
    await Promise.all(
      this.#servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
  }
}
