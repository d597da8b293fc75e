/** One connection in detail, as lines of `weft top` (pure). */
import { formatBitsPerSecond, formatBytes, formatDurationMs, formatSocketAddress } from '../../base/index.ts';
import type { ConnectionDetail } from '../../service/index.ts';
import { fit, foreign, type Line, type Look } from './line.ts';
import type { Followed } from './state.ts';
import { programOf, remoteOf, subflowRows } from './tables.ts';
import { clockTime } from './words.ts';

const NAME_CELLS = 12;

type Fact = readonly [name: string, value: string | undefined];

const isKnown = (fact: Fact): fact is readonly [string, string] => fact[1] !== undefined && fact[1] !== '';

function subflowsText({ protocol, subflowCount, subflowsMax }: ConnectionDetail): string | undefined {
  if (protocol !== 'mptcp') return undefined;
  const limit = subflowsMax === undefined ? '' : `; ${subflowsMax} beside the first are allowed`;
  return `${subflowCount}${limit}`;
}

function addressesText(detail: ConnectionDetail): string | undefined {
  const { addressesAccepted, addressesAcceptedMax, addressesAnnounced } = detail;
  if (addressesAccepted === undefined && addressesAnnounced === undefined) return undefined;
  const accepted =
    addressesAccepted === undefined
      ? []
      : [
          `${addressesAccepted} of the other end accepted${addressesAcceptedMax === undefined ? '' : ` of ${addressesAcceptedMax} allowed`}`,
        ];
  const announced = addressesAnnounced === undefined ? [] : [`${addressesAnnounced} announced`];
  return [...accepted, ...announced].join(', ');
}

function facts(detail: ConnectionDetail): readonly Fact[] {
  const { localAddress, localPort, remoteAddress, remotePort } = detail;
  const program = programOf(detail);
  const pid = detail.pid === undefined ? '' : ` (process ${detail.pid})`;
  const rates = `down ${formatBitsPerSecond(detail.receivedBitsPerSecond)}, up ${formatBitsPerSecond(detail.sentBitsPerSecond)}`;
  const bytes = `down ${formatBytes(detail.receivedBytes)}, up ${formatBytes(detail.sentBytes)}`;
  return [
    ['program', program === '' ? undefined : `${program}${pid}`],
    ['client', detail.client],
    ['target', detail.target],
    [
      'addresses',
      `${formatSocketAddress(localAddress, localPort)} to ${formatSocketAddress(remoteAddress, remotePort)}`,
    ],
    ['protocol', detail.fallbackReason === undefined ? detail.protocol : `tcp: ${detail.fallbackReason}`],
    ['state', detail.state],
    ['rates', rates],
    ['bytes', bytes],
    ['open for', formatDurationMs(detail.openForMs)],
    ['subflows', subflowsText(detail)],
    ['announced', addressesText(detail)],
    [
      'joins',
      detail.denyJoinId0 === true ? 'the other end forbids them to its first address (C flag)' : undefined,
    ],
  ];
}

export function connectionLines({ detail, endedAtMs, id }: Followed, look: Look): Line[] {
  const { unicode, width } = look;
  const head: Line = [
    [`connection ${id}`, 'bold'],
    [detail === undefined ? '' : `  ${foreign(remoteOf(detail), unicode)}`],
  ];
  const ended: Line[] =
    endedAtMs === undefined
      ? []
      : [[[`it has ended, before ${clockTime(endedAtMs)}; this was known last`, 'yellow']]];
  if (detail === undefined)
    return [head, ...(endedAtMs === undefined ? [[['asking', 'dim'] as const]] : ended)];
  const lines = facts(detail)
    .filter(isKnown)
    .map(([name, value]): Line => [
      [`  ${name.padEnd(NAME_CELLS)}`, 'dim'],
      [fit(foreign(value, unicode), width - NAME_CELLS - 2, unicode)],
    ]);
  const { rows, title } = subflowRows(detail.subflows, look);
  const table = rows.length === 0 ? [] : [[], title, ...rows.flat()];
  return [head, ...ended, ...lines, ...table];
}
