/**
 * The path-management daemon's status as text for people (pure): the answer first, then the tables that show why.
 */
import { formatDurationMs, printable } from '../base/index.ts';
import { EndpointFlag, type Endpoint } from '../mptcp/index.ts';
import type { InterfaceChange } from '../pathmanager/index.ts';
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
  { title: 'address' },
  { title: 'state' },
];

/** In the order of ip-mptcp(8). */
const FLAG_ORDER = ['signal', 'subflow', 'backup', 'fullmesh', 'implicit', 'laminar'] as const;

const flagWords = (flags: number) =>
  FLAG_ORDER.filter((name) => (flags & EndpointFlag[name]) !== 0).join(' ') || 'no flags';

/** Of an address that is announced: its endpoint; otherwise why it is not. */
function addressState({ endpoint, verdict }: Address, endpoints: readonly Endpoint[]): string {
  if (endpoint === undefined) return verdict;
  const { id, state, why } = endpoint;
  const known = endpoints.find((candidate) => candidate.id === id);
  const words = known === undefined ? state : `id ${known.id}: ${flagWords(known.flags)}`;
  return [words, state === 'foreign' ? "another program's" : '', why ?? '']
    .filter((part) => part !== '')
    .join(', ');
}

function interfaceRows({ addresses, kind, name }: Interface, endpoints: readonly Endpoint[]): string[][] {
  const title = kind === undefined ? name : `${name} (${kind})`;
  if (addresses.length === 0) return [[title, '', 'has no address']];
  return addresses.map((address, i) => [
    i === 0 ? title : '',
    `${address.address}/${address.prefixLength}`,
    addressState(address, endpoints),
  ]);
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

/** What `weft daemon set` did, as one line. */
export function formatInterfaceChange({
  backup,
  endpoints,
  interface: name,
  subflows,
}: InterfaceChange): string {
  const list = endpoints.map(({ address, id }) => `${address} (id ${id})`);
  const parts = [
    ...(list.length === 0 ? [] : [`${list.length === 1 ? 'endpoint' : 'endpoints'} ${list.join(', ')}`]),
    ...(subflows === 0 ? [] : [`${plural(subflows, 'subflow')} under the userspace path manager`]),
  ];
  const done = parts.length === 0 ? 'it has no endpoint or subflow now' : parts.join('; ');
  return `${printable(name)} is ${backup ? 'backup' : 'normal'}: ${done}\n`;
}
