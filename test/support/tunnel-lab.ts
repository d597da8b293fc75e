/**
 * Topologies for tests of the tunnel, and the programs in them.
 *
 *   pair (guide, figure 3)                     sites
 *
 *     a  eth1 ──────────── eth1  b             client ── lan  a  eth1 ── eth1  b  lan ── server
 *        eth2 ──────────── eth2                               eth2 ── eth2
 *
 * Links may have a delay; then they can be cut without either end noticing.
 */
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  BuiltTopology,
  prefix,
  type LabNode,
  type LinkDescription,
  type LinkEnd,
  type NodeDescription,
  type ProgramResult,
} from '../../src/lab/index.ts';
import { callControl, findControlSockets } from '../../src/service/control-client.ts';
import { tunnelFace, type TunnelReport } from '../../src/service/tunnel/control-api.ts';
import { MptPeer, type OriginalOptions } from './mpt-peer.ts';
import { folderTexts, pathAddress, TunnelFolder, type PairOptions, type Side } from './tunnel-config.ts';
import { RunningWeft } from './weft-program.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const bin = (name: string) => join(root, 'dist', 'bin', `${name}.js`);
const MPTSRV = process.env['WEFT_MPTSRV_PROGRAM'] ?? bin('mptsrv');
const MPT = process.env['WEFT_MPT_PROGRAM'] ?? bin('mpt');

/** From the report that mptsrv prints when everything stands. */
export const READY = /Number of connections: /;

const ROUTE_TRIES = 5;

export interface PairTopology {
  /** Delay of each path one way, in milliseconds; absent: a bare veth. */
  readonly delayMs?: readonly number[];
  readonly rateBps?: readonly number[];
  readonly paths?: number;
  /** A host behind each side, 192.168.1.0/24 and fd01::/64 at a, 192.168.2.0/24 and fd02::/64 at b. */
  readonly sites?: boolean;
}

/** Waits until `condition` gives something; asks again and again. */
export async function eventually<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 20_000,
): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one question after another
    const found = await condition();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endMs) throw new Error(`waited in vain: ${what}`);
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

/** The built `mptsrv` with its folder, in a node. */
export class TunnelServer {
  readonly node: LabNode;
  readonly folder: TunnelFolder;
  readonly program: RunningWeft;
  readonly interfaceName: string;

  private constructor(node: LabNode, folder: TunnelFolder, program: RunningWeft, interfaceName: string) {
    this.node = node;
    this.folder = folder;
    this.program = program;
    this.interfaceName = interfaceName;
  }

