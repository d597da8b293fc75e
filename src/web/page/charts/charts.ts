/**
 * The charts: rate, round-trip time and retransmissions of each path over the last minutes. Weft's history fills them,
 * each look continues them, and the history is asked for again when looks were missed, when a path broke, and now and
 * then. Only the legend is kept true while the charts are not on the screen.
 */
import { button, h, KeyedList, perFrame, setAttribute } from '../dom.ts';
import { Palette } from './palette.ts';
import { Plot } from './plot.ts';
import { ChartSeries, type ChartPath } from './series.ts';
import { RATE_MODES, rateView, retransmissionView, rttView, type RateMode } from './views.ts';
import { formatAxis } from './words.ts';
import type { PageContext } from '../context.ts';

const MINUTES = [1, 5, 60] as const;
/** Steps of the page's own are not exactly those of the history, so it is put right once a while. */
const RELOAD_MS = 120_000;
const RELOAD_AFTER_MARK_MS = 3000;
const RETRY_MS = 5000;

const MODE_LABELS: Readonly<Record<RateMode, string>> = { received: 'Received', sent: 'Sent', both: 'Both' };

/** Buttons of which one is pressed. */
function choice<Name extends string | number>(
  label: string,
  names: readonly Name[],
  text: (name: Name) => string,
  chosen: Name,
  choose: (name: Name) => void,
): HTMLElement {
  const group = h('div', { class: 'segmented', role: 'group', 'aria-label': label });
  const buttons = names.map((name) =>
    button(
      text(name),
      () => {
        for (const [index, element] of buttons.entries()) {
          element.setAttribute('aria-pressed', String(names[index] === name));
        }
        choose(name);
      },
      { 'aria-pressed': name === chosen },
    ),
  );
  group.append(...buttons);
  return group;
}

class Charts {
  readonly #context: PageContext;
  readonly #palette = new Palette();
  readonly #series = new ChartSeries(5 * 60_000);
  readonly #rate: Plot;
  readonly #rtt: Plot;
  readonly #retransmissions: Plot;
  readonly #legend: KeyedList<ChartPath, HTMLElement>;
  readonly #draw = perFrame(() => this.#show());
  #minutes: (typeof MINUTES)[number] = 5;
  #mode: RateMode = 'both';
  #onScreen = false;
  #reloadTimer = 0;
  /** Counts what was asked for, so that an answer to an older question is not shown. */
  #asked = 0;

  constructor(root: HTMLElement, context: PageContext) {
    this.#context = context;
    const palette = this.#palette;
    palette.read();
    const common = { palette, formatAxis };
    this.#rate = new Plot({
      ...common,
      title: 'Rate',
      unit: 'bit/s, stacked',
      atLeast: 1000,
    });
    this.#rtt = new Plot({
      ...common,
      title: 'Round-trip time',
      unit: 'ms',
      formatAxis: (us) => formatAxis(us / 1000),
      atLeast: 1000,
    });
    this.#retransmissions = new Plot({
      ...common,
      title: 'Retransmissions',
      unit: 'segments/s, stacked',
      atLeast: 1,
    });
    const legend = h('ul', { class: 'chart-legend small', 'aria-label': 'Colours of the paths' });
    this.#legend = new KeyedList(legend, {
      key: ({ id }) => id,
      create: (path) => this.#legendItem(path),
      update: (element, { id }) => setAttribute(element, 'data-state', this.#series.stateOf(id) ?? 'gone'),
    });
    root.append(
      h('div', { class: 'charts-grid' }, this.#rate.root, this.#rtt.root, this.#retransmissions.root),
      legend,
    );
    root.parentElement?.querySelector('.card-head')?.append(this.#controls());
  }

  #legendItem({ id, link, address }: ChartPath): HTMLElement {
    const { store, marks } = this.#context;
    const element = h(
      'li',
      { 'data-path': id },
      h('span', { class: `swatch path-${marks.of(id).color}` }),
      `${link} `,
      h('span', { class: 'mono quiet' }, address),
    );
    element.addEventListener('pointerenter', () => store.pointedPath.set(id));
    element.addEventListener('pointerleave', () => store.pointedPath.set(undefined));
    return element;
  }

  #controls(): HTMLElement {
    return h(
      'div',
      { class: 'chart-controls' },
      choice(
        'Which rate',
        RATE_MODES,
        (mode) => MODE_LABELS[mode],
        this.#mode,
        (mode) => {
          this.#mode = mode;
          this.#draw();
        },
      ),
      choice(
        'How far back',
        MINUTES,
        (minutes) => `${minutes} min`,
        this.#minutes,
        (minutes) => {
          this.#minutes = minutes;
          void this.#reload();
        },
      ),
    );
  }

  /** Lives as long as the page. */
  start(root: HTMLElement): void {
    const { store } = this.#context;
    store.overview.watch((overview) => {
      if (overview === undefined) return;
      if (this.#series.append(overview)) this.#reloadIn(RELOAD_AFTER_MARK_MS);
      this.#draw();
    });
    store.connection.watch((state) => {
      if (state === 'connected') void this.#reload();
      else window.clearTimeout(this.#reloadTimer);
    });
    store.theme.watch(() => {
      this.#palette.read();
      for (const plot of [this.#rate, this.#rtt, this.#retransmissions]) plot.repaint();
    });
    new IntersectionObserver(
      ([entry]) => {
        this.#onScreen = entry?.isIntersecting ?? false;
        if (this.#onScreen) this.#draw();
      },
      { rootMargin: '100px' },
    ).observe(root);
  }

  #reloadIn(delayMs: number): void {
    window.clearTimeout(this.#reloadTimer);
    this.#reloadTimer = window.setTimeout(() => void this.#reload(), delayMs);
  }

  async #reload(): Promise<void> {
    const number = ++this.#asked;
    const minutes = this.#minutes;
    window.clearTimeout(this.#reloadTimer);
    const history = await this.#context.api.history({ minutes }).catch(() => undefined);
    if (number !== this.#asked) return;
    if (history !== undefined) {
      this.#series.load(history, minutes * 60_000);
      this.#draw();
    }
    if (this.#context.store.connection.value === 'connected') {
      this.#reloadIn(history === undefined ? RETRY_MS : RELOAD_MS);
    }
  }

  #show(): void {
    const { marks, store } = this.#context;
    const nowMs = Math.max(store.overview.value?.time ?? 0, this.#series.times.at(-1) ?? 0);
    if (nowMs === 0) return;
    this.#legend.show(this.#series.paths);
    if (!this.#onScreen) return;
    this.#rate.show(rateView(this.#series, this.#mode, marks, nowMs));
    this.#rtt.show(rttView(this.#series, marks, nowMs));
    this.#retransmissions.show(retransmissionView(this.#series, marks, nowMs));
  }
}

export function mountCharts(root: HTMLElement, context: PageContext): void {
  new Charts(root, context).start(root);
}
