/** One event of the list; its fields are made when somebody opens them. */
import type { ObservedEvent } from '../../../service/observe/model.ts';
import { h, setText } from '../dom.ts';
import { formatAgo, formatClock } from '../format.ts';
import { EVENT_KIND_WORDS } from './event-log.ts';
import { Facts } from './parts.ts';

export class EventRow {
  readonly element: HTMLLIElement;
  readonly #age = h('span', { class: 'age' });
  readonly #timeMs: number;

  constructor(event: ObservedEvent) {
    const { time, kind, text, fields } = event;
    this.#timeMs = time;
    const date = new Date(time);
    const line = [
      h(
        'time',
        { class: 'quiet', datetime: date.toISOString(), title: date.toLocaleString() },
        formatClock(time),
        ' ',
        this.#age,
      ),
      h('span', { class: 'kind' }, EVENT_KIND_WORDS[kind]),
      h('span', { class: 'event-text' }, text),
    ];
    const hasFields = Object.keys(fields).length > 0;
    this.element = h(
      'li',
      { class: 'event', 'data-kind': kind, 'data-event': event.event },
      hasFields ? withFields(event, line) : h('div', { class: 'event-line' }, ...line),
    );
  }

  showAge(nowMs: number): void {
    setText(this.#age, formatAgo(this.#timeMs, nowMs));
  }
}

function withFields({ event, fields }: ObservedEvent, line: (Node | string)[]): HTMLElement {
  const details = h('details', {}, h('summary', { class: 'event-line' }, ...line));
  const facts = new Facts();
  details.addEventListener('toggle', () => {
    if (!details.open || facts.element.isConnected) return;
    facts.show([
      ['event', event],
      ...Object.entries(fields).map(([name, value]) => [name, String(value)] as const),
    ]);
    details.append(facts.element);
  });
  return details;
}
