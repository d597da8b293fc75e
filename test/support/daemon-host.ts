/**
 * The path-management daemon on a host with uplinks (up-host.ts): its endpoints are read with Debian's ip, so that
 * Weft is not its own witness. The record of endpoints is the real one, in the host's own folder.
 */
import type { OwnershipJournal, PathDaemonOptions } from '../../src/pathmanager/index.ts';
import { PathDaemon } from '../../src/pathmanager/index.ts';
import { EndpointFlag } from '../../src/mptcp/index.ts';
import { namespaceIdentity } from '../../src/service/namespace-identity.ts';
import { StateJournal } from '../../src/service/state.ts';
import { until, UpHost } from './up-host.ts';

export type DaemonChoice = Partial<Omit<PathDaemonOptions, 'notify'>> & {
  readonly notify?: Partial<PathDaemonOptions['notify']>;
};

export const NOTIFY = { existing: true, skipLinkLocal: true, skipLoopback: true, checkRoute: false };

/** What a test leaves open of the options. */
export function daemonOptions(
  host: UpHost,
  journal: OwnershipJournal,
  { notify, ...choice }: DaemonChoice = {},
): PathDaemonOptions {
  return {
    logger: host.logger,
    netns: host.path,
    loadPlugins: ['addr_adv'],
    addressFlags: EndpointFlag.subflow,
    notify: { ...NOTIFY, ...notify },
    rules: [],
    pluginSettings: new Map(),
    journal,
    keepEndpoints: false,
    ...choice,
  };
}

export class DaemonHost extends UpHost {
  #journal: StateJournal | undefined;
  #daemon: PathDaemon | undefined;

  get daemon(): PathDaemon {
    if (this.#daemon === undefined) throw new Error('no daemon runs');
    return this.#daemon;
  }

  async run(choice: DaemonChoice = {}): Promise<PathDaemon> {
    this.#journal = StateJournal.open(this.stateFolder, namespaceIdentity(this.path), this.logger);
    this.#daemon = new PathDaemon(daemonOptions(this, this.#journal, choice));
    await this.#daemon.start();
    return this.#daemon;
  }

  /** Options for `reload`. */
  options(choice: DaemonChoice = {}): PathDaemonOptions {
    return daemonOptions(this, this.#journal!, choice);
  }

  async end(): Promise<void> {
    await this.#daemon?.stop();
    this.#journal?.close();
    this.#daemon = undefined;
    this.#journal = undefined;
  }

  /** `c1 10.1.0.2`, sorted: the link that each endpoint is bound to, and its address. */
  places(): string[] {
    return this.endpoints()
      .map((line) => {
        const [address = ''] = line.split(' ');
        return `${/ dev (\S+)/.exec(line)?.[1] ?? '-'} ${address}`;
      })
      .sort();
  }

  /** Waits until endpoints stand exactly there. */
  async placed(...places: readonly string[]): Promise<void> {
    const wanted = [...places].sort().join(', ');
    try {
      await until(() => this.places().join(', ') === wanted, `endpoints ${wanted}`);
    } catch (error) {
      throw new Error(`${String(error)}; there are ${this.places().join(', ')}`, { cause: error });
    }
  }

  /** Waits until every change so far is taken in: an address that was set after all of them has its endpoint. */
  async caughtUp(): Promise<void> {
    const mark = '10.255.255.1';
    this.ip('link add mark type veth peer name mark-peer');
    this.ip('link set mark-peer up');
    this.ip('link set mark up');
    this.ip(`addr add ${mark}/32 dev mark`);
    await until(() => this.places().includes(`mark ${mark}`), 'the mark to be seen');
    this.ip('link delete mark');
    await until(() => this.idOf(mark) === undefined, 'the mark to be gone');
  }

  /** The id of an address's endpoint. */
  idOf(address: string): number | undefined {
    const line = this.endpoints().find((text) => text.startsWith(`${address} `));
    const id = / id (\d+)/.exec(line ?? '')?.[1];
    return id === undefined ? undefined : Number(id);
  }

  /** What the daemon says of an address. */
  verdict(address: string): string | undefined {
    const known = this.daemon.status().interfaces.flatMap(({ addresses }) => addresses);
    return known.find((item) => item.address === address)?.verdict;
  }

  override async close(): Promise<void> {
    await this.end();
    await super.close();
  }
}
