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
  parseClientConfig,
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
  const { commandPort = COMMAND_PORTS.client, commandTimeoutS, errors } = parseClientConfig(text);
  const [first] = errors;
  if (first !== undefined) {
    return { ...WITHOUT_FILE, problem: `"${path}" is passed over: ${formatConfigIssue(first)}` };
  }
  return { commandPort, timeoutS: commandTimeoutS };
}
