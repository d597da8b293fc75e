/** The picture's boxes and texts, as elements that are put where the layout says. Not its lines, which are wires.ts. */
import { h, KeyedList, setAttribute, setClass, setText } from '../dom.ts';
import { moves, peerDetail, qualityText, ratesText, rowTitle } from './words.ts';
import type { PathMarks } from '../path-marks.ts';
import type { Box, PictureLayout } from './layout.ts';
import type { Picture, PictureLink, PicturePeer, PictureRow } from './model.ts';

/** By transform, so that a change of place glides and costs no layout of the page. */
function place(element: HTMLElement, box: Box): void {
  const { style } = element;
  const transform = `translate(${box.x.toFixed(1)}px, ${box.y.toFixed(1)}px)`;
  if (style.transform !== transform) style.transform = transform;
  const [width, height] = [`${box.w.toFixed(1)}px`, `${box.h.toFixed(1)}px`];
  if (style.width !== width) style.width = width;
  if (style.height !== height) style.height = height;
}

const NOWHERE: Box = { x: 0, y: 0, w: 0, h: 0 };

export class PictureBoxes {
  readonly #machine: HTMLElement;
  readonly #links: KeyedList<PictureLink, HTMLElement>;
  readonly #rows: KeyedList<PictureRow, HTMLElement>;
  readonly #texts: KeyedList<PictureRow, HTMLElement>;
  readonly #peers: KeyedList<PicturePeer, HTMLElement>;
  #layout: PictureLayout | undefined;

  /** @param point called with the way out the pointer is on, or none */
  constructor(root: HTMLElement, marks: PathMarks, point: (row: string | undefined) => void) {
    const layer = (name: string) => {
      const element = h('div', { class: name });
      root.append(element);
      return element;
    };
    this.#machine = h(
      'div',
      { class: 'box machine' },
      h('span', { class: 'name' }),
      h('span', { class: 'detail' }),
    );
    root.append(this.#machine);
    const box = (id: string) => this.#layout?.links.get(id) ?? NOWHERE;
    this.#links = new KeyedList(layer('links'), {
      key: ({ link }) => link,
      create: () =>
        h('div', { class: 'box link' }, h('span', { class: 'name' }), h('span', { class: 'detail' })),
      update: (element, link) => {
        place(element, box(link.link));
        setAttribute(element, 'data-up', String(link.up));
        setText(element.children[0]!, link.link);
        setText(element.children[1]!, link.up ? (link.kind ?? '') : 'no carrier');
      },
    });
    this.#rows = new KeyedList(layer('rows'), {
      key: ({ id }) => id,
      create: (row) => this.#createRow(row, marks, point),
      update: (element, row) => {
        place(element, this.#layout?.rows.get(row.id)?.box ?? NOWHERE);
        setAttribute(element, 'data-state', row.state);
        setAttribute(element, 'title', rowTitle(row));
        const badge = element.querySelector('.badge')!;
        setAttribute(badge, 'data-state', row.state);
        setText(badge, row.state);
      },
    });
    this.#texts = new KeyedList(layer('texts'), {
      key: ({ id }) => id,
      create: () => h('div', {}, h('span', { class: 'rates' }), h('span', { class: 'quality' })),
      update: (element, row) => {
        const texts = this.#layout?.rows.get(row.id)?.texts;
        const [rates, quality] = [...element.children] as HTMLElement[];
        setAttribute(element, 'data-state', row.state);
        place(rates!, texts?.[0] ?? NOWHERE);
        place(quality!, texts?.[1] ?? NOWHERE);
        setText(rates!, ratesText(row));
        setClass(rates!, 'idle', !moves(row));
        setText(quality!, qualityText(row));
      },
    });
    this.#peers = new KeyedList(layer('peers'), {
      key: ({ id }) => id,
      create: ({ kind }) =>
        h('div', { class: `box peer ${kind}` }, h('span', { class: 'name' }), h('span', { class: 'detail' })),
      update: (element, peer) => {
        place(element, this.#layout?.peers.get(peer.id) ?? NOWHERE);
        setText(element.children[0]!, peer.name);
        setText(element.children[1]!, peerDetail(peer));
        setAttribute(
          element,
          'title',
          peer.address === undefined ? peer.name : `${peer.name} (${peer.address})`,
        );
      },
    });
  }

  #createRow(row: PictureRow, marks: PathMarks, point: (row: string | undefined) => void): HTMLElement {
    const name = row.name === undefined ? row.address : `${row.name} ${row.address}`;
    const element = h(
      'div',
      { class: 'row', 'data-path': row.id },
      h(
        'span',
        { class: 'address' },
        row.kind === 'path' && h('span', { class: `swatch path-${marks.of(row.id).color}` }),
        h('span', { class: 'text mono' }, name),
      ),
      h('span', { class: 'badge' }),
    );
    element.addEventListener('pointerenter', () => point(row.id));
    element.addEventListener('pointerleave', () => point(undefined));
    return element;
  }

  show(picture: Picture, layout: PictureLayout, machineDetail: string): void {
    this.#layout = layout;
    place(this.#machine, layout.machine);
    setText(this.#machine.children[0]!, picture.hostname);
    setText(this.#machine.children[1]!, machineDetail);
    this.#links.show(picture.links);
    this.#rows.show(picture.rows);
    this.#texts.show(picture.rows);
    this.#peers.show(picture.peers);
  }
}
