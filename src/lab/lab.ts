/**
 * A lab: a topology that stands, its web server, and the faults that it can have. What tests and the demo use.
 *
 * Needs the rights that a sandbox gives (sandbox.ts), or root. Close it; if the process ends or is told to end
 * before that, what can be removed at once is removed.
 */
import { WeftError } from '../base/errors.ts';
import { addAddress, addRoute, BuiltTopology, type BuiltUserSpaceLink } from './builder.ts';
import type { LinkControl, LinkCounters } from './link-control.ts';
import type { LabNode } from './node.ts';
import {
  AIR,
  describeUplinks,
  SERVER_ADDRESS,
  SERVER_ADDRESS_6,
  uplinkConfiguration,
  type Topology,
  type UplinkOptions,
} from './topology.ts';
import { RT_TABLE_MAIN } from '../netlink/index.ts';
import { WebServer } from './web-server.ts';

/** One of the client's ways out, and what may happen to it. Each fault has its remedy. */
export class Uplink {
  /** The link's name in the client. */
  readonly name: string;
  readonly index: number;
  readonly #client: LabNode;
  readonly #air: LabNode;
  readonly #link: BuiltUserSpaceLink;
  #host = 2;

  constructor(index: number, name: string, built: BuiltTopology) {
    this.index = index;
    this.name = name;
    this.#client = built.node('client');
    this.#air = built.node(AIR);
    this.#link = built.userSpaceLink(name);
  }

