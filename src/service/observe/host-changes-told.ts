/** What has changed between two readings of endpoints and limits, as events (pure). */
import type { Limits } from '../../mptcp/index.ts';
import type { EndpointReport } from '../control-api.ts';
import type { ObservedEvent } from './model.ts';
import type { HostReading } from './sources.ts';

type Untimed = Omit<ObservedEvent, 'time'>;

const nameOf = ({ address, id, link, port }: EndpointReport) =>
  `endpoint ${id}, ${address}${port === 0 ? '' : ` port ${port}`}${link === undefined ? '' : ` dev ${link}`}`;

const fieldsOf = ({ address, flags, id, link }: EndpointReport): Untimed['fields'] => ({
  id,
  address,
  ...(link === undefined ? {} : { dev: link }),
  flags: flags.join(' '),
});

const keyOf = ({ address, id, link = '', port }: EndpointReport) => `${id} ${address} ${port} ${link}`;

function compareEndpoints(before: readonly EndpointReport[], after: readonly EndpointReport[]): Untimed[] {
  const known = new Map(before.map((endpoint) => [keyOf(endpoint), endpoint]));
  const events: Untimed[] = [];
  for (const endpoint of after) {
    const past = known.get(keyOf(endpoint));
    known.delete(keyOf(endpoint));
    const flags = endpoint.flags.join(' ');
    if (past === undefined) {
      const text = `${nameOf(endpoint)} (${flags}) was added`;
      events.push({ kind: 'endpoint', event: 'added', text, fields: fieldsOf(endpoint) });
    } else if (past.flags.join(' ') !== flags) {
      const text = `${nameOf(endpoint)} is ${flags === '' ? 'without flags' : flags} now`;
      events.push({ kind: 'endpoint', event: 'changed', text, fields: fieldsOf(endpoint) });
    }
  }
  for (const endpoint of known.values()) {
    const text = `${nameOf(endpoint)} was removed`;
    events.push({ kind: 'endpoint', event: 'removed', text, fields: fieldsOf(endpoint) });
  }
  return events;
}

function compareLimits(before: Limits | undefined, after: Limits | undefined): Untimed[] {
  if (before === undefined || after === undefined) return [];
  if (before.subflows === after.subflows && before.addAddrAccepted === after.addAddrAccepted) return [];
  const { addAddrAccepted, subflows } = after;
  return [
    {
      kind: 'limits',
      event: 'changed',
      text: `limits: ${subflows} subflows beside the first, ${addAddrAccepted} announced addresses accepted`,
      fields: { subflows, add_addr_accepted: addAddrAccepted },
    },
  ];
}

export function compareHost(before: HostReading, after: HostReading): Untimed[] {
  return [
    ...compareEndpoints(before.endpoints, after.endpoints),
    ...compareLimits(before.limits, after.limits),
  ];
}