  /** Resolves when everything stands. */
  static async start(
    node: LabNode,
    folder: TunnelFolder,
    args: readonly string[] = ['-d'],
    interfaceName = 'tun0',
  ): Promise<TunnelServer> {
    const child = node.spawn([process.execPath, MPTSRV, ...args], {
      cwd: folder.path,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const server = new TunnelServer(node, folder, new RunningWeft(child), interfaceName);
    await server.program.seen(READY);
    return server;
  }

  async status(): Promise<TunnelReport> {
    return (await callControl(
      this.#face,
      this.#face.calls.status,
      findControlSockets(this.#face, undefined, statSync(this.node.path).ino),
    )) as TunnelReport;
  }

  get #face() {
    return tunnelFace(this.interfaceName);
  }

  /** The report's first connection, or that of a file. */
  async connection(file?: string): Promise<TunnelReport['connections'][number]> {
    const { connections } = await this.status();
    const found = connections.find((each) => file === undefined || each.file === file);
    if (found === undefined) throw new Error(`there is no connection ${file ?? ''}`);
    return found;
  }

  /** Waits until the first connection's paths have these statuses. */
  async pathsAre(...statuses: readonly number[]): Promise<void> {
    let last = '';
    const wanted = statuses.join(', ');
    await eventually(`paths ${wanted}`, async () => {
      const { paths } = await this.connection();
      last = paths.map(({ status }) => status).join(', ');
      return last === wanted;
    }).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}; they are ${last}\n${this.program.stderr}`);
    });
  }

  /** Runs `mpt ARGS` beside it. */
  mpt(...args: readonly string[]): Promise<ProgramResult> {
    return runMpt(this.node, this.folder, args);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    return this.program.stop(signal);
  }
}

export function runMpt(node: LabNode, folder: TunnelFolder, args: readonly string[]): Promise<ProgramResult> {
  return node.run([process.execPath, MPT, ...args], { cwd: folder.path });
}

/** What stands behind `mpt configuration:` in an answer. */
export function answerOf({ stdout }: ProgramResult): string {
  return stdout.replace(/^mpt configuration:\n\tLocal cmd port: \d+\n\tcmd timeout: \d+\n/, '');
}

/** The words without an option and its value, and that value. */
function takeOption(
  args: readonly string[],
  option: string,
): readonly [readonly string[], string | undefined] {
  const at = args.indexOf(option);
  return at < 0 ? [args, undefined] : [args.toSpliced(at, 2), args[at + 1]];
}

/**
 * Runs ping; gives how many echoes came back. Each is a ping of its own: one that has had answers waits for the last
 * ones twice the longest round trip only, so on a busy machine it counts late ones as lost.
 */
export async function ping(
  node: LabNode,
  address: string,
  args: readonly string[] = ['-c', '3', '-W', '2'],
): Promise<{ readonly received: number; readonly sent: number; readonly text: string }> {
  const [counted, count = '1'] = takeOption(args, '-c');
  const [rest] = takeOption(counted, '-i');
  // An IPv6 address is somebody's a little after it was set, when the kernel has made its route.
  for (let tries = 0; address.includes(':') && tries < ROUTE_TRIES; tries++) {
    // oxlint-disable-next-line no-await-in-loop -- until one comes back
    if ((await node.run(['ping', '-n', '-c', '1', '-W', '1', address])).code === 0) break;
  }
  let [sent, received, text] = [0, 0, ''];
  for (let number = 0; number < Number(count); number++) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const { stdout, stderr } = await node.run(['ping', '-n', '-c', '1', ...rest, address]);
    const match = /(\d+) packets transmitted, (\d+) received/.exec(stdout);
    sent += Number(match?.[1] ?? 0);
    received += Number(match?.[2] ?? 0);
    text += stdout + stderr;
  }
  return { sent, received, text };
}

export class TunnelLab {
  readonly built: BuiltTopology;
  /** UNBOUNDED: what a test started and the lab has to end. */
  readonly #servers: TunnelServer[] = [];
  readonly #peers: MptPeer[] = [];
  readonly #folders: TunnelFolder[] = [];

  private constructor(built: BuiltTopology) {
    this.built = built;
  }

  static async build({ delayMs, rateBps, paths = 2, sites = false }: PairTopology = {}): Promise<TunnelLab> {
    const links: LinkDescription[] = [];
    for (let path = 1; path <= paths; path++) {
      const rate = rateBps?.[path - 1];
      const end = (node: Side): LinkEnd => ({
        node,
        name: `eth${path}`,
        addresses: [prefix(`${pathAddress(node, path, 4)}/24`), prefix(`${pathAddress(node, path, 6)}/64`)],
        ...(rate === undefined ? {} : { rateBps: rate }),
      });
      const delay = delayMs?.[path - 1];
      links.push({
        name: `eth${path}`,
        ends: [end('a'), end('b')],
        ...(delay === undefined ? {} : { delayMs: delay }),
      });
    }
    const nodes: NodeDescription[] = ['a', 'b'].map((name) => ({ name, routes: [] }));
    if (sites) {
      for (const [index, [site, host]] of (
        [
          ['a', 'client'],
          ['b', 'server'],
        ] as const
      ).entries()) {
        const net = index + 1;
        const addresses = (last: number) => [
          prefix(`192.168.${net}.${last}/24`),
          prefix(`fd0${net}::${last}/64`),
        ];
        nodes.push({
          name: host,
          routes: [
            { gateway: `192.168.${net}.1`, link: 'lan' },
            { gateway: `fd0${net}::1`, link: 'lan' },
          ],
        });
        links.push({
          name: `lan${net}`,
          ends: [
            { node: site, name: 'lan', addresses: addresses(1) },
            { node: host, name: 'lan', addresses: addresses(10) },
          ],
        });
      }
    }
    return new TunnelLab(await BuiltTopology.build({ nodes, links }));
  }

  node(name: string): LabNode {
    return this.built.node(name);
  }

  /** A folder that goes with the lab. */
  folder(side: Side, options: PairOptions = {}): TunnelFolder {
    const folder = new TunnelFolder(folderTexts(side, options));
    this.#folders.push(folder);
    return folder;
  }

  async start(side: Side, folder: TunnelFolder, args?: readonly string[]): Promise<TunnelServer> {
    const server = await TunnelServer.start(this.node(side), folder, args);
    this.#servers.push(server);
    return server;
  }

  /** Weft on both sides. */
  async startBoth(options: PairOptions = {}): Promise<readonly [TunnelServer, TunnelServer]> {
    return Promise.all([
      this.start('a', this.folder('a', options)),
      this.start('b', this.folder('b', options)),
    ]);
  }

  /** The stand-in for the original. */
  startPeer(side: Side, options: PairOptions = {}, original: OriginalOptions = {}): MptPeer {
    const peer = MptPeer.start(this.node(side), folderTexts(side, options), original);
    this.#peers.push(peer);
    return peer;
  }

  /** Links with a delay: frames vanish, and nobody is told. */
  cut(path: number, isCut = true): void {
    this.built.userSpaceLink(`eth${path}`).control.blocked = isCut;
  }

  /** Frames of a path vanish at both ends, and nobody is told: by nftables, on any kind of link. */
  async silence(path: number, isSilent = true): Promise<void> {
    for (const side of ['a', 'b'] as const) {
      const table = `silence${path}`;
      const program = isSilent
        ? `table inet ${table} { chain c { type filter hook input priority 0; iifname "eth${path}" drop; }; }`
        : `delete table inet ${table}`;
      // oxlint-disable-next-line no-await-in-loop -- one side after the other
      const { code, stderr } = await this.node(side).run(['nft', program]);
      if (code !== 0) throw new Error(`nft: ${stderr}`);
    }
  }

  /** A side's link down or up, as `ip link set` does it. */
  setLink(side: Side, path: number, up: boolean): void {
    const node = this.node(side);
    node.netlink.setLink(node.linkIndex(`eth${path}`), { up });
  }

  async close(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.stop()));
    const running = this.#servers.filter(
      ({ program }) => program.process.exitCode === null && program.process.signalCode === null,
    );
    await Promise.allSettled(running.map((server) => server.stop()));
    await this.built.close();
    for (const folder of this.#folders) folder.remove();
  }
}
