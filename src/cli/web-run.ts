/**
 * Serves the page of a Weft or a daemon that runs, and says where it is. Loaded after that is ready; it never harms it:
 * a page that cannot be served is a warning, unless its address was asked for.
 *
 * The token is shown on a terminal and told on the control socket ("weft web"), and never written to a log.
 */
import { get, type RequestListener } from 'node:http';
import { errorCode, errorText, formatSocketAddress, WeftError, type Logger } from '../base/index.ts';
import type { WebReport } from '../service/index.ts';
import { isBeyondLoopback, WebServer, type WebAddress } from '../web/index.ts';
import { pageLine } from './greeting.ts';
import { packageFile } from './version.ts';
import type { WebWish } from './web-options.ts';

export interface WebRunOptions {
  readonly wish: WebWish;
  /** Carries out what is no file of the page. */
  readonly calls: RequestListener;
  /** What is running. */
  readonly program: 'up' | 'daemon';
  readonly logger: Logger;
  /** The log's reader is a person before a terminal, so the token may be in it. */
  readonly onTerminal: boolean;
  /** Is told where the page is, or why there is none. */
  readonly tell: (report: WebReport) => void;
}

export interface RunningWeb {
  close(): Promise<void>;
}

const PROBE_TIMEOUT_MS = 1000;

/** Who listens there, when it is one of us: `daemon`. */
function whoListens({ address, port }: WebAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const asked = get({ host: address, port, path: '/', agent: false, timeout: PROBE_TIMEOUT_MS });
    const end = (program: string | undefined) => {
      resolve(program);
      asked.destroy();
    };
    asked.on('timeout', () => end(undefined));
    asked.on('error', () => end(undefined));
    asked.on('response', ({ headers }) => end(/^weft \((\w+)\)$/.exec(String(headers.server))?.[1]));
  });
}

async function describeFailure(failure: unknown, { addresses }: WebWish): Promise<string> {
  const text = errorText(failure);
  if (errorCode(failure) !== 'EADDRINUSE') return text;
  const found = await Promise.all(addresses.map(whoListens));
  const program = found.find((name) => name !== undefined);
  const taken = program === undefined ? '' : ` by another Weft ("weft ${program}"), whose page it has`;
  const [{ address, port } = { address: '127.0.0.1', port: 0 }] = addresses;
  return `${text}${taken} — another port: --web ${formatSocketAddress(address, port + 1)}`;
}

function logStart(server: WebServer, report: WebReport, { logger, onTerminal, wish }: WebRunOptions): void {
  const { level, message } = pageLine(report, onTerminal);
  logger[level]({}, message);
  if (server.madeTokenFile) logger.info({}, `made the token file "${wish.tokenFile ?? ''}"`);
  if (!isBeyondLoopback(server.addresses) || wish.origins.length > 0) return;
  logger.warn(
    {},
    'the page is open to other machines, with its token unencrypted; put a reverse proxy with TLS before it (docs/web.md)',
  );
}

/**
 * @returns `undefined`: it could not be served, which has been said
 * @throws WeftError when its addresses were asked for
 */
export async function runWeb(options: WebRunOptions): Promise<RunningWeb | undefined> {
  const { calls, logger, program, tell, wish } = options;
  const { addresses, explicit, origins, tokenFile } = wish;
  try {
    const server = await WebServer.start({
      addresses,
      origins,
      calls,
      pageFolder: packageFile('dist', 'web', 'page'),
      openapiFile: packageFile('docs', 'openapi.json'),
      program,
      logger,
      ...(tokenFile === undefined ? {} : { tokenFile }),
    });
    const report: WebReport = { served: true, addresses: server.names, url: server.url };
    tell(report);
    logStart(server, report, options);
    return server;
  } catch (error) {
    const why = await describeFailure(error, wish);
    tell({ served: false, why });
    if (explicit) throw new WeftError(why, { code: errorCode(error), cause: error });
    const { level, message } = pageLine({ served: false, why }, false);
    logger[level]({}, message);
    return undefined;
  }
}
