/**
 * Control of the tunnels' paths: each one up or down, and its weight. Hidden on a host that has no tunnel.
 */
import type { TunnelPathAction } from '../../../service/observe/api.ts';
import type { Overview, TunnelPathReading } from '../../../service/observe/model.ts';
import type { PageContext } from '../context.ts';
import { h, KeyedList, setText } from '../dom.ts';
import { ActionPanel, Switch } from './action.ts';
import { tunnelPathCommand } from './command-lines.ts';
import { PATH_STATE_WORDS } from './connection-words.ts';
import { NumberField } from './fields.ts';
import { Badge } from './parts.ts';

/** Of MPT's own configuration, `weight_out`. */
const WEIGHT_MAX = 10_000;

interface TunnelPath {
  readonly tunnel: string;
  readonly connection: string;
  readonly path: TunnelPathReading;
}

function tunnelPaths({ tunnels }: Overview): TunnelPath[] {
  return tunnels.flatMap(({ tunnel, connections }) =>
    connections.flatMap(({ name, paths }) => paths.map((path) => ({ tunnel, connection: name, path }))),
  );
}

class TunnelPathView {
  readonly element = h('li', { class: 'control-row' });
  readonly #api: PageContext['api'];
  readonly #name: Pick<TunnelPathAction, 'tunnel' | 'connection' | 'path'>;
  readonly #badge = new Badge();
  readonly #addresses = h('span', { class: 'quiet' });
  readonly #why = h('p', { class: 'quiet small' });
  readonly #switch: Switch;
  readonly #weight: NumberField;
  readonly #panel = new ActionPanel();
  #atWeight = false;

  constructor({ tunnel, connection, path }: TunnelPath, { api }: PageContext) {
    this.#api = api;
    this.#name = { tunnel, connection, path: path.name };
    const title = `path ${path.name} of ${connection} in ${tunnel}`;
    this.#switch = new Switch('Up', `${title} is up`, (up) => {
      if (this.#panel.running) this.#switch.want(this.#switch.on);
      else void this.#setUp(up);
    });
    this.#weight = new NumberField('Weight', {
      min: 1,
      max: WEIGHT_MAX,
      required: true,
      description: `Weight of ${title}`,
    });
    this.#weight.onChange(() => {
      this.#panel.clear();
      this.#preview();
    });
    const form = h(
      'form',
      { class: 'weight' },
      this.#weight.element,
      h('button', { type: 'submit', 'aria-label': `Set weight of ${title}` }, 'Set weight'),
    );
    for (const name of ['focusin', 'focusout'] as const) {
      form.addEventListener(name, () => {
        this.#atWeight = name === 'focusin';
        if (!this.#panel.running) this.#preview();
      });
    }
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#setWeight();
    });
    this.element.append(
      h(
        'div',
        { class: 'control-head' },
        h(
          'span',
          { class: 'control-name' },
          h('strong', {}, `${tunnel}, ${connection}, path ${path.name}`),
          this.#addresses,
        ),
        this.#badge.element,
        this.#switch.element,
      ),
      this.#why,
      form,
      this.#panel.element,
    );
  }

  show({ path }: TunnelPath): void {
    const via = path.link === undefined ? '' : `${path.link}: `;
    setText(this.#addresses, `${via}${path.localAddress} → ${path.remoteAddress}`);
    this.#badge.show(PATH_STATE_WORDS[path.state], path.state);
    setText(this.#why, path.why ?? '');
    this.#switch.show(path.state !== 'down');
    this.#weight.show(path.weight);
    if (!this.#panel.running) this.#preview();
  }

  async #setUp(up: boolean): Promise<void> {
    this.#panel.preview(tunnelPathCommand({ ...this.#name, up }));
    this.#switch.want(up);
    const done = await this.#panel.run(() => this.#api.setTunnelPath({ ...this.#name, up }));
    if (!done) this.#switch.want(undefined);
    this.#preview();
  }

  async #setWeight(): Promise<void> {
    const weight = this.#weight.value;
    if (weight === undefined) return;
    const done = await this.#panel.run(() => this.#api.setTunnelPath({ ...this.#name, weight }));
    if (done) this.#weight.settle();
  }

  /** The weight's command while somebody is at it, else that of the switch. */
  #preview(): void {
    const weight = this.#weight.value;
    const isWeight = this.#atWeight || this.#weight.edited;
    const change = isWeight && weight !== undefined ? { weight } : { up: !this.#switch.on };
    this.#panel.preview(tunnelPathCommand({ ...this.#name, ...change }));
  }
}

export function mountTunnelControl(root: HTMLElement, context: PageContext): void {
  const rows = h('ul', { class: 'control-rows' });
  root.append(h('h3', {}, 'Tunnel paths'), rows);
  const views = new WeakMap<Element, TunnelPathView>();
  const list = new KeyedList<TunnelPath, HTMLLIElement>(rows, {
    key: ({ tunnel, connection, path }) => JSON.stringify([tunnel, connection, path.name]),
    create: (item) => {
      const view = new TunnelPathView(item, context);
      views.set(view.element, view);
      return view.element;
    },
    update: (element, item) => views.get(element)!.show(item),
  });
  context.store.overview.watch((overview) => {
    const paths = overview === undefined ? [] : tunnelPaths(overview);
    root.hidden = paths.length === 0;
    list.show(paths);
  });
}