  get #control(): LinkControl {
    return this.#link.control;
  }

  get #configuration() {
    return uplinkConfiguration(this.index, this.#host);
  }

  /** The client's IPv4 address on this uplink now. */
  get address(): string {
    return this.#configuration.addresses[0]!.address;
  }

  /** The client's global IPv6 address on this uplink now. */
  get address6(): string {
    return this.#configuration.addresses[1]!.address;
  }

  get linkIndex(): number {
    return this.#client.linkIndex(this.name);
  }

  /** Every frame vanishes, and nobody is told: the carrier stays. */
  cut(): void {
    this.#control.blocked = true;
  }

  restore(): void {
    this.#control.blocked = false;
  }

  get isCut(): boolean {
    return this.#control.blocked;
  }

  /** Pulls the cable: the client's link loses its carrier and keeps its addresses and routes. */
  unplug(): void {
    this.#air.netlink.setLink(this.#link.airLinks[0], { up: false });
  }

  plug(): void {
    this.#air.netlink.setLink(this.#link.airLinks[0], { up: true });
  }

  /** Takes the client's link down; the kernel removes its routes and IPv6 addresses, as on a real machine. */
  down(): void {
    this.#client.netlink.setLink(this.linkIndex, { up: false });
  }

  /** Brings it up again and configures what is missing, as a DHCP client does. */
  up(): void {
    this.#client.netlink.setLink(this.linkIndex, { up: true });
    this.addAddresses();
    this.addRoutes();
  }

  /** The kernel removes the routes that depend on them. */
  removeAddresses(): void {
    const { linkIndex } = this;
    for (const { address, length } of this.#configuration.addresses) {
      const there = this.#client.netlink.addresses();
      if (there.some((a) => a.linkIndex === linkIndex && a.address === address)) {
        this.#client.netlink.deleteAddress({ linkIndex, address, prefixLength: length });
      }
    }
  }

  /** @param host the last part of the addresses, another one for a change of address */
  addAddresses(host = this.#host): void {
    this.#host = host;
    const { linkIndex } = this;
    const there = this.#client.netlink.addresses();
    for (const address of this.#configuration.addresses) {
      if (there.some((a) => a.linkIndex === linkIndex && a.address === address.address)) continue;
      addAddress(this.#client.netlink, linkIndex, address);
    }
  }

  /** The default routes of this uplink in the main table. */
  removeRoutes(): void {
    for (const route of this.#defaultRoutes()) this.#client.netlink.deleteRoute(route);
  }

  addRoutes(): void {
    const there = this.#defaultRoutes();
    for (const route of this.#configuration.routes) {
      if (there.some((known) => known.gateway === route.gateway)) continue;
      addRoute(this.#client.netlink, this.linkIndex, route);
    }
  }

  #defaultRoutes() {
    const { linkIndex } = this;
    return this.#client.netlink
      .routes()
      .filter(
        (route) =>
          route.linkIndex === linkIndex && route.table === RT_TABLE_MAIN && route.destination === undefined,
      );
  }

  /** New addresses and the routes that belong to them. */
  changeAddresses(host: number): void {
    this.removeAddresses();
    this.addAddresses(host);
    this.addRoutes();
  }

  /** One way, from now on. */
  set delayMs(delayMs: number) {
    this.#control.delayMs = delayMs;
  }

  get sent(): LinkCounters {
    return this.#control.counters(0);
  }

  get received(): LinkCounters {
    return this.#control.counters(1);
  }
}

export interface TwoUplinksOptions {
  /** Of each uplink in each direction; two values for two different ones. Default 100 Mbit/s. */
  readonly rateBps?: number | readonly [number, number];
  /** One way. Default 10. */
  readonly delayMs?: number | readonly [number, number];
  /** Default `wifi0` and `lte0`. */
  readonly names?: readonly [string, string];
  /** `false`: no web server. */
  readonly web?: boolean;
  /** Goes before the names of the namespaces. */
  readonly namePrefix?: string;
}

function pairOf(value: number | readonly [number, number]): readonly [number, number] {
  return typeof value === 'number' ? [value, value] : value;
}

export class Lab {
  readonly #built: BuiltTopology;
  readonly uplinks: readonly Uplink[];
  readonly web: WebServer | undefined;
  readonly serverAddress = SERVER_ADDRESS;
  readonly serverAddress6 = SERVER_ADDRESS_6;
  #closed: Promise<void> | undefined;
  readonly #onExit = () => this.#built.closeNow();
  /** Process 1 ignores signals without a handler, and in a sandbox we are process 1; so exit, not raise again. */
  readonly #onSignal = (_name: string, number: number) => process.exit(128 + number);

  private constructor(built: BuiltTopology, uplinks: readonly Uplink[], web: WebServer | undefined) {
    this.#built = built;
    this.uplinks = uplinks;
    this.web = web;
    process.on('exit', this.#onExit);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      // A program that handles a signal itself closes the lab itself.
      if (process.listenerCount(signal) === 0) process.on(signal, this.#onSignal);
    }
  }

  static async build(
    topology: Topology,
    options: {
      readonly namePrefix?: string;
      readonly uplinks?: readonly string[];
      readonly webNode?: string;
    } = {},
  ): Promise<Lab> {
    const built = await BuiltTopology.build(topology, options.namePrefix);
    try {
      const uplinks = (options.uplinks ?? []).map((name, index) => new Uplink(index, name, built));
      const web = options.webNode === undefined ? undefined : new WebServer(built.node(options.webNode));
      return new Lab(built, uplinks, web);
    } catch (error) {
      await built.close();
      throw error;
    }
  }

  /** The standard topology (topology.ts, describeUplinks). */
  static twoUplinks(options: TwoUplinksOptions = {}): Promise<Lab> {
    const rates = pairOf(options.rateBps ?? 100e6);
    const delays = pairOf(options.delayMs ?? 10);
    const names = options.names ?? ['wifi0', 'lte0'];
    const uplinks = [0, 1].map((i): UplinkOptions => ({
      name: names[i]!,
      rateBps: rates[i]!,
      delayMs: delays[i]!,
    }));
    return Lab.build(describeUplinks(uplinks), {
      uplinks: names,
      ...(options.web === false ? {} : { webNode: 'server' }),
      ...(options.namePrefix === undefined ? {} : { namePrefix: options.namePrefix }),
    });
  }

  node(name: string): LabNode {
    return this.#built.node(name);
  }

  get nodeNames(): string[] {
    return [...this.#built.nodes.keys()];
  }

  uplink(index: number): Uplink {
    const uplink = this.uplinks[index];
    if (uplink !== undefined) return uplink;
    throw new WeftError(`there is no uplink ${index}`, { code: 'NO_LINK' });
  }

  /** What each uplink has carried since the lab was built, as the frames that arrived. */
  linkBytes(): { readonly name: string; readonly receivedBytes: number; readonly sentBytes: number }[] {
    return this.uplinks.map((uplink) => ({
      name: uplink.name,
      receivedBytes: uplink.received.bytes,
      sentBytes: uplink.sent.bytes,
    }));
  }

  /** Where the web server gives that many bytes; `contentSha256(totalBytes, seed)` is their digest. */
  url(totalBytes: number, seed = 0, family: 4 | 6 = 4): string {
    const host = family === 4 ? this.serverAddress : `[${this.serverAddress6}]`;
    return `http://${host}/bytes/${totalBytes}?seed=${seed}`;
  }

  /** Ends the programs, threads and namespaces of the lab, and resolves when they have ended. May be called again. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.web?.close();
    await this.#built.close();
    process.off('exit', this.#onExit);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, this.#onSignal);
  }
}
