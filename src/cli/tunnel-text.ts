/**
 * Tunnels as text for people (pure): the reports of `weft tunnel status`, and the events as lines of the log.
 */
import { formatBitsPerSecond, formatBytes, formatDurationMs, printable } from '../base/index.ts';
import type { TunnelReport } from '../service/index.ts';
import type { TunnelConnectionStatus, TunnelEvent, TunnelPathStatus } from '../tunnel/index.ts';
import { paragraph, table, type Column } from './text-layout.ts';

const plural = (count: number, word: string, words = `${word}s`) => `${count} ${count === 1 ? word : words}`;
const indent = (text: string) => text.replaceAll(/^/gm, '  ');

/** Codes of MPT, as words. */
const STATES: ReadonlyMap<number, string> = new Map([
  [0x00, 'up'],
  [0x80, 'down'],
  [0x81, 'link down'],
  [0x82, 'no address'],
  [0x83, 'set down'],
  [0xff, 'disabled'],
]);

const stateWord = (status: number): string => STATES.get(status) ?? `status ${status}`;

const PATH_COLUMNS: readonly Column[] = [
  { title: 'path' },
  { title: 'from' },
  { title: 'to' },
  { title: 'state' },
  { title: 'weight', align: 'right' },
  { title: 'mtu', align: 'right' },
];

const MEASURE_COLUMNS: readonly Column[] = [
  { title: 'path' },
  { title: 'rtt', align: 'right' },
  { title: 'jitter', align: 'right' },
  { title: 'loss', align: 'right' },
  { title: 'sent', align: 'right' },
  { title: 'received', align: 'right' },
  { title: 'dead after', align: 'right' },
];

const timeText = (us: number | undefined) => (us === undefined ? '' : formatDurationMs(us / 1000));
const lossText = (ratio: number | undefined) =>
  ratio === undefined ? '' : `${(ratio * 100).toFixed(ratio > 0 && ratio < 0.1 ? 1 : 0)} %`;

function pathState({ isLinkUp, isUsable, lacks, status }: TunnelPathStatus): string {
  const word = stateWord(status);
  if (word === 'link down' && lacks !== undefined) return `no ${lacks}`;
  if (word === 'up' && !isUsable) return isLinkUp ? 'not usable' : 'link down';
  return word;
}

const pathName = ({ interfaceName }: TunnelPathStatus, index: number): string => `${index} ${interfaceName}`;

function pathRow(path: TunnelPathStatus, index: number): string[] {
  const { mtu, privateAddress, publicAddress, remoteAddress, weightOut } = path;
  const own = publicAddress === privateAddress ? '' : ` (${publicAddress})`;
  return [
    pathName(path, index),
    `${privateAddress}${own}`,
    remoteAddress,
    pathState(path),
    String(weightOut),
    String(mtu),
  ];
}

function measureRow(path: TunnelPathStatus, index: number): string[] {
  return [
    pathName(path, index),
    timeText(path.rttUs),
    timeText(path.jitterUs),
    lossText(path.lossRatio),
    formatBitsPerSecond(path.sentBps),
    formatBitsPerSecond(path.receivedBps),
    path.deadMs === 0 ? 'never' : formatDurationMs(path.deadMs),
  ];
}

/** What only is told when it happened. */
function countNotes(counts: readonly (readonly [number, string])[]): string {
  const told = counts.filter(([count]) => count > 0).map(([count, word]) => `${word} ${count}`);
  return told.length === 0 ? '' : `Counted: ${told.join(', ')}.`;
}

function connectionNotes(connection: TunnelConnectionStatus): string[] {
  const { paths, receivedBytes, receivedPackets, sentBytes, sentPackets } = connection;
  const sum = (of: (path: TunnelPathStatus) => number) => paths.reduce((total, path) => total + of(path), 0);
  const notes = [
    `Sent ${plural(sentPackets, 'packet')} (${formatBytes(sentBytes)}), received ${receivedPackets} (${formatBytes(receivedBytes)}).`,
    countNotes([
      [connection.noPath, 'without a usable path'],
      [connection.tooBig, 'too long'],
      [sum((path) => path.sendDropped), 'not taken by the kernel'],
      [connection.late, 'late'],
      [connection.duplicate, 'duplicate'],
      [connection.copies, 'copies'],
      [connection.missing, 'missing'],
      [connection.waiting, 'waiting for order'],
      [connection.restarts, 'restarts of the peer'],
      [sum((path) => path.strangers), 'from strangers'],
      [sum((path) => path.malformed), 'malformed'],
    ]),
  ];
  return notes.filter((note) => note !== '');
}

const AUTHENTICATION = ['none', 'token', 'SHA-256'] as const;

