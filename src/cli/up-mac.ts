/**
 * `weft up` on a Mac, where the appliance is the only backend and its own proxy is the one that programs use. The same
 * life as elsewhere (up-run.ts). Not tried on a Mac yet: docs/appliance.md.
 */
import { errorText, WeftError } from '../base/index.ts';
import { ImageStore, MacWeft, openLog, Readiness, wantsColor } from '../service/index.ts';
import { greeting } from './greeting.ts';
import { UpLife } from './up-life.ts';
import type { UpOptions } from './up-options.ts';
import { packageVersion } from './version.ts';

const DEFAULT_PORT = 13_128;

const unsupported = (what: string) =>
  new WeftError(`${what} is not possible on ${process.platform}`, {
    code: 'UNSUPPORTED',
    hint: 'what "weft up" can do here: docs/appliance.md',
  });

/** @throws WeftError UNSUPPORTED, NO_IMAGE, EPERM: what a Mac cannot give */
function makeWeft(options: UpOptions, life: UpLife, logger: Awaited<ReturnType<typeof openLog>>): MacWeft {
  const { allowRemote, backend, listen = [], multipath, rules, transparent, upstream } = options;
  if (backend === 'native') throw unsupported('the backend "native"');
  if (transparent === true) throw unsupported('--transparent');
  if (rules !== undefined) throw unsupported('--rules');
  if (upstream !== undefined) throw unsupported('--upstream');
  if (allowRemote === true) throw unsupported('--allow-remote');
  if (!multipath) throw unsupported('--no-multipath');
  if (Array.isArray(options.web)) throw unsupported('--web');
  const [first, ...more] = listen.filter(({ address }) => address !== '::1');
  if (more.length > 0 || (first !== undefined && first.address !== '127.0.0.1')) {
    throw unsupported('another address than 127.0.0.1');
  }
  if (process.getuid?.() !== 0) {
    throw new WeftError('bridged network cards need root on macOS (EPERM)', {
      code: 'EPERM',
      hint: 'sudo weft up',
    });
  }
  const image = new ImageStore().current();
  if (image?.manifest.kernel === undefined) {
    throw new WeftError('there is no image of the appliance', {
      code: 'NO_IMAGE',
      hint: 'build one on Linux for this kind of processor, then: weft appliance import FILE',
    });
  }
  return new MacWeft({
    version: packageVersion(),
    image,
    port: first?.port ?? DEFAULT_PORT,
    wanted: options.interface ?? [],
    exclude: options.exclude ?? [],
    logger,
    onStopRequest: () => life.handleStopRequest(),
  });
}

/** Runs until it is ended, and ends the process. */
export async function runUpOnMac(options: UpOptions): Promise<never> {
  const readiness = Readiness.take();
  const { json = false, verbose = false } = options;
  const file = readiness?.logFile;
  const color = file === undefined && wantsColor(process.stderr.isTTY, process.env);
  const logger = await openLog({ json, verbose, color, ...(file === undefined ? {} : { file }) });
  const life = new UpLife(logger);
  let weft: MacWeft;
  try {
    weft = makeWeft(options, life, logger);
    life.handleSignals();
    logger.info({}, `Weft ${packageVersion()}`);
    await weft.start();
  } catch (error) {
    logger.error(verbose ? { err: error } : {}, errorText(error));
    await readiness?.failed(error);
    return process.exit(1);
  }
  const lines = greeting(await weft.status(), { background: readiness !== undefined });
  for (const { level, message } of lines) logger[level]({}, message);
  readiness?.ready();
  const reason = await life.ended;
  logger.info({}, 'stopping');
  const stopped = await life.stopInTime(() => weft.end(), true);
  if (stopped) logger.info({}, 'stopped; this machine is as it was');
  return process.exit(stopped && reason.kind !== 'error' ? 0 : 1);
}
