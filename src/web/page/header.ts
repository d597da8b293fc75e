/** The bar: whose Weft this is, the sections, whether the figures are of now, and the colours. */
import { button, h, KeyedList, s, setAttribute, setText } from './dom.ts';
import { formatAge } from './format.ts';
import { mountTheme } from './theme.ts';
import type { PageContext } from './context.ts';
import type { Overview } from '../../service/observe/model.ts';
import type { ConnectionState } from './store.ts';

const SECTIONS: readonly (readonly [id: string, label: string])[] = [
  ['picture', 'Paths'],
  ['why', 'Why'],
  ['charts', 'Charts'],
  ['connections', 'Connections'],
  ['control', 'Control'],
  ['events', 'Events'],
];

const STATE_WORDS: Readonly<Record<ConnectionState, string>> = {
  connecting: 'Connecting …',
  connected: 'Live',
  lost: 'Not connected',
  paused: 'Paused',
  'signed-out': 'Signed out',
};

const MODE_WORDS: Readonly<Record<NonNullable<Overview['mode']>, readonly [state: string, text: string]>> = {
  multipath: ['active', 'Multipath'],
  'single-path': ['backup', 'Single path'],
  unprivileged: ['stale', 'Unprivileged'],
  'no-mptcp': ['down', 'No MPTCP'],
};

const PROGRAM_WORDS: Readonly<Record<Overview['program'], string>> = {
  up: 'weft up',
  daemon: 'the daemon',
  top: 'weft top',
};

function thread(color: number, d: string): SVGElement {
  return s('path', {
    class: `thread path-${color}`,
    d,
    fill: 'none',
    'stroke-width': 4.5,
    'stroke-linecap': 'round',
  });
}

/** Two threads that cross: the same drawing as the tab's icon. */
function logo(): SVGElement {
  return s(
    'svg',
    { viewBox: '0 0 32 32', 'aria-hidden': true },
    thread(0, 'M4 9c8 0 16 14 24 14'),
    thread(1, 'M4 23c8 0 16-14 24-14'),
  );
}

export function mountHeader(root: HTMLElement, context: PageContext): void {
  const { store } = context;
  const host = h('span', { class: 'host' });
  const mode = h('span', { class: 'badge', hidden: true });
  const state = h('span', { class: 'link-state', role: 'status' });
  root.append(
    h('div', { class: 'brand' }, logo(), h('h1', {}, 'Weft'), host, mode),
    h(
      'nav',
      { 'aria-label': 'Sections' },
      h('ul', {}, ...SECTIONS.map(([id, label]) => h('li', {}, h('a', { href: `#${id}` }, label)))),
    ),
    h('div', { class: 'ends' }, state, mountTheme(context)),
  );
  store.connection.watch((connection) => {
    setAttribute(state, 'data-state', connection);
    setText(state, STATE_WORDS[connection]);
    setAttribute(document.documentElement, 'data-stream', connection);
  });
  store.overview.watch((overview) => {
    if (overview === undefined) return;
    setText(host, overview.hostname);
    const about = `${PROGRAM_WORDS[overview.program]} ${overview.version}, process ${overview.pid}, for ${formatAge(overview.upForMs)}`;
    setAttribute(host, 'title', about);
    const title = `${overview.hostname} – Weft`;
    if (document.title !== title) document.title = title;
    mode.hidden = overview.mode === undefined;
    if (overview.mode === undefined) return;
    const [badgeState, text] = MODE_WORDS[overview.mode];
    setAttribute(mode, 'data-state', badgeState);
    setAttribute(mode, 'title', overview.reason);
    setText(mode, text);
  });
}

interface Notice {
  readonly id: string;
  readonly text: string;
  readonly action?: readonly [label: string, act: () => void];
}

/** What has to be told above everything else: the figures below are old. */
export function mountNotice(root: HTMLElement, { store }: PageContext, retry: () => void): void {
  root.setAttribute('role', 'status');
  const list = new KeyedList<Notice, HTMLElement>(root, {
    key: ({ id }) => id,
    create: ({ action }) => {
      const element = h('div', { class: 'notice' }, h('p', {}));
      if (action) element.append(button(action[0], action[1]));
      return element;
    },
    update: (element, { text }) => setText(element.firstElementChild!, text),
  });
  const notices = (state: ConnectionState): Notice[] => {
    if (state === 'lost') {
      return [
        {
          id: state,
          text: 'Weft does not answer. What stands below is what it said last; the page tries again by itself. A Weft that was started again may want the address of “weft web”.',
          action: ['Try now', retry],
        },
      ];
    }
    if (state === 'signed-out') {
      return [
        {
          id: state,
          text: 'This Weft does not know your browser: it was started again, or the address was not opened whole. “weft web” prints the address that lets you in.',
        },
      ];
    }
    return [];
  };
  store.connection.watch((state) => list.show(notices(state)));
}
