/** The charts in words: axis labels, what a cursor reads, and one sentence each for who does not see them. Pure. */
import { formatBitsPerSecond, formatRate, formatUs } from '../format.ts';
import type { ChartSeries, Quantity } from './series.ts';

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

/** `2.6/s` */
export const formatPerSecond = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)}/s`;

/** The link, and its address where the link alone would not tell which path. */
export function pathNames({ paths }: ChartSeries): string[] {
  const count = new Map<string, number>();
  for (const { link } of paths) count.set(link, (count.get(link) ?? 0) + 1);
  return paths.map(({ address, link }) => (count.get(link) === 1 ? link : `${link} ${address}`));
}

function shares(series: ChartSeries, quantity: Quantity): string {
  const names = pathNames(series);
  const moved = series.paths.map((path, index) => ({
    name: names[index]!,
    sum: path.values[quantity].reduce<number>((sum, value) => sum + (value ?? 0), 0),
  }));
  const all = moved.reduce((sum, path) => sum + path.sum, 0);
  if (all === 0) return '';
  const words = moved
    .filter((path) => path.sum / all >= 0.005)
    .toSorted((a, b) => b.sum - a.sum)
    .slice(0, 4)
    .map((path) => `${path.name} ${Math.round((path.sum / all) * 100)} %`);
  return ` Over that time: ${words.join(', ')}.`;
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
  const names = pathNames(series);
  const words = series.paths.flatMap((path, index) => {
    const now = lastKnown(path.values.rttUs);
    const known = path.values.rttUs.filter((value) => value !== null);
    if (now === undefined || known.length === 0) return [];
    return [
      `${names[index]} ${formatUs(now)} (${formatUs(Math.min(...known))} to ${formatUs(Math.max(...known))})`,
    ];
  });
  if (words.length === 0) return 'No round-trip time is known now.';
  return `Now, and the range of the last ${windowWords(series.windowMs)}: ${words.slice(0, 4).join(', ')}.`;
}

export function retransmissionSummary(series: ChartSeries): string {
  const sums = totals(series, 'retransmissions');
  if (sums.length === 0) return 'Nothing is known yet.';
  const most = Math.max(...sums);
  if (most === 0) return `No segment was sent again in the last ${windowWords(series.windowMs)}.`;
  return `${formatPerSecond(sums.at(-1) ?? 0)} now, at most ${formatPerSecond(most)}.${shares(series, 'retransmissions')}`;
}
