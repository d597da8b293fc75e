/**
 * One chart: a uPlot with our look, the marks, a cursor that the keyboard moves too, and a line of words below. What is
 * drawn comes ready from charts.ts; nothing here knows of Weft's data.
 */
import uPlot from 'uplot';
import { h, setText } from '../dom.ts';
import { formatClock } from '../format.ts';
import { drawMarks, type DrawnMark } from './marks.ts';
import type { Palette } from './palette.ts';

export interface PlotLine {
  readonly id: string;
  /** Of the palette. */
  readonly color: number;
  readonly dash: readonly number[];
  /** Below it the plane is filled. */
  readonly filled: boolean;
  readonly values: readonly (number | null)[];
}

export interface PlotData {
  /** Milliseconds since 1970. */
  readonly times: readonly number[];
  readonly lines: readonly PlotLine[];
  readonly marks: readonly DrawnMark[];
  readonly fromMs: number;
  readonly untilMs: number;
  /** What is known at a moment, given by its index: a text for each path. */
  readonly read: (index: number) => readonly string[];
  /** One sentence, shown while no cursor is in the chart. */
  readonly summary: string;
}

export interface PlotOptions {
  readonly title: string;
  readonly unit: string;
  readonly formatAxis: (value: number) => string;
  /** The axis reaches this far at least. */
  readonly atLeast: number;
  readonly palette: Palette;
}

const HEIGHT_PX = 190;
const SYNC_KEY = 'weft';

/** Nothing where there is no room for it before the edge. */
function clockLabel(plot: uPlot, timeMs: number, stepMs: number): string {
  const text = formatClock(timeMs);
  const label = stepMs % 60_000 === 0 ? text.slice(0, 5) : text;
  return plot.valToPos(timeMs, 'x') > plot.over.clientWidth - 3 * label.length ? '' : label;
}

export class Plot {
  readonly root: HTMLElement;
  readonly #options: PlotOptions;
  readonly #canvas: HTMLElement;
  readonly #words: HTMLElement;
  #plot: uPlot | undefined;
  #data: PlotData | undefined;
  /** What the lines are, without their values: a change needs another uPlot. */
  #shape = '';
  #width = 0;
  /** Moment that the keyboard reads. */
  #pinnedMs: number | undefined;

