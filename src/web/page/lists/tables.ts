/**
 * Small tables that become cards where the screen is narrow: each cell carries its column's title, which the styles
 * then show before the value. The roles are spelled out because a table that is laid out as something else loses them.
 */
import { h } from '../dom.ts';

export interface DataTable {
  readonly element: HTMLElement;
  /** Its rows, and nothing else. */
  readonly body: HTMLTableSectionElement;
}

/** @param name what the table is called for those who do not see it */
export function dataTable(name: string, columns: readonly string[]): DataTable {
  const body = h('tbody', { role: 'rowgroup' });
  const heads = columns.map((title) => h('th', { scope: 'col', role: 'columnheader' }, title));
  const element = h(
    'table',
    { class: 'list cards', role: 'table', 'aria-label': name },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ...heads)),
    body,
  );
  return { element, body };
}

export function dataRow(...cells: HTMLElement[]): HTMLTableRowElement {
  return h('tr', { role: 'row' }, ...cells);
}

export function dataCell(title: string): HTMLTableCellElement {
  return h('td', { role: 'cell', 'data-title': title });
}
