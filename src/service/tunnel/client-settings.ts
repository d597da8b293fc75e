/**
 * What `interface.conf` says to the `mpt` client: port and patience. A client needs no configuration: without a file,
 * or with one that cannot be read, the client's own defaults hold, as in the original.
 */
import { join } from 'node:path';
import { errorText } from '../../base/index.ts';
import {
  COMMAND_PORTS,
  COMMAND_TIMEOUT_S,
  formatConfigIssue,
  INTERFACE_FILE,
  parseInterfaceConfig,
  type ClientSettings,
} from '../../tunnel/index.ts';
import { readTrustedFile } from '../daemon/trusted-file.ts';

export interface ClientSettingsReading extends ClientSettings {
  /** Why the file does not count, for standard error. */
  readonly problem?: string;
}

const WITHOUT_FILE: ClientSettings = {
  commandPort: COMMAND_PORTS.clientWithoutFile,
  timeoutS: COMMAND_TIMEOUT_S.withoutFile,
};

/** @param folder the folder `conf` */
export function readClientSettings(folder: string): ClientSettingsReading {
  const path = join(folder, INTERFACE_FILE);
  let text: string | undefined;
  try {
    text = readTrustedFile(path, 'mpt');
  } catch (error) {
    return { ...WITHOUT_FILE, problem: `"${path}" is passed over: ${errorText(error)}` };
  }
  if (text === undefined) return WITHOUT_FILE;
  const { config, errors } = parseInterfaceConfig(text);
  if (config === undefined) {
    const [first] = errors;
    const why = first === undefined ? 'malformed' : formatConfigIssue(first);
    return { ...WITHOUT_FILE, problem: `"${path}" is passed over: ${why}` };
  }
  return { commandPort: config.commandPort ?? COMMAND_PORTS.client, timeoutS: config.commandTimeoutS };
}
