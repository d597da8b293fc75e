/**
 * The section "Events": what happened, the newest first; those of before from Weft's list, then live. Filtered by kind
 * and words, can be held, and shows the kernel's fields of an event.
 */
import type { ObservedEvent, ObservedEventKind } from '../../../service/observe/model.ts';
import type { PageContext } from '../context.ts';
import { h, KeyedList, perFrame, setAttribute, setText } from '../dom.ts';
import { formatCount } from '../format.ts';
import { calmed, oneAtATime, onScreen } from './asking.ts';
import {
  EVENT_KIND_WORDS,
  EventLog,
  EVENTS_SHOWN_MAX,
  newestMatching,
  OBSERVED_KINDS,
  type NumberedEvent,
} from './event-log.ts';
import { EventRow } from './event-row.ts';
import { failureOf } from './failure.ts';
import { labelled } from './fields.ts';
import { Message } from './parts.ts';

/** The "12 s ago" of all rows. */
const AGES_EACH_MS = 1000;

/** Thousands of connections that come and go make thousands of events; nobody reads more than a few of them a second. */
const STORM_INTERVAL_MS = 300;

/** Buttons that stay pressed while their kind is shown. */
function kindButtons(hidden: Set<ObservedEventKind>, changed: () => void): HTMLElement {
  const buttons = OBSERVED_KINDS.map((kind) => {
    const element = h('button', { type: 'button', 'aria-pressed': true }, EVENT_KIND_WORDS[kind]);
    element.addEventListener('click', () => {
      if (hidden.has(kind)) hidden.delete(kind);
      else hidden.add(kind);
      setAttribute(element, 'aria-pressed', !hidden.has(kind));
      changed();
    });
    return element;
  });
  return h(
    'div',
    { class: 'segmented kinds', role: 'group', 'aria-label': 'Kinds that are shown' },
    ...buttons,
  );
}

export function mountEvents(root: HTMLElement, { store, api }: PageContext): void {
  const log = new EventLog();
  const hidden = new Set<ObservedEventKind>();
  const search = h('input', {
    type: 'search',
    autocomplete: 'off',
    spellcheck: 'false',
    maxlength: 200,
    placeholder: 'text, address, field …',
  });
  const hold = h('button', { type: 'button', 'aria-pressed': false }, 'Pause');
  const count = h('p', { class: 'quiet small' });
  const failure = new Message('status');
  const rows = h('ol', { class: 'event-rows' });
  const empty = h('p', { class: 'empty' });
  // Can be scrolled by the keyboard also when no event in it has fields to open.
  const scroll = h(
    'div',
    { class: 'events-scroll', role: 'region', 'aria-label': 'List of events', tabindex: 0 },
    empty,
    rows,
  );
  root.append(
    h(
      'div',
      { class: 'toolbar' },
      labelled('Search', search),
      kindButtons(hidden, () => draw()),
      h('span', { class: 'toolbar-end' }, hold),
    ),
    count,
    failure.element,
    scroll,
  );

  let held: readonly NumberedEvent[] | undefined;
  let sinceHeld = 0;
  const seen = onScreen(root, store.visible);
  const views = new WeakMap<Element, EventRow>();
  const list = new KeyedList<NumberedEvent, HTMLElement>(rows, {
    key: ({ number }) => String(number),
    create: ({ event }) => {
      const view = new EventRow(event);
      views.set(view.element, view);
      return view.element;
    },
    // An event never changes.
    update: () => undefined,
  });

  // The kernel tells of connections to those only who may change its network.
  const nothingYet = () =>
    store.overview.value?.mayChange === false
      ? 'Nothing has happened yet. Connections are not told of without CAP_NET_ADMIN.'
      : 'Nothing has happened yet.';
  const filter = () => ({ hidden, search: search.value });
  const showCount = (shown: number, found: number) => {
    const parts = [formatCount(found, 'event')];
    if (found > shown) parts.push(`the newest ${shown} shown`);
    if (log.leftOut > 0) parts.push(`${log.leftOut.toLocaleString('en')} older ones are not kept`);
    setText(count, parts.join(', '));
  };
  const draw = perFrame(() => {
    if (!seen.value) return;
    const { shown, found } = newestMatching(held ?? log.events, filter());
    list.show(shown);
    showCount(shown.length, found);
    empty.hidden = shown.length > 0;
    setText(empty, log.size === 0 ? nothingYet() : 'No event matches.');
    showAges();
  });
  const drawCalmly = calmed(STORM_INTERVAL_MS, draw);
  const showAges = () => {
    const nowMs = Date.now();
    for (const row of rows.children) views.get(row)?.showAge(nowMs);
  };
  const showHold = () => {
    const more = sinceHeld === 0 ? '' : ` (${sinceHeld.toLocaleString('en')} new)`;
    setText(hold, held === undefined ? 'Pause' : `Resume${more}`);
    setAttribute(hold, 'aria-pressed', held !== undefined);
  };

  hold.addEventListener('click', () => {
    held = held === undefined ? [...log.events] : undefined;
    sinceHeld = 0;
    showHold();
    draw();
  });
  search.addEventListener('input', () => draw());
  seen.watch(() => draw());
  window.setInterval(() => {
    if (seen.value) showAges();
  }, AGES_EACH_MS);

  // While Weft's list is asked for, events of the stream wait; undefined: it is not being asked for.
  let meanwhile: ObservedEvent[] | undefined;
  const load = oneAtATime(async () => {
    meanwhile = [];
    try {
      const { events, dropped } = await api.recentEvents();
      log.replace(events, dropped, meanwhile);
      failure.show(undefined);
    } catch (error) {
      for (const event of meanwhile) log.add(event);
      failure.show(failureOf(error));
    } finally {
      meanwhile = undefined;
    }
    draw();
  });
  store.events.watch((event) => {
    if (meanwhile === undefined) log.add(event);
    else if (meanwhile.length < EVENTS_SHOWN_MAX) meanwhile.push(event);
    if (held === undefined) drawCalmly();
    else {
      sinceHeld++;
      showHold();
    }
  });
  store.eventsLost.watch((lost) => {
    log.noteLost(lost);
    draw();
  });
  // What happened while there was no connection is in Weft's list.
  store.connection.watch((state) => {
    if (state === 'connected') load();
  });
}
