/**
 * Three network namespaces and the cables between them. Made with iproute2, gone with the mount namespace that
 * run.mjs enters first.
 *
 *   client ── 10.1.0.0/24 ── proxy ══ 10.2.0.0/24 and 10.3.0.0/24 ══ server
 *
 * Peers use 10.2.0.0/24 only; the second path is MPTCP's (an endpoint of the proxy's 10.3.0.1).
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

export const CLIENT = 'bclient';
export const PROXY = 'bproxy';
export const SERVER = 'bserver';
export const PROXY_ADDRESS = '10.1.0.2';
/** The proxy's link to the client. */
export const PROXY_LINK = 'client';
export const SERVER_ADDRESS = '10.2.0.2';
const PORT_RANGE = '1024 65535';

export function run(command, ...args) {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr || result.error}`);
  return result.stdout;
}

function cable(left, leftLink, leftAddress, right, rightLink, rightAddress) {
  run(
    'ip',
    'link',
    'add',
    leftLink,
    'netns',
    left,
    'type',
    'veth',
    'peer',
    'name',
    rightLink,
    'netns',
    right,
  );
  for (const [node, link, address] of [
    [left, leftLink, leftAddress],
    [right, rightLink, rightAddress],
  ]) {
    run('ip', '-n', node, 'address', 'add', `${address}/24`, 'dev', link);
    run('ip', '-n', node, 'link', 'set', link, 'up');
  }
}

export function buildTopology() {
  mkdirSync('/run/netns', { recursive: true });
  for (const node of [CLIENT, PROXY, SERVER]) {
    run('ip', 'netns', 'add', node);
    run('ip', '-n', node, 'link', 'set', 'lo', 'up');
    // Tunnels come and go faster than TIME_WAIT gives ports back.
    const settings = [
      `net.ipv4.ip_local_port_range=${PORT_RANGE}`,
      'net.ipv4.tcp_tw_reuse=1',
      // A pacing one (BBR) would measure timers. Reno is the one that every kernel allows in a namespace.
      'net.ipv4.tcp_congestion_control=reno',
      'net.core.somaxconn=4096',
    ];
    for (const setting of settings) run('ip', 'netns', 'exec', node, 'sysctl', '-qw', setting);
  }
  cable(CLIENT, 'proxy', '10.1.0.1', PROXY, PROXY_LINK, PROXY_ADDRESS);
  cable(PROXY, 'path1', '10.2.0.1', SERVER, 'path1', SERVER_ADDRESS);
  cable(PROXY, 'path2', '10.3.0.1', SERVER, 'path2', '10.3.0.2');
  run('ip', '-n', CLIENT, 'route', 'add', 'default', 'via', PROXY_ADDRESS);
  run('ip', '-n', SERVER, 'route', 'add', 'default', 'via', '10.2.0.1');
  run('ip', 'netns', 'exec', PROXY, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
  // The second path: what leaves 10.3.0.1 goes over it, also to the server's first address, and back likewise.
  run('ip', '-n', PROXY, 'rule', 'add', 'from', '10.3.0.1', 'lookup', '103');
  run('ip', '-n', PROXY, 'route', 'add', 'default', 'via', '10.3.0.2', 'dev', 'path2', 'table', '103');
  run('ip', '-n', PROXY, 'mptcp', 'endpoint', 'add', '10.3.0.1', 'dev', 'path2', 'subflow');
}

/** Limits what the server sends over each path; `undefined` takes the limits away. */
export function limitPaths(rate) {
  for (const link of ['path1', 'path2']) {
    spawnSync('ip', ['netns', 'exec', SERVER, 'tc', 'qdisc', 'del', 'dev', link, 'root']);
    if (rate === undefined) continue;
    const bucket = ['rate', rate, 'burst', '1m', 'latency', '20ms'];
    run('ip', 'netns', 'exec', SERVER, 'tc', 'qdisc', 'add', 'dev', link, 'root', 'tbf', ...bucket);
  }
}
