/** The figures of the whole host in one row. The words are pure and tested; the rest puts them in place. */
import { h, KeyedList, perFrame, setText } from './dom.ts';
import { formatCount, formatRate } from './format.ts';
import type { Overview } from '../../service/observe/model.ts';
import type { PageContext } from './context.ts';

export interface TotalFigure {
  readonly label: string;
  readonly figure: string;
  readonly detail: string;
}

function pathsFigure({ paths }: Overview): TotalFigure {
  const count = (state: string) => paths.filter((path) => path.state === state).length;
  const others = (['backup', 'waiting', 'stale', 'down'] as const)
    .map((state) => [state, count(state)] as const)
    .filter(([, number]) => number > 0)
    .map(([state, number]) => `${number} ${state}`);
  return {
    label: 'Active paths',
    figure: `${count('active')} of ${paths.length}`,
    detail: others.length > 0 ? others.join(', ') : paths.length > 0 ? 'all of them' : 'there is none',
  };
}

/** Pure. */
export function totalFigures(overview: Overview): TotalFigure[] {
  const { totals } = overview;
  const over = overview.program === 'up' ? 'over MPTCP and proxy' : 'over MPTCP';
  const retransmissions = totals.retransmissionsPerSecond;
  return [
    { label: 'Receiving', figure: formatRate(totals.receivedBitsPerSecond), detail: over },
    { label: 'Sending', figure: formatRate(totals.sentBitsPerSecond), detail: over },
    pathsFigure(overview),
    {
      label: 'Connections',
      figure: totals.connections.toLocaleString('en'),
      detail: `${totals.severalPaths.toLocaleString('en')} on several paths`,
    },
    {
      label: 'MPTCP',
      figure: totals.mptcp.toLocaleString('en'),
      detail: `${formatCount(totals.subflows, 'subflow')}, ${formatCount(totals.fallbacks, 'fallback')}`,
    },
    {
      label: 'Retransmissions',
      figure: `${retransmissions < 10 ? retransmissions.toFixed(1) : Math.round(retransmissions)}/s`,
      detail: 'segments of all paths',
    },
  ];
}

export function mountTotals(root: HTMLElement, { store }: PageContext): void {
  const list = new KeyedList<TotalFigure, HTMLElement>(root, {
    key: ({ label }) => label,
    create: ({ label }) =>
      h(
        'div',
        { class: 'total' },
        h('span', { class: 'label' }, label),
        h('span', { class: 'figure' }),
        h('span', { class: 'detail' }),
      ),
    update: (element, { figure, detail }) => {
      setText(element.children[1]!, figure);
      setText(element.children[2]!, detail);
    },
  });
  const draw = perFrame(() => {
    const overview = store.overview.value;
    if (overview !== undefined) list.show(totalFigures(overview));
  });
  store.overview.watch(draw);
}
