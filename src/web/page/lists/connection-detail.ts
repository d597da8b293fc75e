/**
 * The panel of the connection that is followed: what is known of it, its subflows, and why it is not on more paths.
 * It stays when the connection ends, with the last that was seen of it, and says so.
 */
import type { ConnectionDetail } from '../../../service/observe/model.ts';
import { ApiError } from '../api.ts';
import type { PageContext } from '../context.ts';
import { button, h, setText } from '../dom.ts';
import { formatAddressPort, formatAge, formatBytes, formatClock, formatRate, formatUs } from '../format.ts';
import { atMostEach, oneAtATime, onScreen } from './asking.ts';
import { destinationOf, ownerDetailOf, ownerOf, protocolOf } from './connection-words.ts';
import { failureOf } from './failure.ts';
import { FindingsView } from './finding-view.ts';
import { Badge, Facts, Message } from './parts.ts';
import { SubflowTable } from './subflow-table.ts';

const WHY_INTERVAL_MS = 5000;

const yesNo = (value: boolean) => (value ? 'yes' : 'no');

/** What is known, and nothing that is not. */
function factsOf(connection: ConnectionDetail): (readonly [string, string])[] {
  const { token, uid, subflowsMax, addressesAccepted, addressesAcceptedMax, addressesAnnounced } = connection;
  const facts: (readonly [string, string])[] = [
    ['Program', [ownerOf(connection), ownerDetailOf(connection)].filter(Boolean).join(', ')],
    ['From', formatAddressPort(connection.localAddress, connection.localPort)],
    ['To', formatAddressPort(connection.remoteAddress, connection.remotePort)],
    ['Protocol', protocolOf(connection)],
  ];
  const add = (name: string, value: string | number | undefined) => {
    if (value !== undefined) facts.push([name, String(value)]);
  };
  add('Why not MPTCP', connection.fallbackReason);
  add('State', connection.state);
  add(
    'Received',
    `${formatBytes(connection.receivedBytes)}, ${formatRate(connection.receivedBitsPerSecond)}`,
  );
  add('Sent', `${formatBytes(connection.sentBytes)}, ${formatRate(connection.sentBitsPerSecond)}`);
  add('Round trip', connection.rttUs === undefined ? undefined : formatUs(connection.rttUs));
  add('Resent segments', connection.retransmittedSegments.toLocaleString('en'));
  add('Open for', formatAge(connection.openForMs));
  add('More subflows allowed', subflowsMax);
  if (addressesAccepted !== undefined) {
    const most = addressesAcceptedMax === undefined ? '' : ` of ${addressesAcceptedMax}`;
    add('Peer addresses accepted', `${addressesAccepted}${most}`);
  }
  add('Addresses announced', addressesAnnounced);
  if (connection.denyJoinId0 !== undefined) {
    add('Peer forbids joins to its address', yesNo(connection.denyJoinId0));
  }
  if (connection.serverSide !== undefined) add('Opened by', connection.serverSide ? 'the peer' : 'this host');
  add('Token', token === undefined ? undefined : `0x${token.toString(16).padStart(8, '0')}`);
  add('User id', uid);
  return facts;
}

/** @param onClose the panel has been closed: the focus belongs to the connection's row again */
export function mountConnectionDetail(
  root: HTMLElement,
  { store, api, marks }: PageContext,
  onClose: (id: string) => void,
): void {
  const heading = h('h3', { id: 'followed-heading' });
  const badge = new Badge();
  const close = button('Close', () => leave());
  const failure = new Message('status');
  const facts = new Facts();
  const subflows = new SubflowTable(marks);
  const whySummary = h('p');
  const findings = new FindingsView();
  const why = h('div', { class: 'followed-why' }, h('h4', {}, 'Why'), whySummary, findings.element);
  const panel = h('div', { class: 'followed', role: 'region', 'aria-labelledby': 'followed-heading' });
  panel.append(
    h('div', { class: 'toolbar' }, heading, badge.element, h('span', { class: 'toolbar-end' }, close)),
    failure.element,
    facts.element,
    subflows.element,
    why,
  );
  panel.hidden = true;
  root.append(panel);

  let id: string | undefined;
  let ended = false;

  const showEnd = () => {
    ended = true;
    badge.show('ended', 'down');
    failure.show(`It ended before ${formatClock(Date.now())}; this is the last that was seen of it.`);
  };
  const show = (connection: ConnectionDetail) => {
    setText(heading, destinationOf(connection));
    badge.show('open', 'active');
    facts.show(factsOf(connection));
    subflows.show(connection.subflows);
  };
  const ask = oneAtATime(async () => {
    const asked = id;
    if (asked === undefined || ended) return;
    try {
      const connection = await api.connection({ id: asked });
      if (asked !== id) return;
      failure.show(undefined);
      show(connection);
    } catch (error) {
      if (asked !== id) return;
      if (error instanceof ApiError && error.code === 'NO_SUCH_CONNECTION') showEnd();
      else failure.show(failureOf(error));
    }
  });
  const askWhy = oneAtATime(async () => {
    const asked = id;
    if (asked === undefined || ended) return;
    try {
      const report = await api.why({ connection: asked });
      if (asked !== id) return;
      setText(whySummary, report.summary);
      findings.show(report);
      why.hidden = false;
    } catch (error) {
      // Its end is told by the question for the connection itself.
      if (asked === id && !(error instanceof ApiError && error.code === 'NO_SUCH_CONNECTION')) {
        setText(whySummary, failureOf(error));
        why.hidden = false;
      }
    }
  });
  let askWhySometimes = atMostEach(WHY_INTERVAL_MS, askWhy);

  const seen = onScreen(root, store.visible);
  const look = () => {
    if (id === undefined || !seen.value || store.overview.value === undefined) return;
    ask();
    askWhySometimes(performance.now());
  };

  function leave(): void {
    const left = id;
    store.followed.set(undefined);
    if (left !== undefined) onClose(left);
  }

  panel.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') leave();
  });
  store.followed.watch((followed) => {
    id = followed;
    ended = false;
    panel.hidden = id === undefined;
    root.classList.toggle('filled', id !== undefined);
    why.hidden = true;
    failure.show(undefined);
    setText(heading, 'Connection');
    facts.show([]);
    subflows.show(undefined);
    badge.show('looking', 'waiting');
    askWhySometimes = atMostEach(WHY_INTERVAL_MS, askWhy);
    if (id === undefined) return;
    ask();
    askWhySometimes(performance.now());
  });
  seen.watch(look);
  store.overview.watch(look);
}
