/**
 * `weft mptcp --json`: endpoints, limits and events as one JSON object a line, each whole as soon as it is known.
 * Fields that have no value are left out; flags are a list of names, so that a new flag is no new field.
 */
import { errnoName, linkNameOf } from '../../native/index.ts';
import {
  deniesJoinId0,
  EndpointFlag,
  EVENT_NAMES,
  isServerSide,
  resetReasonText,
  type Endpoint,
  type Limits,
  type MptcpEvent,
} from '../../mptcp/index.ts';
import type { EventPrinter, Printer } from '../compat/printer.ts';

const lineOf = (value: object) => `${JSON.stringify(value)}\n`;

export const tokenText = (token: number) => `0x${token.toString(16).padStart(8, '0')}`;

/** `link` and `linkIndex`; nothing when there is no index. */
function linkFields(index: number | undefined): { link?: string; linkIndex?: number } {
  if (index === undefined || index === 0) return {};
  const link = linkNameOf(index);
  return link === undefined ? { linkIndex: index } : { link, linkIndex: index };
}

export function endpointObject(endpoint: Endpoint): object {
  const { address, port, id, flags, linkIndex } = endpoint;
  const names = Object.entries(EndpointFlag).filter(([, bit]) => (flags & bit) !== 0);
  const unknown = names.reduce((rest, [, bit]) => rest & ~bit, flags);
  return {
    id,
    address,
    ...(port === 0 ? {} : { port }),
    flags: names.map(([name]) => name),
    ...(unknown === 0 ? {} : { unknownFlags: unknown >>> 0 }),
    ...linkFields(linkIndex),
  };
}

/** The end of a subflow or listener, of whichever family; without port where the kernel sent none. */
function endOf(address: string | undefined, port: number | undefined): object | undefined {
  if (address === undefined && port === undefined) return undefined;
  return { ...(address === undefined ? {} : { address }), ...(port === undefined ? {} : { port }) };
}

/** @param time ISO 8601 */
export function eventObject(event: MptcpEvent, time: string): object {
  const { token, error, resetReason } = event;
  return {
    time,
    event: EVENT_NAMES.get(event.type) ?? `unknown-${event.type}`,
    token: token === undefined ? undefined : tokenText(token),
    localId: event.localId,
    remoteId: event.remoteId,
    local: endOf(event.sourceAddress4 ?? event.sourceAddress6, event.sourcePort),
    remote: endOf(event.destinationAddress4 ?? event.destinationAddress6, event.destinationPort),
    backup: event.backup === undefined ? undefined : event.backup !== 0,
    error: error === undefined ? undefined : errnoName(error),
    timeout: event.timeout,
    ...linkFields(event.linkIndex),
    resetReason: resetReason === undefined ? undefined : resetReasonText(resetReason),
    resetTransient: event.resetFlags === undefined ? undefined : (event.resetFlags & 1) !== 0,
    serverSide: isServerSide(event) ? true : undefined,
    denyJoinId0: deniesJoinId0(event) ? true : undefined,
  };
}

export class JsonLinesPrinter implements Printer {
  endpoints(endpoints: readonly Endpoint[]): string {
    return endpoints.map((endpoint) => lineOf(endpointObject(endpoint))).join('');
  }

  limits(limits: Limits): string {
    return lineOf({ addAddrAccepted: limits.addAddrAccepted, subflows: limits.subflows });
  }

  events(): EventPrinter {
    return {
      open: () => '',
      event: (event) => lineOf(eventObject(event, new Date().toISOString())),
      overrun: () => ({
        stdout: lineOf({ time: new Date().toISOString(), event: 'overrun' }),
        stderr: 'weft: the kernel dropped events; what they told is lost\n',
      }),
      close: () => '',
    };
  }
}
