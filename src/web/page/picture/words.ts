/** What the picture says in words: on its lines, in its table, to screen readers. Pure. */
import { formatCount, formatRate, formatShare, formatUs } from '../format.ts';
import type { PathState } from '../../../service/observe/model.ts';
import type { Picture, PicturePeer, PictureRow } from './model.ts';

/** For the legend: what each state means. */
export const STATE_MEANINGS: readonly (readonly [PathState, string])[] = [
  ['active', 'data may go there'],
  ['backup', 'used only when no other can'],
  ['waiting', 'not usable yet'],
  ['stale', 'there, but nothing comes through'],
  ['down', 'its link does not carry, or it is gone'],
];

/** Whether anything goes over it now. */
export const moves = (row: PictureRow) => row.sentBitsPerSecond + row.receivedBitsPerSecond >= 0.5;

/** `↓ 43.1 Mbit/s  ↑ 1.2 Mbit/s` */
export function ratesText(row: PictureRow): string {
  if (row.state === 'down') return 'cut off';
  if (!moves(row)) return row.subflows === 0 ? 'not used now' : 'idle';
  return `↓ ${formatRate(row.receivedBitsPerSecond)}  ↑ ${formatRate(row.sentBitsPerSecond)}`;
}

/** `12.4 ms · 0.3 % lost`, or why it is not active. */
export function qualityText(row: PictureRow): string {
  if (row.state === 'down' || row.state === 'waiting' || row.state === 'stale') return row.why ?? row.state;
  const parts: string[] = [];
  if (row.rttUs !== undefined) parts.push(`${formatUs(row.rttUs)} RTT`);
  if (row.lossShare !== undefined) parts.push(`${formatShare(row.lossShare)} lost`);
  return parts.join(' · ');
}

/** All of one way out, for the pointer that rests on it. */
export function rowTitle(row: PictureRow): string {
  const lines = [
    `${row.name === undefined ? '' : `${row.name}: `}${row.link} ${row.address}, ${row.state}`,
    ...(row.why === undefined ? [] : [row.why]),
    ...(row.gateway === undefined ? [] : [`gateway ${row.gateway}`]),
    ...(row.subflows === undefined ? [] : [formatCount(row.subflows, 'subflow')]),
    `receiving ${formatRate(row.receivedBitsPerSecond)}, sending ${formatRate(row.sentBitsPerSecond)}`,
  ];
  if (row.rttUs !== undefined) lines.push(`round-trip time ${formatUs(row.rttUs)}`);
  if (row.lossShare !== undefined) lines.push(`${formatShare(row.lossShare)} of the segments sent again`);
  return lines.join('\n');
}

export function peerDetail(peer: PicturePeer): string {
  if (peer.kind === 'more') return 'not drawn';
  if (peer.kind === 'none') return 'no connection';
  const total = peer.sentBitsPerSecond + peer.receivedBitsPerSecond;
  if (peer.kind === 'tunnel') return total < 0.5 ? 'tunnel' : `${formatRate(total)} · tunnel`;
  // Short, because the boxes are; the whole stands in their titles.
  return total < 0.5
    ? formatCount(peer.connections, 'connection')
    : `${formatRate(total)} · ${peer.connections.toLocaleString('en')} conn.`;
}

/** One sentence for the whole picture. */
export function pictureSummary(picture: Picture): string {
  const { rows } = picture;
  if (rows.length === 0) return `${picture.hostname} has no path.`;
  const states = STATE_MEANINGS.map(
    ([state]) => [state, rows.filter((row) => row.state === state).length] as const,
  )
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`);
  const carrying = rows.filter(moves).map((row) => `${row.link} ${row.address}`);
  const traffic =
    carrying.length === 0
      ? 'Nothing moves now'
      : `${carrying.join(' and ')} ${carrying.length === 1 ? 'carries' : 'carry'} data`;
  return (
    `${picture.hostname} has ${formatCount(rows.length + picture.rowsOmitted, 'path')}: ${states.join(', ')}. ` +
    `${traffic}: receiving ${formatRate(picture.receivedBitsPerSecond)}, sending ${formatRate(picture.sentBitsPerSecond)}.`
  );
}

/** What changed between two pictures, as sentences; empty when nothing did that somebody has to hear of. */
export function changesBetween(before: Picture, after: Picture): string[] {
  const states = new Map(before.rows.map((row) => [row.id, row.state]));
  const told: string[] = [];
  for (const row of after.rows) {
    const was = states.get(row.id);
    if (was === row.state) continue;
    const name = `${row.link} ${row.address}`;
    if (was === undefined) told.push(`New path ${name}, ${row.state}.`);
    else told.push(`${name} is ${row.state}${row.why === undefined ? '' : `: ${row.why}`}.`);
  }
  const now = new Set(after.rows.map((row) => row.id));
  for (const row of before.rows) if (!now.has(row.id)) told.push(`${row.link} ${row.address} is gone.`);
  return told;
}
