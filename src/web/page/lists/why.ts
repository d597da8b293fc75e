/**
 * The section "Why": what limits this host's multipath now, in words, with the evidence and what mends it. Asked for
 * again while somebody sees it, when a path's state has changed, and otherwise at most each `WHY_INTERVAL_MS`, because
 * each answer makes the service look routes up.
 */
import type { WhyReport } from '../../../service/observe/api.ts';
import type { PageContext } from '../context.ts';
import { button, h, setAttribute, setClass, setText } from '../dom.ts';
import { formatClock } from '../format.ts';
import { atMostEach, calmed, oneAtATime, onScreen } from './asking.ts';
import { FindingsView } from './finding-view.ts';
import { Message } from './parts.ts';
import { failureOf } from './failure.ts';

export const WHY_INTERVAL_MS = 5000;
/** After a change of paths, however often they change. */
const CHANGED_INTERVAL_MS = 1000;

export function mountWhy(root: HTMLElement, { store, api }: PageContext): void {
  const summary = h('p', { class: 'why-summary', role: 'status' }, 'Looking …');
  const findings = new FindingsView();
  const failure = new Message('alert');
  const time = h('span', { class: 'quiet small' });
  const again = button('Look again', () => ask(), { class: 'quiet' });
  const body = h('div', { class: 'why' });
  body.append(
    h('div', { class: 'toolbar' }, summary, h('span', { class: 'toolbar-end' }, time, again)),
    failure.element,
    findings.element,
  );
  root.append(body);

  let found: string | undefined;
  const show = (report: WhyReport) => {
    // Read out when something else is found, and not each time that a connection comes or goes.
    const now = report.findings.map(({ id, verdict }) => (verdict === 'ok' ? '' : `${id} `)).join('');
    setAttribute(summary, 'aria-live', now === found ? 'off' : 'polite');
    found = now;
    setText(summary, report.summary);
    setClass(summary, 'healthy', report.healthy);
    setText(time, `looked at ${formatClock(report.time)}`);
    findings.show(report);
  };
  const ask = oneAtATime(async () => {
    setAttribute(body, 'aria-busy', true);
    try {
      show(await api.why({}));
      failure.show(undefined);
    } catch (error) {
      failure.show(failureOf(error));
    } finally {
      setAttribute(body, 'aria-busy', false);
    }
  });
  const askAnew = calmed(CHANGED_INTERVAL_MS, ask);
  const askSometimes = atMostEach(WHY_INTERVAL_MS, ask);
  const seen = onScreen(root, store.visible);
  let states = '';
  const look = () => {
    const overview = store.overview.value;
    if (!seen.value || overview === undefined) return;
    // A path that breaks or comes back is the moment at which somebody looks here.
    const now = overview.paths.map(({ id, state }) => `${id} ${state}`).join();
    if (now !== states) askAnew();
    else askSometimes(performance.now());
    states = now;
  };
  seen.watch(look);
  store.overview.watch(look);
}
