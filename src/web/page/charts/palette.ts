/** The colours of page.css as a canvas needs them: read from the document, once for each theme. */
import { h } from '../dom.ts';
import { PATH_COLORS } from '../path-marks.ts';
import type { PathState } from '../../../service/observe/model.ts';

const STATES: readonly PathState[] = ['active', 'backup', 'waiting', 'stale', 'down'];

export class Palette {
  text = '';
  grid = '';
  /** Lines, by `PathMark.color`. */
  paths: readonly string[] = [];
  /** What is below them: opaque, so that one drawn later covers one drawn before. */
  areas: readonly string[] = [];
  states: Readonly<Record<PathState, string>> = { active: '', backup: '', waiting: '', stale: '', down: '' };
  readonly font = '11px system-ui, sans-serif';

  /** Variables hold expressions; only an element that uses them has the colour. */
  read(): void {
    const probe = h('span', { hidden: true });
    document.body.append(probe);
    const resolve = (expression: string) => {
      probe.style.color = expression;
      return getComputedStyle(probe).color;
    };
    this.text = resolve('var(--text-quiet)');
    this.grid = resolve('color-mix(in srgb, var(--line-strong) 28%, transparent)');
    const numbers = Array.from({ length: PATH_COLORS }, (_, number) => number);
    this.paths = numbers.map((number) => resolve(`var(--path-${number})`));
    this.areas = numbers.map((number) =>
      resolve(`color-mix(in srgb, var(--path-${number}) 45%, var(--surface))`),
    );
    const [active, backup, waiting, stale, down] = STATES.map((state) => resolve(`var(--${state})`));
    this.states = { active: active!, backup: backup!, waiting: waiting!, stale: stale!, down: down! };
    probe.remove();
  }
}
