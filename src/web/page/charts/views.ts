/** From values to what each of the three charts draws. Pure. */
import { PathMarks } from '../path-marks.ts';
import { bridge, stack, type ChartPath, type ChartSeries, type Quantity } from './series.ts';
import { rateSummary, retransmissionSummary, rttSummary } from './words.ts';
import type { DrawnMark } from './marks.ts';
import type { PlotData, PlotLine } from './plot.ts';

export const RATE_MODES = ['received', 'sent', 'both'] as const;
export type RateMode = (typeof RATE_MODES)[number];

const labelOf = (path: ChartPath) => `${path.link} ${path.address}`;

/** As the charts name the mark: a v4 and a v6 address of one link that go down together are one line. */
function drawnMarks(series: ChartSeries): DrawnMark[] {
  const drawn: DrawnMark[] = [];
  for (const { time, state, text } of series.marks) {
    const twin = drawn.some((mark) => mark.text === text && Math.abs(mark.timeMs - time) < 1500);
    if (!twin) drawn.push({ timeMs: time, state, text });
  }
  return drawn;
}

function frame(series: ChartSeries, nowMs: number): Pick<PlotData, 'times' | 'marks' | 'fromMs' | 'untilMs'> {
  return { times: series.times, marks: drawnMarks(series), fromMs: nowMs - series.windowMs, untilMs: nowMs };
}

function stackedLines(
  series: ChartSeries,
  quantity: Quantity,
  marks: PathMarks,
  sign: 1 | -1,
  suffix = '',
): PlotLine[] {
  const values = series.paths.map((path) => bridge(series.times, path.values[quantity], series.stepMs));
  const lines = stack(values, sign).map((column, index): PlotLine => {
    const path = series.paths[index]!;
    return {
      id: `${path.id}${suffix}`,
      label: `${labelOf(path)}${suffix}`,
      color: marks.of(path.id).color,
      dash: [],
      filled: true,
      values: column,
      read: values[index]!,
    };
  });
  // The highest first: each that follows covers the part below it.
  return lines.reverse();
}

/** `both`: what is received above the axis, what is sent below. */
export function rateView(series: ChartSeries, mode: RateMode, marks: PathMarks, nowMs: number): PlotData {
  const lines =
    mode === 'both'
      ? [
          ...stackedLines(series, 'received', marks, 1, ' ↓'),
          ...stackedLines(series, 'sent', marks, -1, ' ↑'),
        ]
      : stackedLines(series, mode, marks, 1);
  const summary =
    mode === 'both'
      ? `${rateSummary(series, 'received')} ${rateSummary(series, 'sent')}`
      : rateSummary(series, mode);
  return { ...frame(series, nowMs), lines, summary };
}

export function rttView(series: ChartSeries, marks: PathMarks, nowMs: number): PlotData {
  const lines = series.paths.map((path): PlotLine => ({
    id: path.id,
    label: labelOf(path),
    ...marks.of(path.id),
    filled: false,
    values: bridge(series.times, path.values.rttUs, series.stepMs),
  }));
  return { ...frame(series, nowMs), lines, summary: rttSummary(series) };
}

export function retransmissionView(series: ChartSeries, marks: PathMarks, nowMs: number): PlotData {
  return {
    ...frame(series, nowMs),
    lines: stackedLines(series, 'retransmissions', marks, 1),
    summary: retransmissionSummary(series),
  };
}
