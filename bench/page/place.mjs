/**
 * Where the page is measured: a client with two ways to a server, made of plain links without rate or delay, because
 * what is measured is what watching costs.
 *
 *             c1 10.1.0.2 ──── veth ──── s1 10.1.0.1
 *   client                                            server (203.0.113.10 on loopback)
 *             c2 10.2.0.2 ──── veth ──── s2 10.2.0.1
 */
import { Lab } from '../../dist/lab/index.js';

export const SERVER = '203.0.113.10';
export const PORT = 5000;

const prefix = (text) => {
  const [address, length] = text.split('/');
  return { address, length: Number(length) };
};

const topology = {
  links: [1, 2].map((n) => ({
    name: `path${n}`,
    ends: [
      { node: 'client', name: `c${n}`, addresses: [prefix(`10.${n}.0.2/24`)] },
      { node: 'server', name: `s${n}`, addresses: [prefix(`10.${n}.0.1/24`)] },
    ],
  })),
  nodes: [
    {
      name: 'client',
      routes: [1, 2].map((n) => ({ gateway: `10.${n}.0.1`, link: `c${n}`, metric: 100 * n, protocol: 16 })),
    },
    { name: 'server', addresses: [prefix(`${SERVER}/32`)], routes: [] },
  ],
};

/** Room for thousands of connections that come and go. */
function widen(node) {
  node.setSysctl('ipv4/ip_local_port_range', '1024 65535');
  node.setSysctl('ipv4/tcp_tw_reuse', 1);
}

export async function buildPlace() {
  const lab = await Lab.build(topology);
  for (const name of ['client', 'server']) widen(lab.node(name));
  // Joins to a server that is busy accepting.
  lab.node('server').setSysctl('core/somaxconn', 4096);
  return lab;
}

/** The carrier of the client's link `cN`. */
export function plug(lab, n, isPlugged) {
  const server = lab.node('server');
  server.netlink.setLink(server.linkIndex(`s${n}`), { up: isPlugged });
}

/** A program in a node, whose lines are read one after another. */
export class Program {
  #lines;
  #output = '';

  /** @param options.cpus the cores that it may use, as taskset(1) takes them */
  constructor(node, argv, { cpus, env = {}, stdio = ['pipe', 'pipe', 'pipe'] } = {}) {
    const bound = cpus === undefined ? argv : ['taskset', '-c', cpus, ...argv];
    this.child = node.spawn(bound, { stdio, env: { ...process.env, ...env } });
    this.child.stderr?.on('data', (text) => {
      this.#output = `${this.#output}${text}`.slice(-8192);
    });
    this.#lines = this.#read();
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve(code ?? signal));
    });
  }

  async *#read() {
    let rest = '';
    for await (const piece of this.child.stdout) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop();
      yield* lines;
    }
  }

  get pid() {
    return this.child.pid;
  }

  /** The end of what it wrote to standard error. */
  get errors() {
    return this.#output;
  }

  async line() {
    const { done, value } = await this.#lines.next();
    if (done) throw new Error(`${this.child.spawnargs.join(' ')} ended: ${this.#output}`);
    return value;
  }

  ask(line) {
    this.child.stdin.write(`${line}\n`);
    return this.line();
  }

  /** Resolves when its standard error has the text. */
  async says(text) {
    while (!this.#output.includes(text)) {
      const ended = await Promise.race([this.ended, new Promise((resolve) => setTimeout(resolve, 20))]);
      if (ended !== undefined) throw new Error(`ended (${ended}): ${this.#output}`);
    }
  }

  async stop() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    await this.ended;
    clearTimeout(timer);
  }
}
