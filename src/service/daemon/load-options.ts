/**
 * The daemon's options as they are now: the configuration file, read and judged, under the command line. Read at the
 * start and at each SIGHUP.
 */
import { errorText, WeftError } from '../../base/index.ts';
import { parseConfigFile } from './config-file.ts';
import { EMPTY_FILE, mergeOptions, type CommandLineOptions, type DaemonOptions } from './options.ts';
import { readTrustedFile } from './trusted-file.ts';

const CONFIG_FILE = '/etc/mptcpd/mptcpd.conf';

export interface ConfigPath {
  readonly path: string;
  /** Somebody named it, so it has to be there. */
  readonly named: boolean;
}

/** mptcpd's file, unless the environment variable WEFT_MPTCPD_CONF names another. Pure. */
export function configPath(env: Readonly<Record<string, string | undefined>>): ConfigPath {
  const own = env['WEFT_MPTCPD_CONF'];
  return own === undefined || own === '' ? { path: CONFIG_FILE, named: false } : { path: own, named: true };
}

/** The configuration cannot be used; `lines` say everything that is wrong, each with file and line. */
export class ConfigError extends WeftError {
  readonly lines: readonly string[];

  constructor(lines: readonly string[], cause?: unknown) {
    super(lines.join('; '), { code: 'CONFIG', ...(cause === undefined ? {} : { cause }) });
    this.lines = lines;
  }
}

function readText({ named, path }: ConfigPath): string | undefined {
  let text: string | undefined;
  try {
    text = readTrustedFile(path);
  } catch (error) {
    const why = error instanceof WeftError ? error.message : `"${path}" cannot be read: ${errorText(error)}`;
    throw new ConfigError([why], error);
  }
  if (text === undefined && named) throw new ConfigError([`"${path}" cannot be read: there is no such file`]);
  return text;
}

/** @throws ConfigError */
export function loadOptions(config: ConfigPath, commandLine: CommandLineOptions): DaemonOptions {
  const text = readText(config);
  if (text === undefined) return mergeOptions(commandLine, EMPTY_FILE);
  const file = parseConfigFile(text);
  if ('options' in file) return mergeOptions(commandLine, file.options);
  throw new ConfigError(file.problems.map((item) => `${config.path} line ${item.line}: ${item.text}`));
}
