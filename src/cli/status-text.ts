/**
 * A status report as text for people (pure): the answer first, then the tables that show why.
 */
import { formatBytes, formatDurationMs, formatSocketAddress } from '../base/index.ts';
import type { ConnectionReport, PathReport, StatusReport, SubflowReport } from '../service/index.ts';
import {
  applianceSentence,
  backendSentence,
  endToEndSentences,
  mappingTable,
  policySentences,
} from './status-backend-text.ts';
import { paragraph, table, type Column } from './text-layout.ts';

const PATH_COLUMNS: readonly Column[] = [
  { title: 'link' },
  { title: 'address' },
  { title: 'gateway' },
  { title: 'state' },
  { title: 'id', align: 'right' },
  { title: 'table', align: 'right' },
];

function pathRow(path: PathReport): string[] {
  return [
    path.link,
    path.address,
    path.gateway ?? '',
    path.backup ? `${path.state}, backup` : path.state,
    path.endpointId === undefined ? '' : String(path.endpointId),
    path.table === undefined ? '' : String(path.table),
  ];
}

const SUBFLOW_COLUMNS: readonly Column[] = [
  { title: 'link' },
  { title: 'from' },
  { title: 'to' },
  { title: 'rtt', align: 'right' },
  { title: 'up', align: 'right' },
  { title: 'down', align: 'right' },
  { title: 'state' },
];

const bytesOf = (bytes: number | undefined) => (bytes === undefined ? '' : formatBytes(bytes));

const remoteOf = (subflow: SubflowReport) => formatSocketAddress(subflow.remoteAddress, subflow.remotePort);

/** @param told the address that the line above names, which is that of nearly every subflow */
function subflowRow(subflow: SubflowReport, told: string): string[] {
  const state = subflow.state === 'established' ? '' : subflow.state;
  return [
    subflow.link ?? '?',
    formatSocketAddress(subflow.localAddress, subflow.localPort),
    remoteOf(subflow) === told ? '' : remoteOf(subflow),
    subflow.rttUs === undefined || subflow.rttUs === 0 ? '' : formatDurationMs(subflow.rttUs / 1000),
    bytesOf(subflow.bytesSent),
    bytesOf(subflow.bytesReceived),
    [state, subflow.backup ? 'backup' : ''].filter((part) => part !== '').join(', '),
  ];
}

function connectionLine(connection: ConnectionReport): string {
  const { id, target, remote, protocol, subflows, fallbackReason } = connection;
  const count = subflows.length;
  const how =
    protocol === 'mptcp'
      ? `MPTCP, ${count} subflow${count === 1 ? '' : 's'}`
      : `TCP${fallbackReason === undefined ? '' : `, because ${fallbackReason}`}`;
  const numbers = `up ${formatBytes(connection.bytesUp)}, down ${formatBytes(connection.bytesDown)}, for ${formatDurationMs(connection.openForMs)}`;
  const to = remote === target ? '' : ` at ${remote}`;
  return `#${id} ${target}${to}: ${how}; ${numbers}`;
}

const indent = (text: string, by: string) =>
  text
    .split('\n')
    .map((line) => by + line)
    .join('\n');

function connectionBlock(connection: ConnectionReport, width: number): string {
  const head = paragraph(connectionLine(connection), width, '  ', '    ');
  if (connection.subflows.length === 0) return head;
  const rows = connection.subflows.map((subflow) => subflowRow(subflow, connection.remote));
  return `${head}\n${indent(table(SUBFLOW_COLUMNS, rows, width - 4), '    ')}`;
}

/** `connectionsOpen` as `connections open`. */
const counterWords = (name: string) =>
  name.replaceAll(/[A-Z]+/g, (letters) => ` ${letters.toLowerCase()}`).replaceAll('_', ' ');

/** BOUNDED: the newest; --json has more. */
const CONNECTIONS_IN_TEXT = 50;

function transparentWords({ transparent }: StatusReport['proxy']): string[] {
  if (transparent === undefined) return [];
  const { fromLinks, rejectQuic } = transparent;
  const others = fromLinks.length === 0 ? '' : ` and of those behind ${fromLinks.join(', ')}`;
  return [`transparent: all TCP of this machine's programs${others}${rejectQuic ? ', HTTP/3 refused' : ''}`];
}

function proxyLine({ proxy }: StatusReport): string {
  const counters = Object.entries(proxy.counters).flatMap(([name, value]) =>
    typeof value !== 'number' || value === 0
      ? []
      : `${counterWords(name)} ${/bytes/i.test(name) ? formatBytes(value) : value}`,
  );
  const who = proxy.allowRemote ? 'for everybody who reaches it' : 'for this machine';
  const alive = proxy.alive === false ? ['it does not answer'] : [];
  const first = `Proxy ${proxy.addresses.join(', ')}, ${who}`;
  return [first, ...alive, ...transparentWords(proxy), ...counters].join('; ');
}

function section(title: string, body: string): string {
  return `${title}\n${body}`;
}

export function formatStatus(report: StatusReport, width: number): string {
  const { paths, ignoredLinks, endpoints, limits, connections, connectionsOmitted } = report;
  const blocks: string[] = [];
  blocks.push(report.multipath.explanation.map((sentence) => paragraph(sentence, width)).join('\n'));
  blocks.push(
    paths.length === 0
      ? 'No usable path.'
      : section('Paths', indent(table(PATH_COLUMNS, paths.map(pathRow), width - 2), '  ')),
  );
  const mapping = report.appliance === undefined ? undefined : mappingTable(report.appliance, width - 2);
  if (mapping !== undefined) blocks.push(section('Links into the appliance', indent(mapping, '  ')));
  const notes: string[] = [backendSentence(report), ...endToEndSentences(report)];
  if (report.appliance !== undefined) notes.push(applianceSentence(report.appliance));
  const others = endpoints.filter(({ ours }) => !ours);
  if (others.length > 0) {
    const list = others.map(
      ({ id, address, flags }) => `${address} (id ${id}, ${flags.join(' ') || 'no flags'})`,
    );
    notes.push(`Endpoints of others: ${list.join(', ')}.`);
  }
  if (limits !== undefined) {
    notes.push(
      `Limits: ${limits.subflows} subflow${limits.subflows === 1 ? '' : 's'} beside the first, ${limits.addAddrAccepted} announced address${limits.addAddrAccepted === 1 ? '' : 'es'} accepted.`,
    );
  }
  const ignored = ignoredLinks.filter(({ why }) => why !== 'loopback');
  if (ignored.length > 0)
    notes.push(`Left out: ${ignored.map(({ link, why }) => `${link} (${why})`).join(', ')}.`);
  notes.push(`${proxyLine(report)}.`, ...policySentences(report));
  blocks.push(notes.map((note) => paragraph(note, width, '', '  ')).join('\n'));
  if (connections.length > 0) {
    const shown = connections.slice(-CONNECTIONS_IN_TEXT);
    const rest = connectionsOmitted + connections.length - shown.length;
    const more = rest > 0 ? `\n  and ${rest} older ones` : '';
    const list = shown.map((connection) => connectionBlock(connection, width)).join('\n');
    blocks.push(section('Connections', list + more));
  }
  blocks.push(
    `Weft ${report.version}, process ${report.pid}, running for ${formatDurationMs(report.upForMs)}.`,
  );
  return `${blocks.join('\n\n')}\n`;
}
