/**
 * Names to addresses with the system's resolver (getaddrinfo: /etc/hosts, nsswitch, search lists as every other
 * program on the host). Equal questions that are under way at once are asked once.
 */
import { lookup } from 'node:dns/promises';
import { canonicalIp } from '../../base/index.ts';

export class Resolver {
  /** BOUNDED by the proxy's limits of connections, each of which asks one question at a time. */
  readonly #pending = new Map<string, Promise<readonly string[]>>();

  /**
   * Canonical addresses in the order that the system prefers (RFC 6724). An address resolves to itself.
   * Rejects with the error of node:dns (ENOTFOUND, EAI_AGAIN …). It cannot be stopped; who waits may go away.
   */
  resolve(host: string): Promise<readonly string[]> {
    const literal = canonicalIp(host);
    if (literal !== undefined) return Promise.resolve([literal]);
    const name = host.toLowerCase();
    const pending = this.#pending.get(name);
    if (pending !== undefined) return pending;
    const question = this.#ask(name).finally(() => this.#pending.delete(name));
    this.#pending.set(name, question);
    return question;
  }

  async #ask(name: string): Promise<readonly string[]> {
    const answers = await lookup(name, { all: true, verbatim: true });
    return [...new Set(answers.map(({ address }) => canonicalIp(address) ?? address))];
  }
}
