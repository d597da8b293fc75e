/**
 * The links of the host from look to look (pure): what passes them, whoever's it is, and whether they carry.
 *
 * BOUNDED: LINKS_SHOWN_MAX links are told, those with the lowest numbers; the kernel bounds the others.
 */
import { IFF_LOOPBACK, IFF_RUNNING, IFF_UP, type Link, type LinkTraffic } from '../../netlink/index.ts';
import type { LinkReading } from './model.ts';
import type { LinkState } from './path-book.ts';

const LINKS_SHOWN_MAX = 128;

interface Meter {
  link: Link;
  traffic: LinkTraffic;
  base: LinkTraffic;
  receivedBitsPerSecond: number;
  sentBitsPerSecond: number;
  seen: number;
}

const carries = ({ flags }: Link) => (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0;

const UP: LinkState = { up: true };
const OFF: LinkState = { up: false, why: 'the link is switched off' };
const NO_CARRIER: LinkState = { up: false, why: 'the link has no carrier (cable out, or no radio contact)' };

const growth = (now: number, before: number) => (now >= before ? now - before : now);

export class LinkMeter {
  readonly #meters = new Map<number, Meter>();
  readonly #byName = new Map<string, Meter>();
  #look = 0;

  /** @param windowMs length of the window that rates are of and that ends now; 0: it goes on */
  take(readings: readonly { readonly link: Link; readonly traffic: LinkTraffic }[], windowMs: number): void {
    this.#look++;
    for (const { link, traffic } of readings) {
      const meter = this.#meters.get(link.index) ?? {
        link,
        traffic,
        base: traffic,
        receivedBitsPerSecond: 0,
        sentBitsPerSecond: 0,
        seen: 0,
      };
      meter.link = link;
      meter.traffic = traffic;
      meter.seen = this.#look;
      this.#meters.set(link.index, meter);
    }
    this.#byName.clear();
    for (const [index, meter] of this.#meters) {
      if (meter.seen !== this.#look) {
        this.#meters.delete(index);
        continue;
      }
      this.#byName.set(meter.link.name, meter);
      if (windowMs > 0) closeWindow(meter, windowMs);
    }
  }

  nameOf(index: number): string | undefined {
    return this.#meters.get(index)?.link.name;
  }

  /** `undefined`: there is no such link. */
  stateOf(name: string): LinkState | undefined {
    const link = this.#byName.get(name)?.link;
    if (link === undefined) return undefined;
    if (carries(link)) return UP;
    return (link.flags & IFF_UP) === 0 ? OFF : NO_CARRIER;
  }

  #told(): Meter[] {
    return [...this.#meters.values()].filter(({ link }) => (link.flags & IFF_LOOPBACK) === 0);
  }

  /** How many links there are beyond those that are told. */
  get omitted(): number {
    return Math.max(0, this.#told().length - LINKS_SHOWN_MAX);
  }

  /** Without loopback. */
  readings(): LinkReading[] {
    return this.#told()
      .sort((a, b) => a.link.index - b.link.index)
      .slice(0, LINKS_SHOWN_MAX)
      .map(readMeter);
  }
}

function readMeter({ link, receivedBitsPerSecond, sentBitsPerSecond, traffic }: Meter): LinkReading {
  return {
    link: link.name,
    index: link.index,
    ...(link.kind === undefined ? {} : { kind: link.kind }),
    up: carries(link),
    receivedBytes: traffic.receivedBytes,
    sentBytes: traffic.sentBytes,
    receivedBitsPerSecond,
    sentBitsPerSecond,
    errors: traffic.errors,
    drops: traffic.drops,
  };
}

function closeWindow(meter: Meter, windowMs: number): void {
  const { base, traffic } = meter;
  const rate = (now: number, before: number) => Math.round((growth(now, before) * 8000) / windowMs);
  meter.receivedBitsPerSecond = rate(traffic.receivedBytes, base.receivedBytes);
  meter.sentBitsPerSecond = rate(traffic.sentBytes, base.sentBytes);
  meter.base = traffic;
}
