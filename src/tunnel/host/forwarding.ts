/**
 * Lets packets pass between the tunnel and the networks behind this host: the kernel's forwarding settings, switched
 * on where a connection has networks, and put back at the end.
 *
 * IPv4 is switched on for the tunnel and the links of the networks only. IPv6 has that since Linux 6.17
 * (`force_forwarding`); before, it is a matter of the whole host (`conf/all/forwarding`), which makes links stop
 * listening to router advertisements and drop the default routes they brought, unless `accept_ra` is 2: that is set
 * first. NAT, and the firewall's view of forwarding, are left to the administrator.
 *
 * Invariant: a setting is put back only while it still has the value that was set here; every change stands in the
 * journal before it is made.
 *
 * References: Documentation/networking/ip-sysctl.rst.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorText, inPrefix, type Prefix } from '../../base/index.ts';
import { inNamespace } from '../../native/index.ts';
import type { NetworkConfig } from '../config/model.ts';
import type { HostLedger, OwnedSetting } from './host-journal.ts';
import type { LinkView } from './link-view.ts';

const SYS_NET = '/proc/sys/net';

/** Links between which packets have to pass, by IP version. */
export interface ForwardingLinks {
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
  /** Versions of which a network's source is everything: which links lead there, only the administrator knows. */
  readonly anywhere: readonly (4 | 6)[];
}

const overlaps = (a: Prefix, b: Prefix) => inPrefix(a.address, b) || inPrefix(b.address, a);

/** The tunnel and the links on which the networks' sources live (pure). */
export function forwardingLinks(
  tunnelName: string,
  networks: readonly NetworkConfig[],
  view: LinkView,
): ForwardingLinks {
  const linksOf = (ipVersion: 4 | 6): string[] => {
    const sources = networks.filter((network) => network.ipVersion === ipVersion);
    if (sources.length === 0) return [];
    const behind = view.links.filter((link) =>
      sources.some(
        // "Everything" says nothing about where it lives.
        ({ source }) =>
          source.length > 0 &&
          link.name !== tunnelName &&
          link.addresses.some((own) => overlaps({ address: own.address, length: own.prefixLength }, source)),
      ),
    );
    return [tunnelName, ...behind.map((link) => link.name)];
  };
  const anywhere = ([4, 6] as const).filter((version) =>
    networks.some(({ ipVersion, source }) => ipVersion === version && source.length === 0),
  );
  return { ipv4: linksOf(4), ipv6: linksOf(6), anywhere };
}

const canForce = (link: string) => existsSync(join(SYS_NET, `ipv6/conf/${link}/force_forwarding`));

export interface ForwardingOptions {
  /** File of the network namespace; default is this thread's own. */
  readonly netns?: string;
  /** `false`: IPv6 as on kernels before 6.17, whatever this one has. */
  readonly usesForce?: boolean;
}

export class Forwarding {
  readonly #ledger: HostLedger;
  readonly #netns: string | undefined;
  readonly #usesForce: boolean;
  #told: ReadonlySet<string> = new Set();

  /** Nothing happens before `apply`. */
  constructor(ledger: HostLedger, options: ForwardingOptions = {}) {
    this.#ledger = ledger;
    this.#netns = options.netns;
    this.#usesForce = options.usesForce ?? true;
  }

  /**
   * Switches on what is missing and puts back what is not wanted any more, also what a killed process left.
   * @returns what could not be done, in words, each only the first time
   * @throws what the journal throws, before anything has changed
   */
  apply(links: ForwardingLinks): readonly string[] {
    const work = () => this.#apply(links);
    const problems = this.#netns === undefined ? work() : inNamespace(this.#netns, work);
    const news = problems.filter((text) => !this.#told.has(text));
    this.#told = new Set(problems);
    return news;
  }

  /** Puts everything back. */
  restoreAll(): readonly string[] {
    return this.apply({ ipv4: [], ipv6: [], anywhere: [] });
  }

  #apply(links: ForwardingLinks): string[] {
    const problems: string[] = [];
    const wanted = this.#wanted(links);
    this.#restore(new Set(wanted.map(({ name }) => name)), problems);
    for (const { name, value } of wanted) this.#set(name, value, problems);
    for (const version of links.anywhere) {
      if (read(`ipv${version}/conf/all/forwarding`) !== '0') continue;
      problems.push(
        `a network's source is everything, and this host forwards IPv${version} from the tunnel only — set net.ipv${version}.conf.all.forwarding to 1 if it is to be a router`,
      );
    }
    return problems;
  }

