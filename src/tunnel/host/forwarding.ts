/**
 * Lets packets pass between the tunnel and the networks behind this host: which links that takes (pure), and the
 * kernel's forwarding settings, switched on where a connection has networks, and put back at the end (by
 * ForwardingSettings of native, which is also where the difference between IPv4 and IPv6 is told).
 *
 * NAT, and the firewall's view of forwarding, are left to the administrator.
 *
 * References: Documentation/networking/ip-sysctl.rst.
 */
import { inPrefix, type Prefix } from '../../base/index.ts';
import {
  ForwardingSettings,
  inNamespace,
  readNetworkSetting,
  type ForwardingSettingsOptions,
} from '../../native/index.ts';
import type { NetworkConfig } from '../config/model.ts';
import type { HostLedger } from './host-journal.ts';
import type { LinkView } from './link-view.ts';

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

export type ForwardingOptions = ForwardingSettingsOptions;

export class Forwarding {
  readonly #settings: ForwardingSettings;
  readonly #netns: string | undefined;
  #told: ReadonlySet<string> = new Set();

  /** Nothing happens before `apply`. */
  constructor(ledger: HostLedger, options: ForwardingOptions = {}) {
    this.#settings = new ForwardingSettings(ledger, options);
    this.#netns = options.netns;
  }

  /**
   * Switches on what is missing and puts back what is not wanted any more, also what a killed process left.
   * @returns what could not be done, in words, each only the first time
   * @throws what the journal throws, before anything has changed
   */
  apply(links: ForwardingLinks): readonly string[] {
    const problems: string[] = [];
    this.#settings.apply(links, (doing, error) => {
      const consequence = doing.startsWith('set')
        ? ' — packets of networks behind this host are not forwarded'
        : '';
      problems.push(`${doing}: ${error}${consequence}`);
    });
    const judge = () => problems.push(...missingEverywhere(links));
    if (this.#netns === undefined) judge();
    else inNamespace(this.#netns, judge);
    const news = problems.filter((text) => !this.#told.has(text));
    this.#told = new Set(problems);
    return news;
  }

  /** Puts everything back. */
  restoreAll(): readonly string[] {
    return this.apply({ ipv4: [], ipv6: [], anywhere: [] });
  }
}

function missingEverywhere({ anywhere }: ForwardingLinks): string[] {
  return anywhere
    .filter((version) => readNetworkSetting(`ipv${version}/conf/all/forwarding`) === '0')
    .map(
      (version) =>
        `a network's source is everything, and this host forwards IPv${version} from the tunnel only — set net.ipv${version}.conf.all.forwarding to 1 if it is to be a router`,
    );
}
