/**
 * Two hosts and two paths between them, in namespaces that are gone with the mount namespace that run.mjs enters.
 *
 *          path1  10.1.1.1 ────────── 10.1.1.2
 *   near                                         far
 *          path2  10.1.2.1 ────────── 10.1.2.2
 *
 * With `WEFT_BENCH_ROUTED` there is a router on each path, whose queue is the narrow place of shaped paths:
 *
 *          path1  10.1.1.1 ── .254  mid  .254 ── 10.2.1.2
 *   near                                                  far
 *          path2  10.1.2.1 ── .254  mid  .254 ── 10.2.2.2
 *
 * There no sender feels the queue, and no end sees the other's link go down.
 *
 * A tunnel gives near 10.9.0.1 and far 10.9.0.2. Traffic goes from near to far.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { run } from './programs.mjs';

export const NEAR = 'tnear';
export const FAR = 'tfar';
const NODES = [NEAR, FAR];
const MID = 'tmid';
export const IS_ROUTED = process.env.WEFT_BENCH_ROUTED !== undefined;
export const LINKS = ['path1', 'path2'];
/** By path. */
export const NEAR_ADDRESSES = ['10.1.1.1', '10.1.2.1'];
export const FAR_ADDRESSES = IS_ROUTED ? ['10.2.1.2', '10.2.2.2'] : ['10.1.1.2', '10.1.2.2'];
const routerOf = (address) => address.replace(/\d+$/, '254');
/** What the original calls the gateway of a path: the own address when the peer is on the link. */
export const gatewayOf = (address) => (IS_ROUTED ? routerOf(address) : address);
export const TUNNEL_NEAR = '10.9.0.1';
export const TUNNEL_FAR = '10.9.0.2';

/** Linux's default for TCP; a pacing one (BBR) would measure timers. Asked for by each sender. */
export const CONGESTION = readFileSync(
  '/proc/sys/net/ipv4/tcp_available_congestion_control',
  'utf8',
).includes('cubic')
  ? 'cubic'
  : 'reno';

const inside = (node, ...command) => run('ip', 'netns', 'exec', node, ...command);

/** `ends`: [namespace, link, address], twice. */
function cable([one, other]) {
  const names = ['netns', one[0], 'type', 'veth', 'peer', 'name', other[1], 'netns', other[0]];
  run('ip', 'link', 'add', one[1], ...names);
  for (const [node, link, address] of [one, other]) {
    run('ip', '-n', node, 'address', 'add', `${address}/24`, 'dev', link);
    run('ip', '-n', node, 'link', 'set', link, 'up');
  }
}

/** Routes through the routers: a link that goes down loses them. */
function addRoutes() {
  if (!IS_ROUTED) return;
  LINKS.forEach((link, i) => {
    for (const [node, own, other] of [
      [NEAR, NEAR_ADDRESSES[i], FAR_ADDRESSES[i]],
      [FAR, FAR_ADDRESSES[i], NEAR_ADDRESSES[i]],
    ]) {
      const subnet = other.replace(/\d+$/, '0/24');
      run('ip', '-n', node, 'route', 'replace', subnet, 'via', routerOf(own), 'dev', link);
    }
  });
}

export function buildTopology() {
  mkdirSync('/run/netns', { recursive: true });
  for (const node of IS_ROUTED ? [...NODES, MID] : NODES) {
    run('ip', 'netns', 'add', node);
    run('ip', '-n', node, 'link', 'set', 'lo', 'up');
    // What one connection learned of the path is not for the next.
    inside(node, 'sysctl', '-qw', 'net.ipv4.tcp_no_metrics_save=1');
  }
  LINKS.forEach((link, i) => {
    const near = [NEAR, link, NEAR_ADDRESSES[i]];
    const far = [FAR, link, FAR_ADDRESSES[i]];
    if (IS_ROUTED) {
      cable([near, [MID, `near-${link}`, routerOf(near[2])]]);
      cable([far, [MID, `far-${link}`, routerOf(far[2])]]);
    } else cable([near, far]);
  });
  if (IS_ROUTED) inside(MID, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
  addRoutes();
}

/** Where a path's two queues are. */
const queuesOf = (link) =>
  IS_ROUTED ? ['near', 'far'].map((end) => [MID, `${end}-${link}`]) : NODES.map((node) => [node, link]);

/** Limits both directions of the paths, Mbit/s each; `undefined` takes the limits away. */
export function shape(rates) {
  LINKS.forEach((link, i) => {
    for (const [node, device] of queuesOf(link)) {
      spawnSync('ip', ['netns', 'exec', node, 'tc', 'qdisc', 'del', 'dev', device, 'root']);
      if (rates === undefined) continue;
      const bucket = ['tbf', 'rate', `${rates[i]}mbit`, 'burst', '32kb', 'latency', '50ms'];
      inside(node, 'tc', 'qdisc', 'add', 'dev', device, 'root', ...bucket);
    }
  });
}

/** The first path ends: `link`: the interface goes down; `silent`: both ends drop what comes over it. */
export function cut(kind) {
  if (kind === 'link') {
    run('ip', '-n', NEAR, 'link', 'set', LINKS[0], 'down');
    return;
  }
  for (const node of NODES) {
    const rules = `table inet cut { chain in { type filter hook prerouting priority -300; iifname "${LINKS[0]}" drop; }; }`;
    inside(node, 'nft', rules);
  }
}

export function mend(kind) {
  if (kind === 'link') {
    run('ip', '-n', NEAR, 'link', 'set', LINKS[0], 'up');
    addRoutes();
    return;
  }
  for (const node of NODES) inside(node, 'nft', 'delete table inet cut');
}

/** MPTCP uses both paths: the far end announces its second address. */
export function allowMptcp() {
  for (const node of NODES) {
    run('ip', '-n', node, 'mptcp', 'limits', 'set', 'subflows', '2', 'add_addr_accepted', '2');
  }
  run('ip', '-n', FAR, 'mptcp', 'endpoint', 'add', FAR_ADDRESSES[1], 'dev', LINKS[1], 'signal');
}
