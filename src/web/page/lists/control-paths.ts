/**
 * Control of paths: each link is normal or backup, at once and for connections that are open too. A link's paths are
 * changed together, as Weft's own command does.
 */
import type { PathReading, PathState } from '../../../service/observe/model.ts';
import type { PageContext } from '../context.ts';
import { h, KeyedList, setText } from '../dom.ts';
import { ActionPanel, Switch } from './action.ts';
import { pathCommand } from './command-lines.ts';
import { PATH_STATE_WORDS } from './connection-words.ts';
import { Badge, swatch } from './parts.ts';

/** The paths of one link. */
interface LinkPaths {
  readonly link: string;
  readonly paths: readonly PathReading[];
}

/** BOUNDED: as the paths of an overview are. */
export function pathsByLink(paths: readonly PathReading[]): LinkPaths[] {
  const links = new Map<string, PathReading[]>();
  for (const path of paths) {
    const list = links.get(path.link);
    if (list === undefined) links.set(path.link, [path]);
    else list.push(path);
  }
  return [...links].map(([link, list]) => ({ link, paths: list }));
}

/** From what is worth showing first. */
const WORST_FIRST: readonly PathState[] = ['down', 'stale', 'waiting', 'backup', 'active'];

const worstOf = (paths: readonly PathReading[]): PathReading | undefined =>
  paths.toSorted((a, b) => WORST_FIRST.indexOf(a.state) - WORST_FIRST.indexOf(b.state))[0];

class LinkView {
  readonly element = h('li', { class: 'control-row' });
  readonly #badge = new Badge();
  readonly #addresses = h('span', { class: 'quiet' });
  readonly #why = h('p', { class: 'quiet small' });
  readonly #switch: Switch;
  readonly #panel = new ActionPanel();
  readonly #link: string;
  readonly #api: PageContext['api'];

  constructor({ link, paths }: LinkPaths, { api, marks }: PageContext) {
    const first = paths[0];
    this.#link = link;
    this.#api = api;
    this.#switch = new Switch('Backup', `${link} is backup`, (backup) => {
      // A second press while the first is under way changes nothing.
      if (this.#panel.running) this.#switch.want(this.#switch.on);
      else void this.#change(backup);
    });
    this.element.append(
      h(
        'div',
        { class: 'control-head' },
        h(
          'span',
          { class: 'control-name' },
          h('strong', {}, first !== undefined && swatch(marks, first.id), link),
          this.#addresses,
        ),
        this.#badge.element,
        this.#switch.element,
      ),
      this.#why,
      this.#panel.element,
    );
  }

  show({ paths }: LinkPaths): void {
    setText(this.#addresses, paths.map(({ address }) => address).join(', '));
    const worst = worstOf(paths);
    if (worst !== undefined) this.#badge.show(PATH_STATE_WORDS[worst.state], worst.state);
    setText(this.#why, worst?.why ?? '');
    this.#switch.show(paths.every(({ backup }) => backup));
    if (!this.#panel.running) this.#preview();
  }

  async #change(backup: boolean): Promise<void> {
    this.#switch.want(backup);
    const done = await this.#panel.run(() => this.#api.setPath({ link: this.#link, backup }));
    if (!done) this.#switch.want(undefined);
    this.#preview();
  }

  #preview(): void {
    this.#panel.preview(pathCommand({ link: this.#link, backup: !this.#switch.on }));
  }
}

export function mountPathControl(root: HTMLElement, context: PageContext): void {
  const rows = h('ul', { class: 'control-rows' });
  const empty = h('p', { class: 'quiet' }, 'No path is there now.');
  root.append(
    h('h3', {}, 'Paths'),
    h('p', { class: 'quiet small' }, 'A backup path carries data only while no normal one can.'),
    empty,
    rows,
  );
  const views = new WeakMap<Element, LinkView>();
  const list = new KeyedList<LinkPaths, HTMLLIElement>(rows, {
    key: ({ link }) => link,
    create: (item) => {
      const view = new LinkView(item, context);
      views.set(view.element, view);
      return view.element;
    },
    update: (element, item) => views.get(element)!.show(item),
  });
  context.store.overview.watch((overview) => {
    const links = pathsByLink(overview?.paths ?? []);
    empty.hidden = links.length > 0;
    list.show(links);
  });
}
