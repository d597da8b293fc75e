/** Quantities as short as columns want them, and what a reading looks like in a cell (pure). */
import { formatBytes, formatBitsPerSecond, formatDurationMs } from '../../base/index.ts';
import type { ObservedEvent, PathState } from '../../service/index.ts';
import type { Style } from './line.ts';

/** `94.3M`: bits per second, or bytes */
const short = (text: string) => text.replace(/ ([kMGT]?).*$/, '$1');

export const shortRate = (bitsPerSecond: number | undefined): string =>
  bitsPerSecond === undefined ? '' : short(formatBitsPerSecond(bitsPerSecond));

export const shortBytes = (bytes: number | undefined): string =>
  bytes === undefined ? '' : short(formatBytes(bytes));

/** `12.4ms`, `350us`: without the blank, and in ASCII */
export const shortTime = (us: number | undefined): string =>
  us === undefined
    ? ''
    : formatDurationMs(us / 1000)
        .replace(' ', '')
        .replace('µ', 'u');

/** `45s`, `3m`, `5h`, `12d` */
export function shortAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 100) return `${seconds}s`;
  if (seconds < 6000) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 360_000) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** `0.3%` */
export function shortShare(share: number | undefined): string {
  if (share === undefined) return '';
  const percent = share * 100;
  return `${percent >= 9.95 || percent === 0 ? percent.toFixed(0) : percent.toFixed(1)}%`;
}

const STATE_STYLES: Readonly<Record<PathState, Style>> = {
  active: 'green',
  backup: 'cyan',
  waiting: 'yellow',
  stale: 'red',
  down: 'red',
};

export const stateStyle = (state: PathState): Style => STATE_STYLES[state];

const two = (value: number) => String(value).padStart(2, '0');

/** `12:01:05`, of this machine's time zone. */
export function clockTime(ms: number): string {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Bad news stand out. */
export function eventStyle({ event, kind }: ObservedEvent): Style {
  if (kind === 'path') return event === 'active' ? 'green' : /down|stale/.test(event) ? 'red' : 'yellow';
  return kind === 'action' ? 'cyan' : 'plain';
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;
