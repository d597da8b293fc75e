/**
 * Two hosts and two paths between them, in namespaces that are gone with the mount namespace that run.mjs enters.
 *
 *          path1  10.1.1.1 ────────── 10.1.1.2
 *   near                                         far
 *          path2  10.1.2.1 ────────── 10.1.2.2
 *
 * A tunnel gives near 10.9.0.1 and far 10.9.0.2. Traffic goes from near to far.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { run } from './programs.mjs';

export const NEAR = 'tnear';
export const FAR = 'tfar';
const NODES = [NEAR, FAR];
export const LINKS = ['path1', 'path2'];
/** By path. */
export const NEAR_ADDRESSES = ['10.1.1.1', '10.1.2.1'];
export const FAR_ADDRESSES = ['10.1.1.2', '10.1.2.2'];
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

function cable(link, near, far) {
  run('ip', 'link', 'add', link, 'netns', NEAR, 'type', 'veth', 'peer', 'name', link, 'netns', FAR);
  for (const [node, address] of [
    [NEAR, near],
    [FAR, far],
  ]) {
    run('ip', '-n', node, 'address', 'add', `${address}/24`, 'dev', link);
    run('ip', '-n', node, 'link', 'set', link, 'up');
  }
}

export function buildTopology() {
  mkdirSync('/run/netns', { recursive: true });
  for (const node of NODES) {
    run('ip', 'netns', 'add', node);
    run('ip', '-n', node, 'link', 'set', 'lo', 'up');
    // What one connection learned of the path is not for the next.
    inside(node, 'sysctl', '-qw', 'net.ipv4.tcp_no_metrics_save=1');
  }
  LINKS.forEach((link, i) => cable(link, NEAR_ADDRESSES[i], FAR_ADDRESSES[i]));
}

/** Limits both directions of the paths, Mbit/s each; `undefined` takes the limits away. */
export function shape(rates) {
  for (const node of NODES) {
    LINKS.forEach((link, i) => {
      spawnSync('ip', ['netns', 'exec', node, 'tc', 'qdisc', 'del', 'dev', link, 'root']);
      if (rates === undefined) return;
      const bucket = ['tbf', 'rate', `${rates[i]}mbit`, 'burst', '32kb', 'latency', '50ms'];
      inside(node, 'tc', 'qdisc', 'add', 'dev', link, 'root', ...bucket);
    });
  }
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
