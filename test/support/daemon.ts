/** PathDaemon as tests start it: silent, in a namespace, with what it says kept. */
import type { Logger } from '../../src/base/index.ts';
import { OWNS_NOTHING, PathDaemon, type PathDaemonOptions } from '../../src/pathmanager/index.ts';

/** A logger whose lines are `LEVEL TEXT`. */
export function keepingLogger(lines: string[]): Logger {
  const keep = (level: string) => (_fields: unknown, message: string) =>
    void lines.push(`${level} ${message}`);
  return { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };
}

/** Made and started; the caller stops it. */
export async function startPathDaemon(
  lines: string[],
  options: Partial<PathDaemonOptions> = {},
): Promise<PathDaemon> {
  const daemon = new PathDaemon({
    logger: keepingLogger(lines),
    addressFlags: 0,
    notify: { existing: true, skipLinkLocal: true, skipLoopback: true, checkRoute: false },
    rules: [],
    pluginSettings: new Map(),
    journal: { load: () => OWNS_NOTHING, save: () => {} },
    keepEndpoints: false,
    ...options,
  });
  await daemon.start();
  return daemon;
}
