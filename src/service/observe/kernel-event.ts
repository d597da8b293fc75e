/**
 * The kernel's MPTCP events in words for people, and with the kernel's fields under its own names for programs (pure).
 *
 * References: <linux/mptcp_pm.h> (MPTCP_ATTR_*), Documentation/netlink/specs/mptcp_pm.yaml, RFC 8684 section 3.6.
 */
import { formatSocketAddress, unmapV4 } from '../../base/index.ts';
import {
  deniesJoinId0,
  EVENT_NAMES,
  EventType,
  resetReasonText,
  type MptcpEvent,
} from '../../mptcp/index.ts';
import type { ObservedEvent } from './model.ts';

const localOf = (event: MptcpEvent) =>
  formatSocketAddress(event.sourceAddress4 ?? unmapV4(event.sourceAddress6 ?? '?'), event.sourcePort ?? 0);
const remoteOf = (event: MptcpEvent) =>
  formatSocketAddress(
    event.destinationAddress4 ?? unmapV4(event.destinationAddress6 ?? '?'),
    event.destinationPort ?? 0,
  );

/** `with` and `over`: which connection it is, and over which link. */
interface Names {
  readonly connection: string;
  readonly link: string;
}

function closedBecause(
  { error = 0, resetReason }: MptcpEvent,
  nameOfError: (errno: number) => string,
): string {
  const reset =
    resetReason === undefined || resetReason === 0 ? '' : `, reset: ${resetReasonText(resetReason)}`;
  return `${error === 0 ? '' : `: ${nameOfError(error)}`}${reset}`;
}

function sentenceOf(event: MptcpEvent, names: Names, nameOfError: (errno: number) => string): string {
  const { connection, link } = names;
  const remote = remoteOf(event);
  switch (event.type) {
    case EventType.created:
      return `connection ${connection} to ${remote} begins`;
    case EventType.established:
      return `connection ${connection} to ${remote} is established${
        deniesJoinId0(event) ? '; the other end takes no joins at this address (C flag)' : ''
      }`;
    case EventType.closed:
      return `connection ${connection} is closed`;
    case EventType.announced:
      return `the other end of ${connection} announces its address ${remote}`;
    case EventType.removed:
      return `the other end of ${connection} withdraws its address with id ${event.remoteId ?? '?'}`;
    case EventType.subflowEstablished:
      return `${connection} has a${(event.backup ?? 0) === 0 ? '' : ' backup'} subflow from ${localOf(event)} to ${remote}${link}`;
    case EventType.subflowClosed:
      return `${connection} has lost its subflow from ${localOf(event)} to ${remote}${link}${closedBecause(event, nameOfError)}`;
    case EventType.subflowPriority:
      return `the subflow of ${connection} from ${localOf(event)} to ${remote}${link} is ${(event.backup ?? 0) === 0 ? 'normal' : 'backup'} now`;
    case EventType.listenerCreated:
      return `the kernel listens on ${localOf(event)} for subflows`;
    case EventType.listenerClosed:
      return `the kernel listens on ${localOf(event)} no more`;
    default:
      return `event ${event.type} of ${connection}`;
  }
}

function fieldsOf(event: MptcpEvent, linkName: string | undefined): ObservedEvent['fields'] {
  const fields: Record<string, string | number | boolean> = {};
  const put = (name: string, value: string | number | undefined) => {
    if (value !== undefined) fields[name] = value;
  };
  if (event.token !== undefined) fields['token'] = `0x${event.token.toString(16)}`;
  put('family', event.family);
  put('loc_id', event.localId);
  put('rem_id', event.remoteId);
  put('saddr4', event.sourceAddress4);
  put('saddr6', event.sourceAddress6);
  put('daddr4', event.destinationAddress4);
  put('daddr6', event.destinationAddress6);
  put('sport', event.sourcePort);
  put('dport', event.destinationPort);
  put('backup', event.backup);
  put('error', event.error);
  put('flags', event.flags);
  put('timeout', event.timeout);
  put('if_idx', event.linkIndex);
  put('dev', linkName);
  put('reset_reason', event.resetReason);
  put('reset_flags', event.resetFlags);
  put('server_side', event.serverSide);
  return fields;
}

/** What the words need to know beside the event. */
export interface EventSurroundings {
  linkName(index: number): string | undefined;
  /** `Connection reset by peer` */
  errorText(errno: number): string;
}

export function describeKernelEvent(
  event: MptcpEvent,
  time: number,
  surroundings: EventSurroundings,
): ObservedEvent {
  const { linkIndex, token, type } = event;
  const linkName = linkIndex === undefined || linkIndex === 0 ? undefined : surroundings.linkName(linkIndex);
  const names = {
    connection: token === undefined ? '?' : `m${token.toString(16)}`,
    link: linkName === undefined ? '' : ` over ${linkName}`,
  };
  return {
    time,
    kind: 'mptcp',
    event: EVENT_NAMES.get(type) ?? `event-${type}`,
    text: sentenceOf(event, names, (errno) => surroundings.errorText(errno)),
    fields: fieldsOf(event, linkName),
  };
}
