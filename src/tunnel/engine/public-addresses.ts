/**
 * Finds out public addresses of paths whose configuration says 0.0.0.0: from the peer, where it is Weft and tells what
 * it sees, otherwise from a server in the Internet. Until one is known the private address stands for it.
 *
 * Invariant: at most one question a path is under way, and none for a path whose address is not there.
 */
import { formatIp, unmapV4, type Logger } from '../../base/index.ts';
import { monotonicMs } from '../../native/index.ts';
import { askPublicAddress, RESOLVER } from '../host/public-address.ts';
import type { LiveConnection } from './live-connection.ts';
import type { PathLink } from './path-link.ts';
import type { EventBody } from './surroundings.ts';

/** So long a peer has to show that it is Weft before somebody else is asked. */
const PATIENCE_MS = 1500;
const AGAIN_MS = 60_000;

interface Question {
  /** For which private address. */
  readonly address: string;
  readonly abort: AbortController;
  dueMs: number;
  isAsking: boolean;
  asking?: Promise<void>;
}

export interface PublicAddressesOptions {
  readonly logger: Logger;
  readonly emit: (event: EventBody) => void;
  /** Routes are to be looked at. */
  readonly onChange: () => void;
}

export class PublicAddresses {
  readonly #options: PublicAddressesOptions;
  /** BOUNDED: paths that live; others go with the next `tick`. */
  readonly #questions = new Map<PathLink, Question>();

  constructor(options: PublicAddressesOptions) {
    this.#options = options;
  }

  tick(connections: readonly LiveConnection[], nowMs: number): void {
    const living = new Set<PathLink>();
    for (const connection of connections) {
      for (const link of connection.links) {
        if (!link.needsPublicAddress) continue;
        living.add(link);
        this.#look(connection, link, nowMs);
      }
    }
    for (const link of this.#questions.keys()) if (!living.has(link)) this.#forget(link);
  }

  /** Waits until the public addresses of a connection are known, or asking brought nothing. */
  async settle(connection: LiveConnection): Promise<void> {
    const nowMs = monotonicMs();
    for (const link of connection.links) {
      if (!link.needsPublicAddress) continue;
      this.#look(connection, link, nowMs);
      const question = this.#questions.get(link);
      if (question !== undefined && !question.isAsking && question.dueMs < Infinity) question.dueMs = nowMs;
      this.#look(connection, link, nowMs);
    }
    await Promise.all(connection.links.map(async (link) => await this.#questions.get(link)?.asking));
  }

  stop(): void {
    for (const link of this.#questions.keys()) this.#forget(link);
  }

  #look(connection: LiveConnection, link: PathLink, nowMs: number): void {
    const { host } = link;
    const observed = link.isWeft ? link.session.observedAddress : undefined;
    if (observed !== undefined) {
      this.#forget(link);
      this.#learn(connection, link, unmapV4(formatIp(observed.address)));
      return;
    }
    if (!host.isUp || !host.isTied || host.linkIndex === undefined || link.config.ipVersion !== 4) {
      this.#forget(link);
      return;
    }
    let question = this.#questions.get(link);
    if (question !== undefined && question.address !== host.localAddress) {
      this.#forget(link);
      question = undefined;
    }
    if (question === undefined) {
      const dueMs = nowMs + PATIENCE_MS;
      question = { address: host.localAddress, abort: new AbortController(), dueMs, isAsking: false };
      this.#questions.set(link, question);
    }
    if (!question.isAsking && nowMs >= question.dueMs && !link.isWeft) {
      question.asking = this.#ask(connection, link, question, host.linkIndex);
    }
  }

  async #ask(
    connection: LiveConnection,
    link: PathLink,
    question: Question,
    linkIndex: number,
  ): Promise<void> {
    question.isAsking = true;
    question.dueMs = Infinity;
    link.resolver = RESOLVER.address;
    this.#options.onChange();
    // The route is made in this turn of the loop.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    const { signal } = question.abort;
    const address = await askPublicAddress({ localAddress: question.address, linkIndex, signal });
    question.isAsking = false;
    if (this.#questions.get(link) !== question) return;
    link.resolver = undefined;
    this.#options.onChange();
    if (address === undefined) {
      question.dueMs = monotonicMs() + AGAIN_MS;
      return;
    }
    this.#learn(connection, link, address);
  }

  #learn(connection: LiveConnection, link: PathLink, address: string): void {
    if (!link.setFoundAddress(address)) return;
    const { privateAddress, publicAddress } = link;
    const of = { file: connection.file, name: connection.name, path: link.index };
    this.#options.logger.info({ ...of, publicAddress }, 'a path has this public address');
    this.#options.emit({ kind: 'address', ...of, privateAddress, publicAddress });
  }

  #forget(link: PathLink): void {
    const question = this.#questions.get(link);
    if (question === undefined) return;
    this.#questions.delete(link);
    question.abort.abort();
    if (link.resolver === undefined) return;
    link.resolver = undefined;
    this.#options.onChange();
  }
}
