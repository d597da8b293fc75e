/**
 * The folder `conf` as one configuration (pure): interface.conf, connections/conf.template and connections/*.conf.
 *
 * Invariant: all or nothing. With one error anywhere there is no configuration, and all errors are told at once.
 */
import { unmapV4 } from '../../base/index.ts';
import {
  parseConnectionConfig,
  type ConnectionPurpose,
  type ConnectionReading,
} from './connection-config.ts';
import { INTERFACE_FILE, parseInterfaceConfig, tunnelAddress } from './interface-config.ts';
import type { ConfigIssue } from './issue.ts';
import {
  COMMAND_PORTS,
  type ConnectionConfig,
  type ConnectionFile,
  type InterfaceConfig,
  type PathConfig,
  type TunnelConfig,
} from './model.ts';
import { unspecified } from './section-reader.ts';

export const CONNECTIONS_FOLDER = 'connections';
export const TEMPLATE_FILE = 'conf.template';
export const CONNECTION_SUFFIX = '.conf';

/** The texts of a folder. */
export interface TunnelFolder {
  /** Absent: there is no such file. */
  readonly interfaceText?: string;
  /** The files of `connections` by name; those that end in neither name are passed over, as the original does. */
  readonly files: ReadonlyMap<string, string>;
}

export interface TunnelReading {
  readonly config?: TunnelConfig;
  readonly errors: readonly ConfigIssue[];
  readonly warnings: readonly ConfigIssue[];
}

export interface ConnectionFileReading {
  readonly connection?: ConnectionConfig;
  readonly errors: readonly ConfigIssue[];
  readonly warnings: readonly ConfigIssue[];
}

/** What interface.conf decides for a connection. */
function adopt(
  reading: ConnectionReading & { readonly connection: ConnectionConfig },
  file: string,
  purpose: ConnectionPurpose,
  link: InterfaceConfig,
): ConnectionFileReading {
  const { connection } = reading;
  const errors: ConfigIssue[] = [];
  const warnings: ConfigIssue[] = [];
  const commandPort = link.commandPort ?? COMMAND_PORTS.server;
  if (reading.saysLocalCommandPort && connection.localCommandPort !== commandPort) {
    warnings.push({ file, text: `local_cmd_port is taken from ${INTERFACE_FILE} (${commandPort})` });
  }
  const own = tunnelAddress(link, connection.ipVersion);
  const said = connection.localAddress;
  const saysNothing = said === unspecified(connection.ipVersion);
  let localAddress = own ?? said;
  if (own === undefined && purpose === 'connection') {
    const key = connection.ipVersion === 6 ? 'ipv6_addr' : 'ipv4_addr';
    errors.push({ file, text: `ip_ver = ${connection.ipVersion}, but ${key} of ${INTERFACE_FILE} is none` });
  } else if (own !== undefined && own !== said && !saysNothing) {
    if (connection.ipVersion === 6) {
      localAddress = said;
      warnings.push({
        file,
        text: `ip_local = "${said}" is not the tunnel's address of ${INTERFACE_FILE}, ${own}`,
      });
    } else warnings.push({ file, text: `ip_local is taken from ${INTERFACE_FILE} (${own})` });
  }
  if (localAddress === connection.remoteAddress && purpose === 'connection') {
    errors.push({ file, text: `ip_remote = "${localAddress}" is this side's own tunnel address` });
  }
  return { connection: { ...connection, localAddress, localCommandPort: commandPort }, errors, warnings };
}

/** Reads one file of `connections`, as it stands beside the given interface.conf. */
export function readConnectionFile(
  name: string,
  text: string,
  link: InterfaceConfig,
  purpose: ConnectionPurpose = 'connection',
): ConnectionFileReading {
  const file = `${CONNECTIONS_FOLDER}/${name}`;
  const reading = parseConnectionConfig(text, file, purpose);
  if (reading.connection === undefined) return reading;
  const adopted = adopt({ ...reading, connection: reading.connection }, file, purpose, link);
  const { connection, errors } = adopted;
  return {
    ...(errors.length === 0 && connection && { connection }),
    errors,
    warnings: [...reading.warnings, ...adopted.warnings],
  };
}

/** What a path's socket is bound to. */
function boundTo({ interfaceName, ipVersion, privateAddress }: PathConfig): string {
  return privateAddress === unspecified(ipVersion)
    ? `IPv${ipVersion} of ${interfaceName}`
    : unmapV4(privateAddress);
}

/** Two connections between the same tunnel addresses, and two that need one socket. */
export function findClashes(connections: readonly ConnectionFile[]): readonly ConfigIssue[] {
  const errors: ConfigIssue[] = [];
  const pairs = new Map<string, string>();
  const sockets = new Map<string, string>();
  for (const { file: name, connection } of connections) {
    const file = `${CONNECTIONS_FOLDER}/${name}`;
    const pair = `${connection.localAddress} to ${connection.remoteAddress}`;
    const other = pairs.get(pair);
    if (other === undefined) pairs.set(pair, name);
    else errors.push({ file, text: `the connection from ${pair} stands in ${other} already` });
    if (connection.localPort === 0) continue;
    const mine = new Set(connection.paths.map((path) => `${boundTo(path)} port ${connection.localPort}`));
    for (const socket of mine) {
      const holder = sockets.get(socket);
      if (holder === undefined) sockets.set(socket, name);
      else {
        const text = `local_port = ${connection.localPort}: ${socket} is taken by ${holder}; give each its own port`;
        errors.push({ file, text });
      }
    }
  }
  return errors;
}

const MISSING = 'the file is missing';

/** Reads everything, and gives either the configuration or all its errors. */
export function readTunnelFolder(folder: TunnelFolder): TunnelReading {
  const link =
    folder.interfaceText === undefined
      ? { errors: [{ file: INTERFACE_FILE, text: MISSING }], warnings: [] }
      : parseInterfaceConfig(folder.interfaceText);
  const errors: ConfigIssue[] = [...link.errors];
  const warnings: ConfigIssue[] = [...link.warnings];
  const connections: ConnectionFile[] = [];
  let template: ConnectionConfig | undefined;
  const names = [...folder.files.keys()].filter(
    (name) => name === TEMPLATE_FILE || name.endsWith(CONNECTION_SUFFIX),
  );
  if (!names.includes(TEMPLATE_FILE)) {
    errors.push({ file: `${CONNECTIONS_FOLDER}/${TEMPLATE_FILE}`, text: MISSING });
  }
  for (const name of names.sort()) {
    const purpose = name === TEMPLATE_FILE ? 'template' : 'connection';
    const text = folder.files.get(name) ?? '';
    const reading: ConnectionFileReading =
      'config' in link && link.config !== undefined
        ? readConnectionFile(name, text, link.config, purpose)
        : parseConnectionConfig(text, `${CONNECTIONS_FOLDER}/${name}`, purpose);
    errors.push(...reading.errors);
    warnings.push(...reading.warnings);
    if (reading.connection === undefined) continue;
    if (purpose === 'template') template = reading.connection;
    else connections.push({ file: name, connection: reading.connection });
  }
  errors.push(...findClashes(connections));
  const config =
    errors.length === 0 && 'config' in link && link.config !== undefined && template !== undefined
      ? { interface: link.config, template, connections }
      : undefined;
  return { ...(config && { config }), errors, warnings };
}
