/**
 * Listens to the kernel: MPTCP events (with CAP_NET_ADMIN), and the life of links and addresses, as events of the list;
 * and remembers of connections what only an event tells. Routes and rules are not listed: a router changes thousands.
 *
 * Invariant: what cannot be listened to is left out, and the observer works without it.
 * BOUNDED: what is remembered of TOKENS_MAX connections, the oldest forgotten first; LINKS_MAX links,
 * ADDRESSES_MAX addresses.
 */
import { errorText, type Logger } from '../../base/index.ts';
import {
  deniesJoinId0,
  EventType,
  isServerSide,
  watchMptcpEvents,
  type MptcpEvent,
} from '../../mptcp/index.ts';
import { errnoText } from '../../native/index.ts';
import { IFF_RUNNING, IFF_UP, watchRoutes, type RouteEvent } from '../../netlink/index.ts';
import { describeKernelEvent } from './kernel-event.ts';
import type { ObservedEvent } from './model.ts';

const TOKENS_MAX = 10_000;
const LINKS_MAX = 4096;
const ADDRESSES_MAX = 4096;

/** What only the events of its beginning tell of a connection. */
export interface Origin {
  readonly denyJoinId0: boolean;
  readonly serverSide: boolean;
}

export interface EventWatchOptions {
  readonly netns?: string;
  readonly logger: Logger;
  onEvent(event: ObservedEvent): void;
  /** Whether an event of a connection is listed; it is made and given to `onMptcpEvent` only then. */
  admitsMptcpEvent(time: number): boolean;
  onMptcpEvent(event: ObservedEvent): void;
  /** Links, addresses, routes or rules have changed. */
  onNetworkChange(): void;
}

const carries = (flags: number) => (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0;

export class EventWatch {
  readonly #options: EventWatchOptions;
  readonly #origins = new Map<number, Origin>();
  readonly #links = new Map<number, { readonly name: string; readonly flags: number }>();
  readonly #addresses = new Set<string>();
  #mptcp: { close(): void } | undefined;
  #network: { close(): void } | undefined;

  constructor(options: EventWatchOptions) {
    this.#options = options;
  }

  start(): void {
    const { logger, netns } = this.#options;
    const where = netns === undefined ? {} : { netns };
    try {
      this.#network = watchRoutes((event) => this.#handleNetwork(event), where);
    } catch (error) {
      logger.warn({}, `changes of links are seen late, at the next look: ${errorText(error)}`);
    }
    try {
      this.#mptcp = watchMptcpEvents(
        {
          onEvent: (event) => this.#handleMptcp(event),
          onOverrun: () =>
            this.#tell('service', 'lost', 'the kernel dropped events of connections: they came too fast', {}),
        },
        where,
      );
    } catch (error) {
      logger.debug({}, `events of connections are not listed: ${errorText(error)}`);
    }
  }

  /** Whether the kernel lets this process hear of connections. */
  get hearsConnections(): boolean {
    return this.#mptcp !== undefined;
  }

  stop(): void {
    this.#mptcp?.close();
    this.#network?.close();
    this.#mptcp = this.#network = undefined;
  }

  originOf(token: number): Origin | undefined {
    return this.#origins.get(token);
  }

  /** Links as a look found them, so that events about them can be compared with something. */
  learnLink(index: number, name: string, flags: number): void {
    if (this.#links.size < LINKS_MAX || this.#links.has(index)) this.#links.set(index, { name, flags });
  }

  learnAddress(linkIndex: number, address: string): void {
    if (this.#addresses.size < ADDRESSES_MAX) this.#addresses.add(`${linkIndex} ${address}`);
  }

  linkName(index: number): string | undefined {
    return this.#links.get(index)?.name;
  }

  #tell(
    kind: ObservedEvent['kind'],
    event: string,
    text: string,
    fields: ObservedEvent['fields'],
    time = Date.now(),
  ): void {
    this.#options.onEvent({ time, kind, event, text, fields });
  }

  #handleMptcp(event: MptcpEvent): void {
    const { token, type } = event;
    if (token !== undefined) {
      if (type === EventType.created || type === EventType.established) this.#remember(token, event);
      if (type === EventType.closed) this.#origins.delete(token);
    }
    const time = Date.now();
    if (!this.#options.admitsMptcpEvent(time)) return;
    const described = describeKernelEvent(event, time, {
      linkName: (index) => this.linkName(index),
      errorText: errnoText,
    });
    this.#options.onMptcpEvent(described);
  }

  #remember(token: number, event: MptcpEvent): void {
    const known = this.#origins.get(token);
    this.#origins.set(token, {
      denyJoinId0: deniesJoinId0(event) || known?.denyJoinId0 === true,
      serverSide: isServerSide(event) || known?.serverSide === true,
    });
    if (this.#origins.size <= TOKENS_MAX) return;
    const [oldest] = this.#origins.keys();
    if (oldest !== undefined) this.#origins.delete(oldest);
  }

  #handleNetwork(event: RouteEvent): void {
    switch (event.kind) {
      case 'link':
        this.#handleLink(event);
        break;
      case 'address':
        this.#handleAddress(event);
        break;
      case 'overrun':
        this.#tell('service', 'lost', 'the kernel dropped messages about links and routes', {});
        break;
      default:
    }
    this.#options.onNetworkChange();
  }

  #handleAddress({ action, address: item }: Extract<RouteEvent, { kind: 'address' }>): void {
    const { address, linkIndex, prefixLength } = item;
    const key = `${linkIndex} ${address}`;
    const isNew = action === 'new';
    // A router's advertisement renews the lifetime of an address each few seconds.
    if (isNew === this.#addresses.has(key)) return;
    if (!isNew) this.#addresses.delete(key);
    else if (this.#addresses.size < ADDRESSES_MAX) this.#addresses.add(key);
    const link = this.linkName(linkIndex) ?? `link ${linkIndex}`;
    this.#tell(
      'network',
      isNew ? 'address-added' : 'address-removed',
      `${link} ${isNew ? 'has' : 'has lost'} the address ${address}/${prefixLength}`,
      { link, address, prefixLength },
    );
  }

  #handleLink({ action, link }: Extract<RouteEvent, { kind: 'link' }>): void {
    const { flags, index, name } = link;
    const before = this.#links.get(index);
    const fields = { link: name, index };
    if (action === 'delete') {
      this.#links.delete(index);
      this.#tell('network', 'link-removed', `the link ${name} is gone`, fields);
      return;
    }
    this.learnLink(index, name, flags);
    if (before === undefined) {
      this.#tell('network', 'link-added', `the link ${name} is there`, fields);
    } else if (before.name !== name) {
      this.#tell('network', 'link-renamed', `the link ${before.name} is called ${name} now`, fields);
    }
    if (before === undefined || carries(before.flags) === carries(flags)) return;
    const why = (flags & IFF_UP) === 0 ? 'it is switched off' : 'it has no carrier';
    if (carries(flags)) this.#tell('network', 'link-up', `the link ${name} is up`, fields);
    else this.#tell('network', 'link-down', `the link ${name} is down: ${why}`, fields);
  }
}
