/** From values to what each of the three charts draws, and what a cursor reads there. Pure. */
import { formatRate, formatUs } from '../format.ts';
import { bridge, isBroken, stack, type ChartSeries, type Quantity } from './series.ts';
import { formatPerSecond, pathNames, rateSummary, retransmissionSummary, rttSummary } from './words.ts';
import type { PathMarks } from '../path-marks.ts';
import type { DrawnMark } from './marks.ts';
import type { PlotData, PlotLine } from './plot.ts';

export const RATE_MODES = ['received', 'sent', 'both'] as const;
export type RateMode = (typeof RATE_MODES)[number];

type Column = readonly (number | null)[];

/** In few letters; a v4 and a v6 address of one link that go down together are one line. */
function drawnMarks(series: ChartSeries): DrawnMark[] {
  const drawn: DrawnMark[] = [];
  for (const { path, state, time } of series.marks) {
    const text = `${path.slice(0, path.indexOf(' '))} ${isBroken(state) ? state : 'back'}`;
    const twin = drawn.some((mark) => mark.text === text && Math.abs(mark.timeMs - time) < 1500);
    if (!twin) drawn.push({ timeMs: time, state, text });
  }
  return drawn;
}

function frame(series: ChartSeries, nowMs: number): Pick<PlotData, 'times' | 'marks' | 'fromMs' | 'untilMs'> {
  return { times: series.times, marks: drawnMarks(series), fromMs: nowMs - series.windowMs, untilMs: nowMs };
}

const columnsOf = (series: ChartSeries, quantity: Quantity): Column[] =>
  series.paths.map((path) => bridge(series.times, path.values[quantity], series.stepMs));

function stackedLines(
  series: ChartSeries,
  columns: readonly Column[],
  marks: PathMarks,
  sign: 1 | -1 = 1,
): PlotLine[] {
  const lines = stack(columns, sign).map((values, index): PlotLine => {
    const { id } = series.paths[index]!;
    return { id: `${id} ${sign}`, color: marks.of(id).color, dash: [], filled: true, values };
  });
  // The highest first: each that follows covers the part below it.
  return lines.reverse();
}

/** `wlan0 ↓ 3.0 Mbit/s ↑ 100 kbit/s`: of each path that is known at that moment, one text. */
function reader(
  series: ChartSeries,
  parts: readonly (readonly [sign: string, columns: readonly Column[]])[],
  format: (value: number) => string,
): PlotData['read'] {
  const names = pathNames(series);
  return (at) =>
    names.flatMap((name, index) => {
      const words = parts.flatMap(([sign, columns]) => {
        const value = columns[index]?.[at];
        return value === null || value === undefined ? [] : [`${sign}${format(value)}`];
      });
      return words.length === 0 ? [] : [`${name} ${words.join(' ')}`];
    });
}

/** `both`: what is received above the axis, what is sent below. */
export function rateView(series: ChartSeries, mode: RateMode, marks: PathMarks, nowMs: number): PlotData {
  if (mode === 'both') {
    const [received, sent] = [columnsOf(series, 'received'), columnsOf(series, 'sent')];
    return {
      ...frame(series, nowMs),
      lines: [...stackedLines(series, received, marks), ...stackedLines(series, sent, marks, -1)],
      read: reader(
        series,
        [
          ['↓ ', received],
          ['↑ ', sent],
        ],
        formatRate,
      ),
      summary: `${rateSummary(series, 'received')} ${rateSummary(series, 'sent')}`,
    };
  }
  const columns = columnsOf(series, mode);
  return {
    ...frame(series, nowMs),
    lines: stackedLines(series, columns, marks),
    read: reader(series, [['', columns]], formatRate),
    summary: rateSummary(series, mode),
  };
}

export function rttView(series: ChartSeries, marks: PathMarks, nowMs: number): PlotData {
  const columns = columnsOf(series, 'rttUs');
  const lines = series.paths.map(({ id }, index): PlotLine => {
    const { color, dash } = marks.of(id);
    return { id, color, dash, filled: false, values: columns[index]! };
  });
  return {
    ...frame(series, nowMs),
    lines,
    read: reader(series, [['', columns]], formatUs),
    summary: rttSummary(series),
  };
}

export function retransmissionView(series: ChartSeries, marks: PathMarks, nowMs: number): PlotData {
  const columns = columnsOf(series, 'retransmissions');
  return {
    ...frame(series, nowMs),
    lines: stackedLines(series, columns, marks),
    read: reader(series, [['', columns]], formatPerSecond),
    summary: retransmissionSummary(series),
  };
}
