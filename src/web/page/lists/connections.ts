/**
 * The section "Connections": search, the list, and the connection that is followed. The rows on the screen are asked
 * for after each overview, one question at a time, and only while somebody sees the list and lets it run.
 */
import type { ConnectionQuery, Totals } from '../../../service/observe/model.ts';
import type { PageContext } from '../context.ts';
import { h, setAttribute, setText } from '../dom.ts';
import { formatCount } from '../format.ts';
import { oneAtATime, onScreen } from './asking.ts';
import { mountConnectionDetail } from './connection-detail.ts';
import { ConnectionList } from './connection-list.ts';
import { LIST_COLUMNS } from './connection-words.ts';
import { failureOf } from './failure.ts';
import { labelled } from './fields.ts';
import { Message } from './parts.ts';

/** So that not each letter is asked for. */
const TYPING_PAUSE_MS = 150;

function countsOf({ connections, mptcp, fallbacks, severalPaths }: Totals): string {
  const parts = [
    formatCount(connections, 'connection'),
    `${mptcp.toLocaleString('en')} MPTCP`,
    `${severalPaths.toLocaleString('en')} on several paths`,
  ];
  if (fallbacks > 0) parts.push(`${fallbacks.toLocaleString('en')} fell back to TCP`);
  return parts.join(' · ');
}

/** Sorting for narrow screens, which show no heads. */
function sortingChoice(list: ConnectionList): HTMLElement {
  const select = h('select');
  for (const { title, sort, first = 'descending' } of LIST_COLUMNS) {
    if (sort !== undefined) select.append(h('option', { value: `${sort} ${first}` }, title));
  }
  select.value = 'rate descending';
  select.addEventListener('change', () => {
    const column = LIST_COLUMNS.find(({ sort, first }) => `${sort} ${first}` === select.value);
    if (column?.sort !== undefined) list.sortBy({ sort: column.sort, order: column.first ?? 'descending' });
  });
  const field = labelled('Sorted by', select);
  field.classList.add('sorting-choice');
  return field;
}

export function mountConnections(root: HTMLElement, context: PageContext): void {
  const { store, api } = context;
  const search = h('input', {
    type: 'search',
    autocomplete: 'off',
    spellcheck: 'false',
    maxlength: 200,
    placeholder: 'program, address, link …',
  });
  // Sorted by rate, rows never rest; who reads them wants them to.
  const hold = h('button', { type: 'button', 'aria-pressed': false }, 'Pause');
  const counts = h('p', { class: 'quiet small' });
  // Read out when a search is done, not at each look at the host.
  const result = h('p', { class: 'visually-hidden', role: 'status' });
  const failure = new Message('status');
  const list = new ConnectionList({ context, onWant: () => ask(), onFollow: follow });
  const detail = h('div', { class: 'detail-place' });
  root.append(
    h(
      'div',
      { class: 'toolbar' },
      labelled('Search', search),
      sortingChoice(list),
      counts,
      result,
      h('span', { class: 'toolbar-end' }, hold),
    ),
    failure.element,
    h('div', { class: 'connections' }, list.element, detail),
  );

  let announce = false;
  const ask = oneAtATime(async () => {
    const words = search.value.trim();
    const asked = list.wanted;
    const query: ConnectionQuery = { ...list.sorting, ...asked, ...(words === '' ? {} : { search: words }) };
    try {
      const page = await api.connections(query);
      failure.show(undefined);
      list.show(page, asked, words === '' ? 'No connection is open now.' : `Nothing matches “${words}”.`);
      if (announce) setText(result, words === '' ? '' : `${formatCount(page.found, 'connection')} found`);
      announce = false;
    } catch (error) {
      // The last rows stay; what the list shows is tried again at the next overview.
      failure.show(failureOf(error));
    }
  });

  function follow(id: string): void {
    store.followed.set(store.followed.value === id ? undefined : id);
  }

  let timer = 0;
  search.addEventListener('input', () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => {
      announce = true;
      list.toTop();
      ask();
    }, TYPING_PAUSE_MS);
  });
  let held = false;
  hold.addEventListener('click', () => {
    held = !held;
    setText(hold, held ? 'Resume' : 'Pause');
    setAttribute(hold, 'aria-pressed', held);
    if (!held) ask();
  });
  mountConnectionDetail(detail, context, (id) => list.focusConnection(id));
  store.followed.watch(() => list.redraw());

  const seen = onScreen(root, store.visible);
  const look = () => {
    const overview = store.overview.value;
    if (overview === undefined || !seen.value) return;
    setText(counts, countsOf(overview.totals));
    // The states of links are of the overview itself.
    list.redraw();
    if (!held) ask();
  };
  seen.watch(look);
  store.overview.watch(look);
}
