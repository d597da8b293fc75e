/**
 * Carries out `weft up` in this process, until something ends it. The same in the foreground and in the background:
 * there the log goes to a file, and the command that started it is told when it is ready.
 */
import { resolve } from 'node:path';
import { errorText, WeftError, type Logger } from '../base/index.ts';
import { platformProblem } from '../native/index.ts';
import { RouteNetlink } from '../netlink/index.ts';
import {
  openLog,
  Readiness,
  wantsColor,
  WeftService,
  type PolicySources,
  type WeftOptions,
} from '../service/index.ts';
import { checkReach } from '../web/index.ts';
import { greeting } from './greeting.ts';
import { DEFAULT_LISTEN } from './listen-address.ts';
import { preferSmallHeap } from './small-heap.ts';
import { UpLife } from './up-life.ts';
import type { UpOptions } from './up-options.ts';
import { WebLife } from './web-life.ts';
import { webWish, type WebWish } from './web-options.ts';
import { packageVersion } from './version.ts';

/** A name that no link has may be a mistake, or a modem that is not plugged in yet. */
function warnOfUnknownLinks(options: UpOptions, logger: Logger): void {
  const named = new Set(
    [options.interface, options.exclude, options.backup, options.transparentFrom].flatMap(
      (names) => names ?? [],
    ),
  );
  if (named.size === 0) return;
  const netlink = RouteNetlink.open();
  const known = new Set(netlink.links().map(({ name }) => name));
  netlink.close();
  for (const name of named) {
    if (!known.has(name)) logger.warn({}, `there is no link "${name}" now; it counts when it appears`);
  }
}

function startFailure(error: unknown): string {
  const text = errorText(error);
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  // The proxy's own error says which address; what to do about it is known here.
  if (code === 'EADDRINUSE' && !text.includes('--web ')) {
    return `${text} — is it Weft ("weft status" tells)? Another port: --listen 127.0.0.1:13129`;
  }
  return text;
}

function openUpLog({ json = false, verbose = false }: UpOptions, file: string | undefined): Promise<Logger> {
  const color = file === undefined && wantsColor(process.stderr.isTTY, process.env);
  return openLog({ json, verbose, color, ...(file === undefined ? {} : { file }) });
}

/** Naming a link asks for transparent mode too. */
function transparentOptions({
  transparent = false,
  transparentFrom = [],
  rejectQuic = false,
}: UpOptions): Pick<WeftOptions, 'transparent'> {
  if (!transparent && transparentFrom.length === 0) {
    if (!rejectQuic) return {};
    throw new WeftError('--reject-quic is a part of transparent mode, which was not asked for', {
      code: 'USAGE',
      hint: 'add --transparent',
    });
  }
  return { transparent: { fromLinks: transparentFrom, rejectQuic } };
}

/** Names are made absolute, because the process in the background is elsewhere. */
function policySources({ rules, upstream, tokenFile }: UpOptions): PolicySources {
  if (tokenFile !== undefined && upstream === undefined) {
    throw new WeftError('--token-file says how to greet a far end, and none was named', {
      code: 'USAGE',
      hint: 'add --upstream weft://HOST:PORT',
    });
  }
  return {
    ...(rules === undefined ? {} : { rulesFile: resolve(rules) }),
    ...(upstream === undefined
      ? {}
      : {
          upstream: { url: upstream, ...(tokenFile === undefined ? {} : { tokenFile: resolve(tokenFile) }) },
        }),
  };
}

/** @throws WeftError `NO_TOKEN_FILE`: what could not be served is told before anything is changed */
function readWebWish(options: UpOptions): WebWish | undefined {
  const wish = webWish({
    ...options,
    ...(options.webTokenFile === undefined ? {} : { webTokenFile: resolve(options.webTokenFile) }),
  });
  if (wish !== undefined) checkReach(wish);
  return wish;
}

function makeService(
  options: UpOptions,
  {
    args,
    life,
    logFile,
    logger,
  }: { args: readonly string[]; life: UpLife; logFile: string | undefined; logger: Logger },
): WeftService {
  return new WeftService({
    version: packageVersion(),
    listen: options.listen ?? DEFAULT_LISTEN,
    allowRemote: options.allowRemote ?? false,
    multipath: options.multipath,
    interfaces: options.interface ?? [],
    exclude: options.exclude ?? [],
    backup: options.backup ?? [],
    backend: options.backend ?? 'auto',
    policy: policySources(options),
    ...transparentOptions(options),
    logger,
    args,
    ...(logFile === undefined ? {} : { logFile }),
    onStopRequest: () => life.handleStopRequest(),
  });
}

/** The page comes after all else, unless its address was named: then a Weft without it has not started. */
async function startBoth(service: WeftService, web: WebLife): Promise<void> {
  await service.start();
  web.attach(service.observation);
  if (!web.isExplicit) return;
  try {
    await web.start();
  } catch (error) {
    await service.end();
    throw error;
  }
}

async function endBoth(service: WeftService, web: WebLife): Promise<void> {
  await Promise.all([service.end(), web.stop()]);
}

/**
 * Runs until it is ended, and ends the process.
 * @param args the command line's options, for the record
 */
export async function runUp(options: UpOptions, args: readonly string[]): Promise<never> {
  const readiness = Readiness.take();
  const logger = await openUpLog(options, readiness?.logFile);
  const life = new UpLife(logger);
  let service: WeftService;
  let web: WebLife;
  try {
    const problem = platformProblem();
    if (problem !== undefined) throw problem;
    const wish = readWebWish(options);
    service = makeService(options, { args, life, logFile: readiness?.logFile, logger });
    const onTerminal = readiness === undefined && options.json !== true && process.stderr.isTTY;
    web = new WebLife({ wish, program: 'up', logger, onTerminal });
  } catch (error) {
    await readiness?.failed(error);
    throw error;
  }
  life.handleSignals(
    () => void service.reload().catch((error: unknown) => logger.warn({}, errorText(error))),
  );
  logger.info({}, `Weft ${packageVersion()}`);
  const started = await Promise.race([
    startBoth(service, web).then(
      () => true as const,
      (error: unknown) => ({ error }),
    ),
    life.ended,
  ]);
  if (started !== true && 'error' in started) {
    const text = startFailure(started.error);
    logger.error(options.verbose === true ? { err: started.error } : {}, text);
    await readiness?.failed(started.error, text);
    return process.exit(1);
  }
  if (started === true) {
    warnOfUnknownLinks(options, logger);
    for (const { level, message } of greeting(await service.status(), {
      background: readiness !== undefined,
    }))
      logger[level]({}, message);
    readiness?.ready();
    preferSmallHeap();
    if (!web.isExplicit) void web.start();
  }
  const reason = await life.ended;
  if (reason.kind === 'signal') logger.info({}, `${reason.signal}: stopping`);
  if (reason.kind === 'asked') logger.info({}, 'asked to stop: stopping');
  const stopped = await life.stopInTime(() => endBoth(service, web), service.hasAppliance);
  if (stopped) logger.info({}, 'stopped; this machine is as it was');
  return process.exit(stopped && reason.kind !== 'error' ? 0 : 1);
}
