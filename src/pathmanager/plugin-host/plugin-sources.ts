/**
 * Which plugins are to be loaded: shipped ones by their name, files of the plugin folder by theirs. A file of the
 * same name as a shipped plugin takes its place, as administrators expect of a folder that is theirs.
 */
import type { Logger } from '../../base/index.ts';
import type { Plugin } from '../plugin-api.ts';
import { StartError, unknownPlugin } from '../start-error.ts';
import { DEFAULT_SHIPPED_PLUGINS, SHIPPED_PLUGINS } from '../shipped-plugins.ts';
import { listPluginFiles, type PluginFile } from './plugin-files.ts';
import type { PluginSource } from './plugin-host.ts';

export interface SourceOptions {
  readonly pluginDirectory?: string;
  readonly loadPlugins?: readonly string[];
  readonly plugins?: readonly Plugin[];
  /** The default plugin's name. */
  readonly chosen?: string;
  readonly logger: Logger;
}

function filesOf({ pluginDirectory, logger }: SourceOptions): readonly PluginFile[] {
  if (pluginDirectory === undefined) return [];
  const { files, refused } = listPluginFiles(pluginDirectory);
  for (const { path, why } of refused) logger.error({ path }, `plugin file "${path}" is left out: ${why}`);
  return files;
}

/**
 * @throws StartError PLUGIN_FOLDER; NO_PLUGIN when a name is nobody's
 */
export function findPluginSources(options: SourceOptions): PluginSource[] {
  const files = filesOf(options);
  const sources: PluginSource[] = [];
  const { chosen } = options;
  const names = options.loadPlugins ?? [
    ...DEFAULT_SHIPPED_PLUGINS,
    ...files.map((file) => file.name).filter((name) => !DEFAULT_SHIPPED_PLUGINS.includes(name)),
    // Without a list, a shipped plugin is loaded by being chosen.
    ...(chosen !== undefined && SHIPPED_PLUGINS.has(chosen) ? [chosen] : []),
  ];
  for (const name of new Set(names)) {
    const file = files.find((candidate) => candidate.name === name);
    const shipped = SHIPPED_PLUGINS.get(name);
    if (file !== undefined) sources.push({ kind: 'file', file });
    else if (shipped !== undefined) sources.push({ kind: 'shipped', make: shipped });
    else {
      const known = [...SHIPPED_PLUGINS.keys(), ...files.map((candidate) => candidate.name)];
      throw new StartError('NO_PLUGIN', [unknownPlugin('load-plugins', name, known)]);
    }
  }
  for (const plugin of options.plugins ?? []) sources.push({ kind: 'shipped', make: () => plugin });
  return sources;
}
