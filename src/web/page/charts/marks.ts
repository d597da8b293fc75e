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
/** Words further away from their line than this would belong to another. */
const LABEL_SHIFT_PX = 48;

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
    // Left of its line, or a little further left where another stands.
    const end = Math.min(Math.max(x, bbox.left + width), free);
    if (end - width < bbox.left || x - end > LABEL_SHIFT_PX * ratio) continue;
    ctx.fillText(mark.text, end - 4 * ratio, bbox.top + 2 * ratio);
    free = end - width;
  }
  ctx.restore();
}
