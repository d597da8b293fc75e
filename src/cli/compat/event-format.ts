/** Events as `ip mptcp monitor` prints them (pure): one line each, or the objects of its JSON array. */
import { deniesJoinId0, EventFlag, EventType, isServerSide, type MptcpEvent } from '../../mptcp/index.ts';
import type { LinkNameOf } from './endpoint-format.ts';
import type { TimestampChoice } from './ip-options.ts';
import type { JsonField } from './json-text.ts';
import { colorAddress, colorDevice, type OutputStyle, type Palette } from './output-style.ts';

const NAMES: ReadonlyMap<number, string> = new Map([
  [EventType.created, 'CREATED'],
  [EventType.established, 'ESTABLISHED'],
  [EventType.closed, 'CLOSED'],
  [EventType.announced, 'ANNOUNCED'],
  [EventType.removed, 'REMOVED'],
  [EventType.subflowEstablished, 'SF_ESTABLISHED'],
  [EventType.subflowClosed, 'SF_CLOSED'],
  [EventType.subflowPriority, 'SF_PRIO'],
  [EventType.listenerCreated, 'LISTENER_CREATED'],
  [EventType.listenerClosed, 'LISTENER_CLOSED'],
]);

const NAME_WIDTH = 16;

/** When an event was read: microseconds since 1970, shown in local time. */
export type ClockUs = number;

const two = (value: number) => String(value).padStart(2, '0');
const micros = (us: ClockUs) => String(us % 1_000_000).padStart(6, '0');
const dateOf = (us: ClockUs) => new Date(Math.floor(us / 1000));
const timeOf = (date: Date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Fri Nov 20 23:28:21 2026 728058 usec`: asctime(3) and the microseconds. */
function longTime(us: ClockUs): string {
  const date = dateOf(us);
  const day = `${DAYS[date.getDay()]} ${MONTHS[date.getMonth()]} ${String(date.getDate()).padStart(2)}`;
  return `${day} ${timeOf(date)} ${date.getFullYear()} ${us % 1_000_000} usec`;
}

/** `2026-11-20T23:28:21.727928` */
function shortTime(us: ClockUs): string {
  const date = dateOf(us);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${timeOf(date)}.${micros(us)}`;
}

const hex = (value: number) => (value === 0 ? '0' : `0x${(value >>> 0).toString(16)}`);

/** A field in both forms; `plain` is the value in text where it differs from that in JSON. */
interface Field {
  readonly key: string;
  readonly value: string | number | true;
  readonly plain?: string;
  readonly color?: (text: string, palette: Palette | undefined) => string;
}

/** In ip's order. */
function fieldsOf(event: MptcpEvent, nameOf: LinkNameOf): Field[] {
  const fields: Field[] = [];
  const number = (key: string, value: number | undefined) => {
    if (value !== undefined) fields.push({ key, value });
  };
  const address = (key: string, value: string | undefined) => {
    if (value === undefined) return;
    fields.push({ key, value, color: (text, palette) => colorAddress(text, value, palette) });
  };
  const { token, linkIndex, resetFlags } = event;
  if (token !== undefined) {
    fields.push({ key: 'token', value: hex(token), plain: token.toString(16).padStart(8, '0') });
  }
  number('remid', event.remoteId);
  number('locid', event.localId);
  address('saddr4', event.sourceAddress4);
  address('daddr4', event.destinationAddress4);
  address('saddr6', event.sourceAddress6);
  address('daddr6', event.destinationAddress6);
  number('sport', event.sourcePort);
  number('dport', event.destinationPort);
  number('backup', event.backup);
  number('error', event.error);
  number('timeout', event.timeout);
  if (linkIndex !== undefined) {
    number('ifindex', linkIndex);
    fields.push({ key: 'dev', value: nameOf(linkIndex), color: colorDevice });
  }
  number('reset_reason', event.resetReason);
  if (resetFlags !== undefined) fields.push({ key: 'reset_flags', value: hex(resetFlags) });
  if (isServerSide(event)) fields.push({ key: 'server_side', value: true });
  if (deniesJoinId0(event)) fields.push({ key: 'deny_join_id0', value: true });
  const unknown = (event.flags ?? 0) & ~(EventFlag.serverSide | EventFlag.denyJoinId0);
  if (unknown !== 0) fields.push({ key: 'flags', value: hex(unknown) });
  return fields;
}

/** The event's name and fields; of an event without a known name only the name. */
function describe(
  event: MptcpEvent,
  nameOf: LinkNameOf,
): { readonly name: string; readonly fields: Field[] } {
  const name = NAMES.get(event.type);
  if (name === undefined) return { name: `UNKNOWN ${event.type}`, fields: [] };
  return { name, fields: fieldsOf(event, nameOf) };
}

export function formatEventLine(
  event: MptcpEvent,
  nameOf: LinkNameOf,
  style: OutputStyle,
  timestamp: TimestampChoice,
  nowUs: ClockUs,
): string {
  const { name, fields } = describe(event, nameOf);
  let line = '';
  // -oneline leaves this line end as it is.
  if (timestamp === 'long') line += `Timestamp: ${longTime(nowUs)}\n`;
  if (timestamp === 'short') line += `[${shortTime(nowUs)}] `;
  line += `[${name.padStart(NAME_WIDTH)}]`;
  for (const { key, value, plain, color } of fields) {
    if (value === true) {
      line += ` ${key}`;
      continue;
    }
    const text = plain ?? String(value);
    line += ` ${key}=${color === undefined ? text : color(text, style.palette)}`;
  }
  return line + style.lineEnd;
}

export function eventJsonFields(
  event: MptcpEvent,
  nameOf: LinkNameOf,
  timestamp: TimestampChoice,
  nowUs: ClockUs,
): JsonField[] {
  const { name, fields } = describe(event, nameOf);
  const out: JsonField[] = [];
  if (timestamp === 'long') out.push(['timestamp', longTime(nowUs)]);
  if (timestamp === 'short') out.push(['timestamp_short', shortTime(nowUs)]);
  out.push(['event', name]);
  for (const { key, value } of fields) out.push([key, value]);
  return out;
}
