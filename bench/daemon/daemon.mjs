/**
 * A daemon that is measured, in a network namespace of its own, with what /proc tells of it. All waiting is by looking
 * again and again at the kernel: a daemon that is being measured is not asked.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { PathManager } from '../../dist/mptcp/index.js';
import { addNamespace, deleteNamespace, inNamespace, namespacePath } from '../../dist/native/index.js';
import { RouteNetlink } from '../../dist/netlink/index.js';
import { openLog } from './peers.mjs';

let made = 0;

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A namespace with loopback and one link that is up. */
export class Place {
  constructor() {
    this.name = `bench-${process.pid}-${++made}`;
    addNamespace(this.name);
    this.netns = namespacePath(this.name);
    this.netlink = RouteNetlink.open({ netns: this.netns });
    this.pathManager = PathManager.open({ netns: this.netns });
    this.netlink.setLink(this.netlink.linkByName('lo').index, { up: true });
    this.netlink.addLink({ name: 'up0', kind: 'veth', peer: { name: 'far0' } });
    this.link = this.netlink.linkByName('up0').index;
    this.setSysctl('ipv6/conf/all/disable_ipv6', 1);
    for (const name of ['far0', 'up0'])
      this.netlink.setLink(this.netlink.linkByName(name).index, { up: true });
    // Connections come and go faster than TIME_WAIT gives ports back.
    this.setSysctl('ipv4/ip_local_port_range', '1024 65535');
    this.setSysctl('ipv4/tcp_tw_reuse', 1);
  }

  setSysctl(name, value) {
    inNamespace(this.netns, () => writeFileSync(`/proc/sys/net/${name}`, String(value)));
  }

  /** Starts a program here. */
  spawn([program, ...args], options) {
    return inNamespace(this.netns, () => spawn(program, args, options));
  }

  hasEndpoint(address) {
    return this.pathManager.endpoints().some((endpoint) => endpoint.address === address);
  }

  remove() {
    this.netlink.close();
    this.pathManager.close();
    deleteNamespace(this.name);
  }
}

export class Daemon {
  constructor(peer, purpose, place, { counting = false } = {}) {
    this.peer = peer;
    this.netns = place.netns;
    this.log = `/run/bench/${place.name}.log`;
    const log = openLog(this.log);
    this.child = place.spawn(peer.command(purpose, { counting }), {
      stdio: ['ignore', 'ignore', log.fd],
      env: { ...process.env, ...peer.environment },
    });
    log.close();
    this.ended = once(this.child, 'exit');
  }

  get pid() {
    return this.child.pid;
  }

  /** Nanoseconds of CPU time of all its threads that live. */
  cpuNs() {
    let sum = 0;
    for (const task of readdirSync(`/proc/${this.pid}/task`)) {
      const [ran] = readFileSync(`/proc/${this.pid}/task/${task}/schedstat`, 'utf8').split(' ');
      sum += Number(ran);
    }
    return sum;
  }

  /** KiB. */
  memory() {
    const rollup = readFileSync(`/proc/${this.pid}/smaps_rollup`, 'utf8');
    const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)[1]);
    return { rss: field('Rss'), pss: field('Pss') };
  }

  /** Until it has done nothing to speak of for a while. @returns its CPU time then */
  async quiet(forMs = 150) {
    const NOTHING_NS = 1e6;
    let before = this.cpuNs();
    for (;;) {
      await sleep(forMs);
      const now = this.cpuNs();
      if (now - before < NOTHING_NS) return now;
      before = now;
    }
  }

  seen() {
    return this.peer.seen(this);
  }

  async stop() {
    this.child.kill('SIGTERM');
    await this.ended;
  }
}

/** The maker of connections (load.mjs) in the same namespace. */
export class Load {
  #child;
  #answers;

  constructor(place) {
    const program = new URL('load.mjs', import.meta.url).pathname;
    this.#child = place.spawn([process.execPath, program], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#answers = this.#read();
  }

  async *#read() {
    let rest = '';
    for await (const piece of this.#child.stdout) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop();
      yield* lines;
    }
    throw new Error('the maker of connections ended');
  }

  async ready() {
    await this.#answers.next();
  }

  /**
   * @param pace a burst of how many, every how many milliseconds; absent: as fast as it can
   * @returns seconds that it took
   */
  async connect(connections, hold = 1, pace) {
    const words = pace === undefined ? '' : ` ${pace.burst} ${pace.periodMs}`;
    this.#child.stdin.write(`${connections} ${hold}${words}\n`);
    const { value } = await this.#answers.next();
    return JSON.parse(value).seconds;
  }

  async stop() {
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }
}
