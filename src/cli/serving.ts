/** Commands of `weft` that serve in the foreground: their log, and the exit code that they end the process with. */
import { errorText, type Logger } from '../base/index.ts';
import { openLog, wantsColor } from '../service/index.ts';
import { FAILURE } from './service-life.ts';

export interface ServeLogOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/**
 * Runs a command that serves until it is ended, with its log, and ends the process.
 * @param serve resolves with the exit code; what it throws is logged
 */
export async function runServing<Options extends ServeLogOptions>(
  options: Options,
  serve: (options: Options, logger: Logger) => Promise<number>,
): Promise<never> {
  const { json = false, verbose = false } = options;
  const logger = await openLog({ json, verbose, color: wantsColor(process.stderr.isTTY, process.env) });
  let code = FAILURE;
  try {
    code = await serve(options, logger);
  } catch (error) {
    logger.error(verbose ? { err: error } : {}, errorText(error));
  }
  return process.exit(code);
}
