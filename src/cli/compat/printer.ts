/**
 * What requests print, apart from how they are carried out: ip's own output here, JSON lines of `weft mptcp` in
 * commands/mptcp-json.ts.
 */
import { errnoText, ENOBUFS, linkNameOf } from '../../native/index.ts';
import type { Endpoint, Limits, MptcpEvent } from '../../mptcp/index.ts';
import { formatEndpoints, formatLimits, type LinkNameOf } from './endpoint-format.ts';
import { eventJsonFields, formatEventLine, type ClockUs } from './event-format.ts';
import type { TimestampChoice } from './ip-options.ts';
import { JsonArrayText } from './json-text.ts';
import type { OutputStyle } from './output-style.ts';

/** The text of a stream of events. */
export interface EventPrinter {
  open(): string;
  event(event: MptcpEvent): string;
  /** The kernel dropped events; one part for each of the two outputs. */
  overrun(): { readonly stdout?: string; readonly stderr?: string };
  close(): string;
}

export interface Printer {
  endpoints(endpoints: readonly Endpoint[]): string;
  limits(limits: Limits): string;
  events(): EventPrinter;
}

/** Microseconds since 1970. */
export const nowUs = (): ClockUs => Math.floor((performance.timeOrigin + performance.now()) * 1000);

/** ip shows a link that is gone as `if` and its index. */
export const shownLinkName = (index: number) => linkNameOf(index) ?? `if${index >>> 0}`;

/** Names as they were when first asked for. BOUNDED by the links of one list of endpoints. */
function rememberedNames(): LinkNameOf {
  const names = new Map<number, string>();
  return (index) => {
    let name = names.get(index);
    if (name === undefined) {
      name = shownLinkName(index);
      names.set(index, name);
    }
    return name;
  };
}

const overrun = () => ({ stderr: `netlink receive error ${errnoText(ENOBUFS)} (${ENOBUFS})\n` });

export class IpPrinter implements Printer {
  readonly #style: OutputStyle;
  readonly #timestamp: TimestampChoice;

  constructor(style: OutputStyle, timestamp: TimestampChoice) {
    this.#style = style;
    this.#timestamp = timestamp;
  }

  endpoints(endpoints: readonly Endpoint[]): string {
    return formatEndpoints(endpoints, rememberedNames(), this.#style);
  }

  limits(limits: Limits): string {
    return formatLimits(limits, this.#style);
  }

  events(): EventPrinter {
    const style = this.#style;
    const timestamp = this.#timestamp;
    if (!style.json) {
      return {
        open: () => '',
        event: (event) => formatEventLine(event, shownLinkName, style, timestamp, nowUs()),
        overrun,
        close: () => '',
      };
    }
    const array = new JsonArrayText(style.pretty);
    return {
      open: () => array.open(),
      event: (event) => array.object(eventJsonFields(event, shownLinkName, timestamp, nowUs())),
      overrun,
      close: () => array.close(),
    };
  }
}
