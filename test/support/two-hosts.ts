/**
 * Two hosts with two links between them, for tests of connections with several subflows:
 *
 *    ns NAME-a   v1  10.9.1.1/24  fd09:1::1/64 ──── veth ──── v1  10.9.1.2/24  fd09:1::2/64   ns NAME-b
 *                v2  10.9.2.1/24  fd09:2::1/64 ──── veth ──── v2  10.9.2.2/24  fd09:2::2/64
 *
 * `b` announces its second addresses and `a` uses what is announced, so a connection from `a` to an address of
 * link 1 gets a second subflow over link 2 by itself.
 */
import { execFileSync } from 'node:child_process';
import { addNamespace, deleteNamespace, inNamespace, namespacePath } from '../../src/native/index.ts';

export interface TwoHosts {
  /** Runs `ip -n NODE ARGS`. */
  readonly ipA: (...args: string[]) => string;
  readonly ipB: (...args: string[]) => string;
  readonly netnsA: string;
  readonly netnsB: string;
  /** Runs synchronous work (opening sockets) on a host. */
  readonly onA: <T>(work: () => T) => T;
  readonly onB: <T>(work: () => T) => T;
  readonly remove: () => void;
}

const ip = (node: string, args: string[]) => execFileSync('ip', ['-n', node, ...args], { encoding: 'utf8' });

/** The kernel drops what is sent on a link until it has noticed, up to a second later, that the other end is up. */
function waitUntilUp(node: string, link: string): void {
  while (!ip(node, ['-o', 'link', 'show', link]).includes(' state UP ')) {
    // Each look is a process of its own, so this does not spin.
  }
}

export function makeTwoHosts(name: string): TwoHosts {
  const a = `${name}-a`;
  const b = `${name}-b`;
  addNamespace(a);
  addNamespace(b);
  for (const node of [a, b]) ip(node, ['link', 'set', 'lo', 'up']);
  for (const link of ['1', '2']) {
    ip(a, ['link', 'add', `v${link}`, 'type', 'veth', 'peer', 'name', `v${link}`, 'netns', b]);
    for (const [node, host] of [
      [a, '1'],
      [b, '2'],
    ] as const) {
      ip(node, ['addr', 'add', `10.9.${link}.${host}/24`, 'dev', `v${link}`]);
      ip(node, ['addr', 'add', `fd09:${link}::${host}/64`, 'dev', `v${link}`, 'nodad']);
      ip(node, ['link', 'set', `v${link}`, 'up']);
    }
  }
  for (const node of [a, b]) for (const link of ['v1', 'v2']) waitUntilUp(node, link);
  ip(a, ['mptcp', 'limits', 'set', 'add_addr_accepted', '8', 'subflows', '8']);
  ip(b, ['mptcp', 'limits', 'set', 'add_addr_accepted', '8', 'subflows', '8']);
  return {
    ipA: (...args) => ip(a, args),
    ipB: (...args) => ip(b, args),
    netnsA: namespacePath(a),
    netnsB: namespacePath(b),
    onA: (work) => inNamespace(namespacePath(a), work),
    onB: (work) => inNamespace(namespacePath(b), work),
    remove: () => {
      // Sockets of the test may outlive the names; the links do not.
      for (const link of ['v1', 'v2']) ip(a, ['link', 'delete', link]);
      deleteNamespace(a);
      deleteNamespace(b);
    },
  };
}
