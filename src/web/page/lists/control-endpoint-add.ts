/** The form that adds an endpoint to the kernel's path manager; addresses of paths that have none are offered. */
import type { EndpointAddAction } from '../../../service/observe/api.ts';
import type { Overview } from '../../../service/observe/model.ts';
import type { PageContext } from '../context.ts';
import { h, KeyedList, setText } from '../dom.ts';
import { ActionPanel } from './action.ts';
import { endpointAddCommand } from './command-lines.ts';
import { fieldId, labelled, NumberField } from './fields.ts';

/** As ip-mptcp(8) explains them, in a few words. */
export const ENDPOINT_FLAGS: readonly (readonly [flag: string, meaning: string])[] = [
  ['subflow', 'open subflows from this address'],
  ['signal', 'announce this address to peers'],
  ['backup', 'only while no other subflow can'],
  ['fullmesh', 'to each address of the peer'],
  ['laminar', 'answer announcements from it'],
];

/** Addresses that could be endpoints and are none. */
function freeAddresses({ paths, endpoints }: Overview): string[] {
  const taken = new Set(endpoints.map(({ address }) => address));
  return [...new Set(paths.map(({ address }) => address))].filter((address) => !taken.has(address));
}

const NO_LINK = '';

export function mountEndpointAdd(root: HTMLElement, { store, api }: PageContext): void {
  const offered = h('datalist', { id: fieldId() });
  const address = h('input', {
    type: 'text',
    required: true,
    autocomplete: 'off',
    spellcheck: 'false',
    list: offered.id,
    placeholder: '192.0.2.1',
    maxlength: 64,
  });
  const link = h('select', {}, h('option', { value: NO_LINK }, 'any'));
  const port = new NumberField('Port', { min: 1, max: 65_535 });
  const id = new NumberField('Id', { min: 1, max: 255 });
  const flags = ENDPOINT_FLAGS.map(([flag, meaning]) => {
    const box = h('input', { type: 'checkbox', value: flag });
    box.checked = flag === 'subflow';
    return { flag, box, element: h('label', { class: 'check', title: meaning }, box, flag) };
  });
  const panel = new ActionPanel();
  const form = h(
    'form',
    { class: 'fields', 'aria-label': 'Add an endpoint' },
    labelled('Address', address),
    offered,
    labelled('Link', link),
    port.element,
    id.element,
    h('fieldset', { class: 'checks' }, h('legend', {}, 'Flags'), ...flags.map(({ element }) => element)),
    h('button', { type: 'submit' }, 'Add endpoint'),
  );
  root.append(h('h3', {}, 'Add an endpoint'), form, panel.element);

  const wanted = (): EndpointAddAction | undefined => {
    const text = address.value.trim();
    if (text === '' || !form.checkValidity()) return undefined;
    return {
      address: text,
      ...(link.value === NO_LINK ? {} : { link: link.value }),
      ...(port.value === undefined ? {} : { port: port.value }),
      ...(id.value === undefined ? {} : { id: id.value }),
      flags: flags.filter(({ box }) => box.checked).map(({ flag }) => flag),
    };
  };
  const preview = () => {
    const action = wanted();
    panel.preview(action === undefined ? undefined : endpointAddCommand(action));
  };
  form.addEventListener('input', () => {
    panel.clear();
    preview();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const action = wanted();
    if (action === undefined) return;
    void panel
      .run(() => api.addEndpoint(action))
      .then((done) => {
        if (!done) return;
        form.reset();
        flags[0]!.box.checked = true;
        preview();
      });
  });

  const options = new KeyedList<string, HTMLOptionElement>(offered, {
    key: (text) => text,
    create: (text) => h('option', { value: text }),
    update: () => undefined,
  });
  const links = new KeyedList<string, HTMLOptionElement>(link, {
    key: (name) => name,
    create: (name) => h('option', { value: name }),
    update: (option, name) => setText(option, name === NO_LINK ? 'any' : name),
  });
  link.replaceChildren();
  store.overview.watch((overview) => {
    options.show(overview === undefined ? [] : freeAddresses(overview));
    links.show([NO_LINK, ...(overview?.links ?? []).map((one) => one.link)]);
  });
}
