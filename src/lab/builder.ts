/**
 * Makes a topology real: namespaces, veth links, addresses, routes, rates through rtnetlink; user-space links
 * through a worker. Uses no programs, so a lab needs nothing installed.
 *
 * Invariant: either everything stands or, when a step fails, everything made so far is removed and the error
 * thrown. Order of removal: programs, worker, packet sockets, namespaces (links go with them).
 *
 * The delay is always the user-space link's, also where the kernel has netem: netem would hold the frames against
 * the send buffer of the worker's socket, and the worker is needed anyway, to cut and to count.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AF_INET6, familyOf, isIpv6 } from '../base/ip.ts';
import { WeftError } from '../base/errors.ts';
import { closeFd, EpollWorker } from '../native/index.ts';
import {
  IFA_F_NODAD,
  IFA_F_TENTATIVE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_LOCAL,
  type InterfaceAddress,
  type RouteNetlink,
} from '../netlink/index.ts';
import { LinkControl } from './link-control.ts';
import type { LinkWorkerOptions, UserSpaceLink } from './link-worker.ts';
import { LabNode } from './node.ts';
import { openPacketSocket } from './packet-socket.ts';
import {
  AIR,
  checkTopology,
  type LinkDescription,
  type LinkEnd,
  type RouteDescription,
  type Topology,
} from './topology.ts';

const IF_OPER_UP = 6;
const SETTLE_TIMEOUT_MS = 10_000;
const SETTLE_STEP_MS = 2;

/** A user-space link as built. `airLinks` are its two ends in the node "air": setting one down unplugs its peer. */
export interface BuiltUserSpaceLink {
  readonly control: LinkControl;
  readonly airLinks: readonly [number, number];
}

/** Name of the second end of a veth while it is not in its node yet. */
const MOVING = 'weft-moving';

/** One burst is what the rate sends in this time: coarse enough to pass super-frames, fine enough to be smooth. */
const BURST_MS = 4;
/** How much a link's queue holds before it drops, as the buffer of a home router. */
const QUEUE_MS = 50;

function tokenBucketOf(rateBps: number) {
  const burstBytes = Math.min(1 << 20, Math.max(16_384, Math.round((rateBps / 8000) * BURST_MS)));
  return { rateBps, burstBytes, latencyMs: QUEUE_MS };
}

/** BOUNDED: the waiting frames of one direction: twice what fits into the delay, at least 4 MiB, at most 64. */
function queueBytesOf(link: LinkDescription): number {
  const rateBps = Math.max(...link.ends.map((end) => end.rateBps ?? 1e9));
  const inFlight = (rateBps / 8000) * (link.delayMs ?? 0);
  return Math.min(64 << 20, Math.max(4 << 20, Math.round(inFlight * 2)));
}

export function addRoute(
  netlink: RouteNetlink,
  linkIndex: number,
  route: Omit<RouteDescription, 'link'>,
): void {
  netlink.addRoute({
    family: familyOf(route.gateway),
    table: RT_TABLE_MAIN,
    gateway: route.gateway,
    linkIndex,
    ...(route.destination === undefined ? {} : { destination: route.destination }),
    ...(route.metric === undefined ? {} : { priority: route.metric }),
    ...(route.protocol === undefined ? {} : { protocol: route.protocol }),
  });
}

export function addAddress(
  netlink: RouteNetlink,
  linkIndex: number,
  address: LinkEnd['addresses'][number],
): void {
  netlink.addAddress({
    linkIndex,
    address: address.address,
    prefixLength: address.length,
    ...(isIpv6(address.address) ? { flags: IFA_F_NODAD } : {}),
  });
}

function isTentative(address: InterfaceAddress): boolean {
  return address.family === AF_INET6 && (address.flags & IFA_F_TENTATIVE) !== 0;
}

/** An IPv6 address is nobody's until its route is there, which the kernel makes a little later. */
function haveLocalRoutes(netlink: RouteNetlink, addresses: readonly InterfaceAddress[]): boolean {
  const wanted = addresses.filter(({ family }) => family === AF_INET6);
  if (wanted.length === 0) return true;
  const routes = netlink.routes().filter(({ table, type }) => table === RT_TABLE_LOCAL && type === RTN_LOCAL);
  const owned = new Set(routes.map(({ destination }) => destination?.address));
  return wanted.every(({ address }) => owned.has(address));
}

/** Carriers are there, and no IPv6 address waits for duplicate detection or its route. */
function isReady({ netlink, name }: LabNode): boolean {
  const linksReady = netlink
    .links()
    .every((link) => link.kind !== 'veth' || link.operationalState === IF_OPER_UP);
  if (!linksReady || name === AIR) return linksReady;
  const addresses = netlink.addresses();
  return !addresses.some(isTentative) && haveLocalRoutes(netlink, addresses);
}

export class BuiltTopology {
  readonly nodes = new Map<string, LabNode>();
  readonly userSpaceLinks = new Map<string, BuiltUserSpaceLink>();
  readonly #fds: number[] = [];
  #worker: EpollWorker<LinkWorkerOptions, never, never> | undefined;
  #failure: Error | undefined;

  /** @param namePrefix goes before the name of each namespace, so that several labs can stand side by side */
  static async build(topology: Topology, namePrefix = ''): Promise<BuiltTopology> {
    checkTopology(topology);
    const built = new BuiltTopology();
    try {
      built.#make(topology, namePrefix);
      await built.#settle();
      return built;
    } catch (error) {
      await built.close();
      throw error;
    }
  }

