/**
 * The picture: the machine, its links and ways out, and the other ends, drawn anew at each look and whenever its place
 * changes its width. Whoever cannot see it hears its summary, its table, and each change of a path's state.
 */
import { button, h, KeyedList, perFrame, setAttribute, setClass, setText } from '../dom.ts';
import { formatCount, formatRate } from '../format.ts';
import { PictureBoxes } from './boxes.ts';
import { layoutPicture } from './layout.ts';
import { pictureOf, type Picture } from './model.ts';
import { PictureTable } from './table.ts';
import { PictureWires } from './wires.ts';
import { changesBetween, pictureSummary, STATE_MEANINGS } from './words.ts';
import type { PageContext } from '../context.ts';
import type { IgnoredLink } from '../../../service/control-api.ts';
import type { Overview } from '../../../service/observe/model.ts';

function legendItem([state, meaning]: (typeof STATE_MEANINGS)[number]): HTMLElement {
  return h(
    'li',
    { title: meaning },
    h('span', { class: 'sample', 'data-state': state, 'aria-hidden': true }),
    state,
    h('span', { class: 'visually-hidden' }, `: ${meaning}`),
  );
}

function legend(): HTMLElement {
  const items = STATE_MEANINGS.map(legendItem);
  return h('ul', { class: 'legend small quiet', 'aria-label': 'States of a path' }, ...items);
}

function machineDetail(picture: Picture): string {
  if (picture.receivedBitsPerSecond + picture.sentBitsPerSecond < 0.5) return 'idle';
  return `↓ ${formatRate(picture.receivedBitsPerSecond)}\n↑ ${formatRate(picture.sentBitsPerSecond)}`;
}

/** Links that carry no path, with the reason; folded away, because most hosts have many of them. */
class IgnoredLinks {
  readonly root: HTMLDetailsElement;
  readonly #summary = h('summary');
  readonly #list: KeyedList<IgnoredLink, HTMLElement>;

  constructor() {
    const items = h('ul');
    this.root = h('details', { class: 'ignored small', hidden: true }, this.#summary, items);
    this.#list = new KeyedList(items, {
      key: ({ link }) => link,
      create: () => h('li', {}, h('span', { class: 'mono' }), ' ', h('span', { class: 'quiet' })),
      update: (element, { link, why }) => {
        setText(element.children[0]!, link);
        setText(element.children[1]!, why);
      },
    });
  }

  show({ ignoredLinks }: Overview): void {
    this.root.hidden = ignoredLinks.length === 0;
    setText(this.#summary, `${formatCount(ignoredLinks.length, 'link')} not used`);
    this.#list.show(ignoredLinks);
  }
}

function tableSwitch(wrapper: HTMLElement): HTMLButtonElement {
  const element = button(
    'Table',
    () => {
      const hidden = wrapper.classList.toggle('visually-hidden');
      element.setAttribute('aria-pressed', String(!hidden));
      // Where it is wider than its place, keys must be able to move it.
      setAttribute(wrapper, 'tabindex', hidden ? undefined : 0);
    },
    { class: 'quiet', 'aria-pressed': false },
  );
  return element;
}

export function mountPicture(root: HTMLElement, { store, marks }: PageContext): void {
  const lead = h('p', { class: 'lead' });
  const stage = h('div', { class: 'stage', role: 'img', 'aria-label': 'The paths of this host' });
  const wires = new PictureWires();
  stage.append(wires.svg);
  const boxes = new PictureBoxes(stage, marks, (row) => store.pointedPath.set(row));
  const table = new PictureTable();
  const tableWrapper = h(
    'div',
    { class: 'scroll visually-hidden', role: 'region', 'aria-label': 'Table of paths' },
    table.table,
  );
  const told = h('p', { class: 'visually-hidden', 'aria-live': 'polite' });
  const omitted = h('p', { class: 'small quiet', hidden: true });
  const empty = h('p', { class: 'empty' }, 'Waiting for the first look at this host …');
  const ignored = new IgnoredLinks();
  stage.hidden = true;
  root.append(
    lead,
    stage,
    empty,
    omitted,
    h('div', { class: 'picture-foot' }, legend(), ignored.root),
    tableWrapper,
    told,
  );
  root.parentElement?.querySelector('.card-head')?.append(tableSwitch(tableWrapper));

  let picture: Picture | undefined;
  let width = 0;

  const draw = perFrame(() => {
    const overview = store.overview.value;
    if (overview === undefined) return;
    const before = picture;
    picture = pictureOf(overview, before);
    setText(lead, overview.multipath.explanation.join(' '));
    ignored.show(overview);
    table.show(picture);
    omitted.hidden = picture.rowsOmitted === 0;
    setText(omitted, `${formatCount(picture.rowsOmitted, 'path')} more, not drawn`);
    const hasRows = picture.rows.length > 0;
    stage.hidden = !hasRows;
    empty.hidden = hasRows;
    if (!hasRows) setText(empty, 'This host has no path: no link is up with an address and a way out.');
    if (before !== undefined) {
      const changes = changesBetween(before, picture);
      if (changes.length > 0) setText(told, changes.join(' '));
    }
    if (!hasRows || width < 1) return;
    const layout = layoutPicture(picture, width);
    setClass(stage, 'narrow', layout.narrow);
    stage.style.height = `${layout.height}px`;
    wires.show(picture, layout, store.pointedPath.value);
    boxes.show(picture, layout, machineDetail(picture));
    stage.setAttribute('aria-label', pictureSummary(picture));
    // What has just been made does not fly in from a corner.
    if (!stage.classList.contains('drawn')) requestAnimationFrame(() => stage.classList.add('drawn'));
  });

  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry?.contentRect.width ?? 0);
    if (now === width) return;
    width = now;
    draw();
  }).observe(root);
  store.overview.watch(draw);
  store.pointedPath.watch(draw);
}
