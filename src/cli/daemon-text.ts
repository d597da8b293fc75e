/**
 * The path-management daemon's status as text for people (pure): the answer first, then the tables that show why.
 */
import { formatDurationMs } from '../base/index.ts';
import { EndpointFlag, type Endpoint } from '../mptcp/index.ts';
import type { DaemonReport } from '../service/index.ts';
import { paragraph, table, type Column } from './text-layout.ts';

type Interface = DaemonReport['interfaces'][number];
type Address = Interface['addresses'][number];
type Plugin = DaemonReport['plugins'][number];
type Resync = DaemonReport['recovered'];

const plural = (count: number, word: string, words = `${word}s`) => `${count} ${count === 1 ? word : words}`;

const indent = (text: string) => text.replaceAll(/^/gm, '  ');

function section(
  title: string,
  columns: readonly Column[],
  rows: readonly string[][],
  width: number,
): string {
  return `${title}\n${indent(table(columns, rows, width - 2))}`;
}

function summary({ connections, defaultPlugin, listening, plugins }: DaemonReport): string[] {
  const running = plugins.filter(({ state }) => state === 'running').map(({ name }) => name);
  const first = running.length === 0 ? 'No plugin is running' : `Plugins in use: ${running.join(', ')}`;
  const sentences = [
    `${first}; new connections go to ${defaultPlugin ?? 'none'}. ${plural(connections, 'MPTCP connection')} followed.`,
  ];
  if (!listening) {
    sentences.push(
      'Without CAP_NET_ADMIN the kernel tells it nothing of connections, and takes no endpoints.',
    );
  }
  return sentences;
}

const PLUGIN_COLUMNS: readonly Column[] = [
  { title: 'plugin' },
  { title: 'version' },
  { title: 'priority', align: 'right' },
  { title: 'state' },
  { title: 'callbacks', align: 'right' },
  { title: 'trouble' },
];

function pluginRow({ callbacks, name, priority, reason, state, version }: Plugin): string[] {
  const { delivered, dropped, failed, late } = callbacks;
  const trouble = [
    reason ?? '',
    failed === 0 ? '' : `${failed} failed`,
    late === 0 ? '' : `${late} late`,
    dropped === 0 ? '' : `${dropped} not delivered`,
  ];
  return [
    name,
    version,
    String(priority),
    state,
    String(delivered),
    trouble.filter((part) => part !== '').join('; '),
  ];
}

const INTERFACE_COLUMNS: readonly Column[] = [
  { title: 'interface' },
  { title: 'kind' },
  { title: 'address' },
  { title: 'state' },
  { title: 'endpoint' },
  { title: 'flags' },
];

/** In the order of ip-mptcp(8). */
const FLAG_ORDER = ['signal', 'subflow', 'backup', 'fullmesh', 'implicit', 'laminar'] as const;

const flagWords = (flags: number) =>
  FLAG_ORDER.filter((name) => (flags & EndpointFlag[name]) !== 0).join(' ') || 'no flags';

function endpointCell({ endpoint }: Address): string {
  if (endpoint === undefined) return '';
  const { id, state, why } = endpoint;
  const head = id === undefined ? state : state === 'own' ? `id ${id}` : `id ${id}, of another program`;
  return why === undefined ? head : `${head}: ${why}`;
}

function interfaceRows(
  { addresses, kind = '', name }: Interface,
  endpoints: readonly Endpoint[],
): string[][] {
  if (addresses.length === 0) return [[name, kind, '', 'has no address', '', '']];
  return addresses.map((address, i) => {
    const endpoint = endpoints.find(({ id }) => id === address.endpoint?.id);
    return [
      i === 0 ? name : '',
      i === 0 ? kind : '',
      `${address.address}/${address.prefixLength}`,
      address.verdict,
      endpointCell(address),
      endpoint === undefined ? '' : flagWords(endpoint.flags),
    ];
  });
}

/** Endpoints that no address of the table above stands for. */
function otherEndpoints({ endpoints, interfaces, ownEndpointIds }: DaemonReport): string[] {
  const shown = new Set(interfaces.flatMap(({ addresses }) => addresses.map(({ endpoint }) => endpoint?.id)));
  const others = endpoints.filter(({ id }) => !shown.has(id));
  if (others.length === 0) return [];
  const list = others.map(({ address, flags, id }) => {
    const whose = ownEndpointIds.includes(id) ? '' : ', of another program';
    return `${address} (id ${id}, ${flagWords(flags)}${whose})`;
  });
  return [`Other endpoints: ${list.join(', ')}.`];
}

function resyncWords(report: Resync): string {
  const parts: readonly (readonly [number, string])[] = [
    [report.connectionsOpened, 'opened'],
    [report.connectionsEstablished, 'established'],
    [report.connectionsClosed, 'closed'],
  ];
  const connections = parts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`);
  const subflows = [
    [report.subflowsOpened, 'opened'] as const,
    [report.subflowsClosed, 'closed'] as const,
  ].filter(([count]) => count > 0);
  return [
    ...(connections.length === 0 ? [] : [`connections ${connections.join(', ')}`]),
    ...(subflows.length === 0
      ? []
      : [`subflows ${subflows.map(([count, word]) => `${count} ${word}`).join(', ')}`]),
  ].join('; ');
}

function lossNotes({ adopted, counters, recovered }: DaemonReport): string[] {
  const notes: string[] = [];
  const found = resyncWords(adopted);
  if (found !== '') notes.push(`Found at the start: ${found}.`);
  const overruns = counters.mptcpOverruns + counters.networkOverruns;
  if (overruns > 0) {
    const after = resyncWords(recovered);
    notes.push(
      `The kernel dropped events ${plural(overruns, 'time')}; everything was read anew ${plural(counters.resynchronisations, 'time')}${after === '' ? '' : `, and found: ${after}`}.`,
    );
  }
  return notes;
}

function countNotes({ counters, limits }: DaemonReport): string[] {
  const { dispatched, mptcpEvents, unmatched } = counters;
  const notes = [
    `Events of MPTCP: ${mptcpEvents}; passed to plugins, with those of the network: ${dispatched}.`,
  ];
  if (unmatched > 0) notes.push(`Events of connections that nobody follows: ${unmatched}.`);
  if (limits !== undefined) {
    notes.unshift(
      `Limits: ${plural(limits.subflows, 'subflow')} beside the first, ${plural(limits.addAddrAccepted, 'announced address', 'announced addresses')} accepted.`,
    );
  }
  return notes;
}

export function formatDaemonStatus(report: DaemonReport, width: number): string {
  const { endpoints, interfaces, pid, plugins, upForMs, version } = report;
  const paragraphs = (texts: readonly string[]) =>
    texts.map((text) => paragraph(text, width, '', '  ')).join('\n');
  const blocks = [
    summary(report)
      .map((text) => paragraph(text, width))
      .join('\n'),
  ];
  if (plugins.length > 0) blocks.push(section('Plugins', PLUGIN_COLUMNS, plugins.map(pluginRow), width));
  const rows = interfaces.flatMap((item) => interfaceRows(item, endpoints));
  blocks.push(
    rows.length === 0 ? 'No interface is up.' : section('Interfaces', INTERFACE_COLUMNS, rows, width),
  );
  blocks.push(paragraphs([...otherEndpoints(report), ...countNotes(report), ...lossNotes(report)]));
  blocks.push(`Weft ${version}, process ${pid}, running for ${formatDurationMs(upForMs)}.`);
  return `${blocks.join('\n\n')}\n`;
}