  node(name: string): LabNode {
    const node = this.nodes.get(name);
    if (node !== undefined) return node;
    const known = [...this.nodes.keys()].join(', ');
    throw new WeftError(`there is no node "${name}"`, { code: 'NO_NODE', hint: `nodes are ${known}` });
  }

  userSpaceLink(name: string): BuiltUserSpaceLink {
    const link = this.userSpaceLinks.get(name);
    if (link !== undefined) return link;
    throw new WeftError(`there is no user-space link "${name}"`, { code: 'NO_LINK' });
  }

  /** Why the worker of the user-space links ended, if it did. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  #make(topology: Topology, namePrefix: string): void {
    const delayed = topology.links.some((link) => link.delayMs !== undefined);
    for (const { name, forwards } of topology.nodes) this.#addNode(name, namePrefix, forwards === true);
    if (delayed) this.#addNode(AIR, namePrefix, false);
    const links: UserSpaceLink[] = [];
    for (const link of topology.links) {
      if (link.delayMs === undefined) this.#addVeth(...link.ends);
      else links.push(this.#addUserSpaceLink(link, link.delayMs, links.length));
      for (const end of link.ends) this.#configureEnd(end);
    }
    for (const description of topology.nodes) {
      const node = this.node(description.name);
      const loopback = node.linkIndex('lo');
      for (const address of description.addresses ?? []) addAddress(node.netlink, loopback, address);
      for (const route of description.routes) addRoute(node.netlink, node.linkIndex(route.link), route);
    }
    if (links.length === 0) return;
    this.#worker = new EpollWorker(
      'link',
      { links },
      () => {},
      (error) => {
        this.#failure = error;
        process.emitWarning(`the lab's links ended: ${error.message}`);
      },
    );
    this.#worker.unref();
  }

  #addNode(name: string, namePrefix: string, forwards: boolean): void {
    const node = new LabNode(name, namePrefix + name);
    this.nodes.set(name, node);
    // Set before there are links, which take the default. Duplicate detection would keep addresses unusable for 1 s.
    node.setSysctl('ipv6/conf/default/accept_dad', 0);
    node.setSysctl('ipv6/conf/default/accept_ra', 0);
    if (name === AIR) node.setSysctl('ipv6/conf/default/disable_ipv6', 1);
    if (!forwards) return;
    node.setSysctl('ipv4/ip_forward', 1);
    node.setSysctl('ipv6/conf/all/forwarding', 1);
  }

  /**
   * Both ends up, each in its node. The second is made beside the first and then moved, so that their indexes
   * differ as a rule; where they do not, the pair is made again with the next ones. Reason: of a pair with equal
   * indexes the kernel reports the carrier up to a second late (linkwatch takes it for a link without a peer).
   */
  #addVeth(a: Pick<LinkEnd, 'node' | 'name'>, b: Pick<LinkEnd, 'node' | 'name'>): void {
    const [nodeA, nodeB] = [this.node(a.node), this.node(b.node)];
    for (let attempt = 1; ; attempt++) {
      nodeA.netlink.addLink({ kind: 'veth', name: a.name, peer: { name: MOVING } });
      nodeB.adoptLink(nodeA, MOVING, b.name);
      const [indexA, indexB] = [nodeA.linkIndex(a.name), nodeB.linkIndex(b.name)];
      if (indexA === indexB && attempt < 4) {
        nodeA.netlink.deleteLink(indexA);
        continue;
      }
      nodeA.netlink.setLink(indexA, { up: true });
      nodeB.netlink.setLink(indexB, { up: true });
      return;
    }
  }

  #addUserSpaceLink(link: LinkDescription, delayMs: number, number: number): UserSpaceLink {
    const control = new LinkControl();
    control.delayMs = delayMs;
    const air = this.node(AIR);
    const [a, b] = link.ends.map((end, side) => {
      const name = `link${number}${side === 0 ? 'a' : 'b'}`;
      this.#addVeth(end, { node: AIR, name });
      const index = air.linkIndex(name);
      const fd = air.inside(() => openPacketSocket(index));
      this.#fds.push(fd);
      return { index, fd };
    }) as [{ index: number; fd: number }, { index: number; fd: number }];
    this.userSpaceLinks.set(link.name, { control, airLinks: [a.index, b.index] });
    return { fds: [a.fd, b.fd], control: control.memory, queueBytes: queueBytesOf(link) };
  }

  #configureEnd(end: LinkEnd): void {
    const node = this.node(end.node);
    const index = node.linkIndex(end.name);
    for (const address of end.addresses) addAddress(node.netlink, index, address);
    if (end.rateBps !== undefined) node.netlink.setTokenBucket(index, tokenBucketOf(end.rateBps));
  }

  /** The kernel marks carriers and IPv6 addresses ready a little later; after this all of them are usable. */
  async #settle(): Promise<void> {
    const deadline = performance.now() + SETTLE_TIMEOUT_MS;
    for (const node of this.nodes.values()) {
      while (!isReady(node)) {
        if (performance.now() > deadline) {
          throw new WeftError(`node "${node.name}" did not become ready within ${SETTLE_TIMEOUT_MS} ms`, {
            code: 'LAB_TIMEOUT',
          });
        }
        await sleep(SETTLE_STEP_MS);
      }
    }
  }

  /** What can be done at once, for the end of the process. */
  closeNow(): void {
    for (const node of this.nodes.values()) node.closeNow();
  }

  async close(): Promise<void> {
    await Promise.all([...this.nodes.values()].map((node) => node.close()));
    await this.#worker?.stop();
    this.#worker = undefined;
    for (const fd of this.#fds.splice(0)) closeFd(fd);
    this.nodes.clear();
  }
}