function formatConnection(connection: TunnelConnectionStatus, width: number): string {
  const { file, localAddress, name, networks, paths, remoteAddress, reorderWindow } = connection;
  const usable = paths.filter((path) => path.isUsable).length;
  const isWeft = paths.some((path) => path.isWeft);
  const order =
    reorderWindow === 0
      ? 'no reordering'
      : `reordering ${reorderWindow} packets, ${connection.maxDelayMs} ms`;
  const head = `${name} (${file}${connection.origin === 'peer' ? ', created by the peer' : ''}): ${localAddress} to ${remoteAddress}${isWeft ? ', which is Weft too' : ''}; ${usable} of ${plural(paths.length, 'path')} usable; scheduler ${connection.scheduler}, ${order}, authentication ${AUTHENTICATION[connection.authType]}, packets up to ${connection.innerMtu} bytes.`;
  const sites = networks.map(({ destination, source }) => `${source} to ${destination}`);
  const lines = [
    paragraph(head, width),
    ...(paths.length === 0
      ? []
      : [
          indent(table(PATH_COLUMNS, paths.map(pathRow), width - 2)),
          indent(table(MEASURE_COLUMNS, paths.map(measureRow), width - 2)),
        ]),
    ...(sites.length === 0 ? [] : [paragraph(`Networks: ${sites.join(', ')}.`, width, '  ', '  ')]),
    ...connectionNotes(connection).map((note) => paragraph(note, width, '  ', '  ')),
  ];
  return lines.join('\n');
}

function formatReport(report: TunnelReport, width: number): string {
  const { connections, control, folder, pid, totals, tunnel, upForMs, version } = report;
  const addresses = [tunnel.ipv4, tunnel.ipv6].filter((address) => address !== undefined).join(', ');
  const head = `${tunnel.interfaceName}: ${addresses || 'no address'}, mtu ${tunnel.mtu}, command port ${tunnel.commandPort}${tunnel.acceptRemote ? ', peers may create connections' : ''}; ${plural(connections.length, 'connection')}.`;
  const drops = Object.values(control.drops).reduce((sum, count) => sum + count, 0);
  const notes = [
    ...tunnel.troubles,
    countNotes([
      [totals.noConnection, 'packets that belong to no connection'],
      [totals.malformed, 'packets that are no IP'],
      [totals.tunWriteErrors, 'packets that the tunnel device refused'],
      [drops, 'control messages dropped'],
    ]),
    `Configuration "${folder}". Weft ${version}, process ${pid}, running for ${formatDurationMs(upForMs)}.`,
  ].filter((note) => note !== '');
  return [
    paragraph(head, width),
    ...connections.map((connection) => formatConnection(connection, width)),
    notes.map((note) => paragraph(note, width)).join('\n'),
  ].join('\n\n');
}

export function formatTunnelReports(reports: readonly TunnelReport[], width: number): string {
  return `${reports.map((report) => formatReport(report, width)).join('\n\n')}\n`;
}

export interface EventLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly text: string;
}

function reloadText(event: Extract<TunnelEvent, { readonly kind: 'reload' }>): EventLine {
  if (!event.ok) return { level: 'error', text: `reload: nothing was changed: ${event.errors.join('; ')}` };
  const parts = (['added', 'changed', 'removed'] as const)
    .filter((what) => event[what].length > 0)
    .map((what) => `${what} ${event[what].join(', ')}`);
  return { level: 'info', text: `reload: ${parts.join('; ') || 'nothing has changed'}` };
}

/** An event of the engine as one line of the log. */
export function formatTunnelEvent(event: TunnelEvent): EventLine {
  const line = describe(event);
  return { level: line.level, text: printable(line.text) };
}

function describe(event: TunnelEvent): EventLine {
  switch (event.kind) {
    case 'path-status':
      return {
        level: event.isUsable ? 'info' : 'warn',
        text: `${event.name}: path ${event.path} is ${stateWord(event.status)}, was ${stateWord(event.before)}`,
      };
    case 'connection':
      return {
        level: 'info',
        text: `${event.name}: ${event.action}${event.origin === 'peer' ? ' by the peer' : ''} (${event.file})`,
      };
    case 'exchange': {
      const way = event.direction === 'in' ? 'from' : 'to';
      const level = event.code === 0 ? 'debug' : 'warn';
      return { level, text: `${event.command} ${way} ${event.peer}: ${event.text} (code ${event.code})` };
    }
    case 'peer':
      return { level: 'info', text: `${event.name}: path ${event.path}: ${event.text}` };
    case 'address':
      return {
        level: 'info',
        text: `${event.name}: path ${event.path} has the address ${event.privateAddress}, public ${event.publicAddress}`,
      };
    case 'mtu': {
      const what = event.path === undefined ? 'the tunnel' : `${event.file ?? ''} path ${event.path}`;
      return { level: 'info', text: `${what} carries packets up to ${event.mtu} bytes` };
    }
    case 'reload':
      return reloadText(event);
    case 'trouble':
      return { level: 'warn', text: event.text };
    default:
      return { level: 'error', text: event.text };
  }
}
