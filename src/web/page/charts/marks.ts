/** Moments as vertical lines on a chart: a path went down, or came back. */
import type uPlot from 'uplot';
import type { PathState } from '../../../service/observe/model.ts';
import type { Palette } from './palette.ts';

export interface DrawnMark {
  readonly timeMs: number;
  readonly state: PathState;
  readonly text: string;
}

/** BOUNDED: more lines than this say nothing any more; the newest are drawn. */
const DRAWN_MAX = 40;

export function drawMarks(plot: uPlot, marks: readonly DrawnMark[], palette: Palette): void {
  const { ctx, bbox } = plot;
  const ratio = window.devicePixelRatio;
  const right = bbox.left + bbox.width;
  let free = right;
  ctx.save();
  ctx.font = palette.font.replace(/^[\d.]+/, (size) => String(Number(size) * ratio));
  ctx.textAlign = 'right';
  ctx.textBaseline = 'top';
  ctx.lineWidth = ratio;
  // From the newest, so that when there is no room it is an old one that stays without words.
  for (const mark of marks.toSorted((a, b) => b.timeMs - a.timeMs).slice(0, DRAWN_MAX)) {
    const x = Math.round(plot.valToPos(mark.timeMs, 'x', true));
    if (x < bbox.left || x > right) continue;
    ctx.strokeStyle = palette.states[mark.state];
    ctx.fillStyle = palette.states[mark.state];
    ctx.setLineDash(mark.state === 'down' || mark.state === 'stale' ? [4 * ratio, 3 * ratio] : []);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const width = ctx.measureText(mark.text).width + 6 * ratio;
    const start = Math.max(x, bbox.left + width);
    if (start > free) continue;
    ctx.fillText(mark.text, start - 4 * ratio, bbox.top + 2 * ratio);
    free = start - width;
  }
  ctx.restore();
}
