/** The charts in words: axis labels, what a cursor reads, and one sentence each for who does not see them. Pure. */
import { formatBitsPerSecond, formatRate, formatUs } from '../format.ts';
import type { ChartPath, ChartSeries, Quantity } from './series.ts';

/** `40 M`, `500 k`, `0`: for axes, whose heading says the unit. Below zero stands what is sent, so no sign. */
export function formatAxis(value: number): string {
  const size = Math.abs(value);
  const [prefix, scale] =
    size >= 1e9
      ? (['G', 1e9] as const)
      : size >= 1e6
        ? (['M', 1e6] as const)
        : size >= 1e3
          ? (['k', 1e3] as const)
          : (['', 1] as const);
  const text = String(Math.round((size / scale) * 100) / 100);
  return prefix === '' ? text : `${text} ${prefix}`;
}

/** `5 minutes`, `hour` */
export function windowWords(windowMs: number): string {
  const minutes = Math.round(windowMs / 60_000);
  if (minutes === 60) return 'hour';
  return minutes === 1 ? 'minute' : `${minutes} minutes`;
}

const lastKnown = (values: readonly (number | null)[]) => values.at(-1) ?? undefined;

function totals(series: ChartSeries, quantity: Quantity): number[] {
  return series.times.map((_, at) =>
    series.paths.reduce((sum, path) => sum + (path.values[quantity][at] ?? 0), 0),
  );
}

const nameOf = (path: ChartPath) => `${path.link} ${path.address}`;

function shares(series: ChartSeries, quantity: Quantity): string {
  const moved = series.paths.map((path) => ({
    name: nameOf(path),
    sum: path.values[quantity].reduce<number>((sum, value) => sum + (value ?? 0), 0),
  }));
  const all = moved.reduce((sum, path) => sum + path.sum, 0);
  if (all === 0) return '';
  const words = moved
    .filter((path) => path.sum / all >= 0.005)
    .toSorted((a, b) => b.sum - a.sum)
    .slice(0, 4)
    .map((path) => `${path.name} ${Math.round((path.sum / all) * 100)} %`);
  return ` Of it: ${words.join(', ')}.`;
}

export function rateSummary(series: ChartSeries, quantity: 'received' | 'sent'): string {
  const doing = quantity === 'received' ? 'Receiving' : 'Sending';
  const sums = totals(series, quantity);
  if (sums.length === 0) return 'Nothing is known yet.';
  const most = Math.max(...sums);
  if (most < 0.5) return `Nothing ${quantity} in the last ${windowWords(series.windowMs)}.`;
  return (
    `${doing} ${formatRate(sums.at(-1))} now, at most ${formatBitsPerSecond(most)} ` +
    `in the last ${windowWords(series.windowMs)}.${shares(series, quantity)}`
  );
}

export function rttSummary(series: ChartSeries): string {
  const words = series.paths.flatMap((path) => {
    const now = lastKnown(path.values.rttUs);
    const known = path.values.rttUs.filter((value) => value !== null);
    if (now === undefined || known.length === 0) return [];
    return [
      `${nameOf(path)} ${formatUs(now)} (${formatUs(Math.min(...known))} to ${formatUs(Math.max(...known))})`,
    ];
  });
  if (words.length === 0) return 'No round-trip time is known now.';
  return `Now, and the range of the last ${windowWords(series.windowMs)}: ${words.slice(0, 4).join(', ')}.`;
}

const perSecond = (value: number) =>
  `${value < 10 ? value.toFixed(1) : String(Math.round(value))} per second`;

export function retransmissionSummary(series: ChartSeries): string {
  const sums = totals(series, 'retransmissions');
  if (sums.length === 0) return 'Nothing is known yet.';
  const most = Math.max(...sums);
  if (most === 0) return `No segment was sent again in the last ${windowWords(series.windowMs)}.`;
  return `${perSecond(sums.at(-1) ?? 0)} now, at most ${perSecond(most)}.${shares(series, 'retransmissions')}`;
}