  constructor(options: PlotOptions) {
    this.#options = options;
    this.#canvas = h('div', {
      class: 'plot',
      tabindex: 0,
      role: 'group',
      'aria-label': `${options.title}, a chart. Left and right arrow keys read its values.`,
    });
    this.#words = h('p', { class: 'plot-words small quiet' });
    this.root = h(
      'figure',
      { class: 'chart' },
      h(
        'figcaption',
        {},
        h('h3', {}, options.title, h('span', { class: 'quiet small' }, ` ${options.unit}`)),
      ),
      this.#canvas,
      this.#words,
    );
    this.#canvas.addEventListener('keydown', (event) => this.#key(event));
    this.#canvas.addEventListener('blur', () => this.#leave());
    new ResizeObserver(([entry]) => {
      this.#width = Math.floor(entry?.contentRect.width ?? 0);
      if (this.#plot && this.#width > 0) this.#plot.setSize({ width: this.#width, height: HEIGHT_PX });
      else this.#draw();
    }).observe(this.#canvas);
  }

  show(data: PlotData): void {
    this.#data = data;
    this.#draw();
  }

  /** The colours have changed. */
  repaint(): void {
    this.#plot?.redraw(false, true);
  }

  #draw(): void {
    const data = this.#data;
    if (data === undefined || this.#width === 0) return;
    const shape = JSON.stringify(data.lines.map(({ id, color, dash, filled }) => [id, color, dash, filled]));
    // Its types want arrays that may be written; it writes none.
    const columns = [data.times, ...data.lines.map((line) => line.values)] as unknown as uPlot.AlignedData;
    if (this.#plot === undefined || shape !== this.#shape) {
      this.#plot?.destroy();
      this.#shape = shape;
      this.#plot = new uPlot(this.#uplotOptions(data.lines), columns, this.#canvas);
    } else {
      this.#plot.setData(columns);
    }
    if (this.#pinnedMs !== undefined) this.#placePinned();
    this.#cursorMoved();
  }

  #uplotOptions(lines: readonly PlotLine[]): uPlot.Options {
    const { palette, formatAxis, atLeast } = this.#options;
    const axis = (): uPlot.Axis => ({
      stroke: () => palette.text,
      font: palette.font,
      grid: { stroke: () => palette.grid, width: 1 },
      ticks: { show: false },
    });
    return {
      width: this.#width,
      height: HEIGHT_PX,
      ms: 1,
      padding: [12, 8, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { size: 6 },
        sync: { key: SYNC_KEY, scales: ['x', null] },
      },
      // What is filled covers the grid, so the grid comes after it.
      drawOrder: ['series', 'axes'] as unknown as uPlot.DrawOrderKey[],
      scales: {
        x: { time: true, range: () => [this.#data?.fromMs ?? 0, this.#data?.untilMs ?? 1] },
        y: {
          range: (_plot, min, max) => {
            const [low, high] = [Math.min(0, min), Math.max(0, max)];
            const most = Math.max(high, atLeast) * 1.08;
            return [low < 0 ? Math.min(low * 1.08, -atLeast) : 0, most];
          },
        },
      },
      axes: [
        {
          ...axis(),
          size: 26,
          gap: 4,
          space: 56,
          values: (plot, splits, _axis, _space, stepMs) =>
            splits.map((split) => clockLabel(plot, split, stepMs)),
        },
        {
          ...axis(),
          size: 52,
          gap: 6,
          space: 34,
          values: (_plot, splits) => splits.map((split) => formatAxis(split)),
        },
      ],
      series: [
        {},
        ...lines.map((line): uPlot.Series => ({
          stroke: () => palette.paths[line.color] ?? palette.text,
          width: line.filled ? 1.25 : 1.75,
          points: { show: false },
          ...(line.filled && { fill: () => palette.areas[line.color] ?? palette.grid }),
          ...(line.dash.length > 0 && { dash: [...line.dash] }),
        })),
      ],
      hooks: {
        draw: [(plot) => drawMarks(plot, this.#data?.marks ?? [], palette)],
        setLegend: [() => this.#cursorMoved()],
      },
    };
  }

  #cursorMoved(): void {
    const [index, data] = [this.#plot?.cursor.idx, this.#data];
    if (data === undefined) return;
    const time = typeof index === 'number' ? data.times[index] : undefined;
    if (typeof index !== 'number' || time === undefined) {
      setText(this.#words, data.summary);
      return;
    }
    const known = data.read(index);
    setText(this.#words, `${formatClock(time)}: ${known.length === 0 ? 'not known' : known.join(', ')}`);
  }

  #key(event: KeyboardEvent): void {
    const [plot, data] = [this.#plot, this.#data];
    if (event.key === 'Escape') this.#leave();
    if (plot === undefined || data === undefined || data.times.length === 0) return;
    const last = data.times.length - 1;
    const at = plot.cursor.idx ?? last;
    const target = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      PageUp: at - 10,
      PageDown: at + 10,
      Home: data.times.findIndex((time) => time >= data.fromMs),
      End: last,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    // Read aloud only to who asks for it by keys; a pointer that passes tells nobody.
    this.#words.setAttribute('aria-live', 'polite');
    this.#pinnedMs = data.times[Math.max(0, Math.min(last, target))];
    this.#placePinned(true);
  }

  /** The moment that keys have chosen stays chosen while the window moves on. */
  #placePinned(withOthers = false): void {
    const [plot, pinned, data] = [this.#plot, this.#pinnedMs, this.#data];
    if (plot === undefined || pinned === undefined || data === undefined) return;
    if (pinned < data.fromMs) {
      this.#leave();
      return;
    }
    const plots = withOthers ? uPlot.sync(SYNC_KEY).plots : [plot];
    for (const each of plots) each.setCursor({ left: each.valToPos(pinned, 'x'), top: 0 });
  }

  #leave(): void {
    if (this.#pinnedMs === undefined) return;
    this.#pinnedMs = undefined;
    this.#words.removeAttribute('aria-live');
    for (const plot of uPlot.sync(SYNC_KEY).plots) plot.setCursor({ left: -10, top: -10 });
  }
}
