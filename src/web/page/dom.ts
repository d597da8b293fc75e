/**
 * Elements made and changed. Text from outside (interface names, host names, errors) becomes text nodes and attribute
 * values only, never markup: nothing in the page uses innerHTML, and attributes that could run something are refused.
 */

export type Child = Node | string | number | undefined | false;
export type AttributeValue = string | number | boolean | undefined;
/** `true` sets it empty, `false` and `undefined` leave it out; `aria-…` gets `"true"` and `"false"`. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

const SVG = 'http://www.w3.org/2000/svg';

const MAY_RUN = /^on|^style$|^srcdoc$/i;
const LEADS_SOMEWHERE = /(?:^|:)(?:href|src|srcset|action|formaction|ping|poster|data)$/i;
/** A place of this document, or of this origin: `//` and what browsers take for it would be another. */
const HERE = /^(?:#|\/(?:$|[\w.~-]))/;

/** @throws Error for a handler, inline style or foreign address: a mistake of ours, or somebody's attempt. */
function checkAttribute(name: string, value: AttributeValue): void {
  const refused = MAY_RUN.test(name) || (LEADS_SOMEWHERE.test(name) && !HERE.test(String(value)));
  if (refused) throw new Error(`attribute "${name}" is not set here`);
}

/** Sets or removes one attribute, only when it changes. */
export function setAttribute(element: Element, name: string, value: AttributeValue): void {
  checkAttribute(name, value);
  const isWord = name.startsWith('aria-') || name === 'draggable';
  const text =
    value === undefined || (value === false && !isWord)
      ? undefined
      : value === true && !isWord
        ? ''
        : String(value);
  if (text === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

export function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
}

function append(element: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === undefined || child === false) continue;
    element.append(typeof child === 'number' ? String(child) : child);
  }
}

/** `h('button', { type: 'button', class: 'quiet' }, 'Pause')` */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  append(element, children);
  return element;
}

/** The same for SVG. */
export function s<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS(SVG, tag);
  setAttributes(element, attributes);
  append(element, children);
  return element;
}

/**
 * Touches the document only when the text changes, so that screen readers and selections are left in peace; and then
 * changes the text node that is there, because figures that change twice a second would leave many behind.
 */
export function setText(node: Node, text: string): void {
  const only = node.firstChild;
  if (only instanceof Text && only === node.lastChild) {
    if (only.data !== text) only.data = text;
  } else if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** `classList.toggle` that reads well: `setClass(row, 'down', path.state === 'down')`. */
export function setClass(element: Element, name: string, on: boolean): void {
  element.classList.toggle(name, on);
}

/** A button with an action; `label` is its text. */
export function button(label: string, action: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const element = h('button', { type: 'button', ...attributes }, label);
  element.addEventListener('click', action);
  return element;
}

/** What a keyed list is told about its elements. */
export interface KeyedListOptions<Item, Kind extends Element> {
  key(item: Item): string;
  create(item: Item): Kind;
  /** Called after `create` too. */
  update(element: Kind, item: Item, index: number): void;
  /** Told of an element that has been taken away; `create` may give it back for another item. */
  removed?(element: Kind): void;
}

/**
 * The children of one parent kept equal to a list: elements are kept by key, so that focus, scroll position and
 * transitions survive. The parent's children are the list's alone.
 */
export class KeyedList<Item, Kind extends Element> {
  readonly #parent: Element;
  readonly #options: KeyedListOptions<Item, Kind>;
  /** BOUNDED: as the list that is shown. */
  #elements = new Map<string, Kind>();

  constructor(parent: Element, options: KeyedListOptions<Item, Kind>) {
    this.#parent = parent;
    this.#options = options;
  }

  /** Of two items with one key the first is shown. */
  show(items: readonly Item[]): void {
    const options = this.#options;
    const next = new Map<string, Kind>();
    const shown: [Kind, Item][] = [];
    for (const item of items) {
      const name = options.key(item);
      if (next.has(name)) continue;
      const element = this.#elements.get(name) ?? options.create(item);
      next.set(name, element);
      shown.push([element, item]);
    }
    for (const [name, element] of this.#elements) {
      if (next.has(name)) continue;
      element.remove();
      options.removed?.(element);
    }
    this.#elements = next;
    let place = this.#parent.firstElementChild;
    for (const [index, [element, item]] of shown.entries()) {
      // Moving an element takes the focus from what is in it; the one that is in place stays untouched.
      if (place === element) place = element.nextElementSibling;
      else this.#parent.insertBefore(element, place);
      options.update(element, item, index);
    }
  }

  get(key: string): Kind | undefined {
    return this.#elements.get(key);
  }
}

/**
 * A function that may be called any number of times; `draw` then runs once, before the next frame. In a hidden tab
 * frames do not come, so nothing is drawn there.
 */
export function perFrame(draw: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