  /** In the order in which they are to be set. */
  #wanted({ ipv4, ipv6 }: ForwardingLinks): { readonly name: string; readonly value: string }[] {
    const wanted = ipv4.map((link) => ({ name: `ipv4/conf/${link}/forwarding`, value: '1' }));
    if (ipv6.length === 0) return wanted;
    const owned = new Set(this.#ledger.settings.map(({ name }) => name));
    const all = 'ipv6/conf/all/forwarding';
    // Where the whole host forwards already, and not because of this tunnel, nothing has to be done.
    if (!owned.has(all) && read(all) === '1') return wanted;
    if (this.#usesForce && ipv6.every(canForce)) {
      return [...wanted, ...ipv6.map((link) => ({ name: `ipv6/conf/${link}/force_forwarding`, value: '1' }))];
    }
    for (const link of listLinks()) {
      const name = `ipv6/conf/${link}/accept_ra`;
      if (owned.has(name) || read(name) === '1') wanted.push({ name, value: '2' });
    }
    for (const link of listLinks()) {
      // Switching "all" off at the end switches every link off, so those that are on before are remembered.
      const name = `ipv6/conf/${link}/forwarding`;
      const before = this.#ledger.settings.find((setting) => setting.name === name);
      if (before === undefined ? !owned.has(all) && read(name) === '1' : true) {
        wanted.push({ name, value: '1' });
      }
    }
    return [...wanted, { name: all, value: '1' }];
  }

  #set(name: string, value: string, problems: string[]): void {
    const former = read(name);
    // No such link, or a kernel without that IP version: a change of the links brings the next try.
    if (former === undefined) return;
    const owned = this.#ledger.settings;
    const isOwned = owned.some((setting) => setting.name === name);
    const isRemembered = name.startsWith('ipv6/conf/') && name.endsWith('/forwarding');
    if (former === value && (isOwned || !isRemembered)) return;
    if (!isOwned) this.#ledger.setSettings([...owned, { name, former, set: value }]);
    try {
      if (former !== value) write(name, value);
    } catch (error) {
      if (!isOwned) this.#ledger.setSettings(owned);
      problems.push(
        `set net.${name.replaceAll('/', '.')} to ${value}: ${errorText(error)} — packets of networks behind this host are not forwarded`,
      );
    }
  }

  /** Everything that is owned and not in `kept`, in the order opposite to that of setting. */
  #restore(kept: ReadonlySet<string>, problems: string[]): void {
    const owned = this.#ledger.settings;
    const obsolete = owned.filter((setting) => !kept.has(setting.name));
    if (obsolete.length === 0) return;
    // Judged before anything is written: writing "all" changes the others.
    const mine = obsolete.filter((setting) => read(setting.name) === setting.set);
    for (const setting of mine.toReversed()) this.#putBack(setting, problems);
    this.#ledger.setSettings(owned.filter((setting) => kept.has(setting.name)));
  }

  #putBack({ former, name }: OwnedSetting, problems: string[]): void {
    try {
      if (read(name) !== former) write(name, former);
    } catch (error) {
      problems.push(`put net.${name.replaceAll('/', '.')} back to ${former}: ${errorText(error)}`);
    }
  }
}

/** `undefined`: there is no such setting now. */
function read(name: string): string | undefined {
  try {
    return readFileSync(join(SYS_NET, name), 'utf8').trim();
  } catch {
    return undefined;
  }
}

function write(name: string, value: string): void {
  writeFileSync(join(SYS_NET, name), value);
}

function listLinks(): string[] {
  try {
    return readdirSync(join(SYS_NET, 'ipv6/conf')).filter((name) => name !== 'all' && name !== 'default');
  } catch {
    return [];
  }
}
