/**
 * The tunnel on this host: its device, the watch over the links, routes and forwarding. Reads what paths have of the
 * host, and brings the host to what the connections need.
 *
 * Invariant: after `close` everything is as before `open`; what could not be undone stands in the journal.
 */
import { errorText, type Logger } from '../../base/index.ts';
import { monotonicUs } from '../../native/index.ts';
import { RouteNetlink } from '../../netlink/index.ts';
import type { InterfaceConfig, PathConfig } from '../config/model.ts';
import { TokenBucket } from '../data/token-bucket.ts';
import { Forwarding, forwardingLinks } from '../host/forwarding.ts';
import { findsWayAlone, lookUpDefaultGateway } from '../host/gateway.ts';
import { HostLedger, type HostJournal } from '../host/host-journal.ts';
import { LinkWatch } from '../host/link-watch.ts';
import type { LinkView } from '../host/link-view.ts';
import { wantedRoutes, type RoutedConnection } from '../host/plan-routes.ts';
import { TunnelDevice } from '../host/tunnel-device.ts';
import { TunnelRoutes } from '../host/tunnel-routes.ts';
import type { LiveConnection } from './live-connection.ts';
import { readPathHost, type DefaultGatewayLookup, type PathHost } from './path-host.ts';

/** How often the tunnel's addresses are given back. */
const RESTORES_PER_SECOND = 1 / 60;
const RESTORES_BURST = 5;

export interface HostSideOptions {
  readonly config: InterfaceConfig;
  readonly journal: HostJournal;
  readonly logger: Logger;
  /** Links, addresses or routes that matter changed: `refresh`. */
  readonly onChange: () => void;
  /** Something could not be had, in words; each once. */
  readonly onProblem: (text: string) => void;
  /** Somebody deleted the device. Called once. */
  readonly onDeviceGone: () => void;
}

export class HostSide {
  readonly device: TunnelDevice;
  readonly netlink: RouteNetlink;
  readonly #options: HostSideOptions;
  readonly #watch: LinkWatch;
  readonly #routes: TunnelRoutes;
  readonly #forwarding: Forwarding;
  readonly #restores = new TokenBucket(RESTORES_PER_SECOND, RESTORES_BURST);
  #isClosed = false;
  #isDeviceGone = false;

  private constructor(
    options: HostSideOptions,
    parts: { readonly device: TunnelDevice; readonly netlink: RouteNetlink; readonly watch: LinkWatch },
  ) {
    this.#options = options;
    this.device = parts.device;
    this.netlink = parts.netlink;
    this.#watch = parts.watch;
    const ledger = new HostLedger(options.journal);
    this.#routes = new TunnelRoutes(parts.netlink, ledger);
    this.#forwarding = new Forwarding(ledger);
  }

  /** All or nothing. Throws what `TunnelDevice.open` throws. */
  static open(options: HostSideOptions): HostSide {
    const { config, logger } = options;
    const netlink = RouteNetlink.open();
    let device: TunnelDevice | undefined;
    let watch: LinkWatch | undefined;
    try {
      device = TunnelDevice.open({
        name: config.name,
        mtuBytes: config.mtu,
        ...(config.ipv4 && { ipv4: config.ipv4 }),
        ...(config.ipv6 && { ipv6: config.ipv6 }),
      });
      watch = LinkWatch.start({ logger, onChange: () => options.onChange() });
      return new HostSide(options, { device, netlink, watch });
    } catch (error) {
      watch?.close();
      device?.close();
      netlink.close();
      throw error;
    }
  }

  /** Takes another MTU; another device is another `HostSide`. */
  setConfig(config: InterfaceConfig): void {
    try {
      this.device.setMtu(config.mtu);
    } catch (error) {
      this.#options.onProblem(errorText(error));
    }
  }

  get view(): LinkView {
    return this.#watch.view;
  }

  /** Reads the links anew, for who has just changed one. */
  readNow(): LinkView {
    return this.#watch.readNow();
  }

  pathHost(config: PathConfig, remoteAddress: string): PathHost {
    return readPathHost(config, remoteAddress, this.#watch.view, this.#lookUp());
  }

  /** Asks for each link once: hundreds of paths may share it. BOUNDED: by the links; lives for one reading. */
  #lookUp(): DefaultGatewayLookup {
    const known = new Map<string, string | undefined>();
    return (linkIndex, ipVersion) => {
      const key = `${linkIndex} ${ipVersion}`;
      if (!known.has(key)) known.set(key, lookUpDefaultGateway(this.netlink, linkIndex, ipVersion));
      return known.get(key);
    };
  }

  /** Tells the connections what the host has for their paths, and makes the routes and settings that they need. */
  refresh(connections: readonly LiveConnection[]): void {
    if (this.#isClosed) return;
    if (!this.#isDeviceGone && this.view.link(this.device.name)?.index !== this.device.linkIndex) {
      this.#isDeviceGone = true;
      this.#options.onDeviceGone();
    }
    if (this.#isDeviceGone) return;
    this.#restoreAddresses();
    const { config } = this.#options;
    const lookUp = this.#lookUp();
    for (const connection of connections) {
      connection.setHosts(
        connection.links.map((link) => readPathHost(link.config, link.remoteAddress, this.view, lookUp)),
      );
    }
    const tunnel = {
      name: this.device.name,
      linkIndex: this.device.linkIndex,
      ...(config.ipv4 && { ipv4: config.ipv4 }),
      ...(config.ipv6 && { ipv6: config.ipv6 }),
    };
    const wanted = wantedRoutes(
      tunnel,
      connections.map((connection) => this.#routed(connection, lookUp)),
    );
    this.#tell(() => this.#routes.apply(wanted).news);
    // A peer does not make this host a router: its connection counts when the administrator has saved it.
    const networks = connections
      .filter(({ origin }) => origin === 'file')
      .flatMap((connection) => connection.config.networks);
    this.#tell(() => this.#forwarding.apply(forwardingLinks(this.device.name, networks, this.view)));
  }

  /**
   * The kernel takes IPv6 addresses off a link that is switched off, and other programs may take off whatever they do not
   * know. Who does so again and again wins at last.
   */
  #restoreAddresses(): void {
    const link = this.view.link(this.device.name);
    if (link?.isUp !== true) return;
    const missing = this.device.addresses.filter(
      ({ address }) => !link.addresses.some((own) => own.address === address),
    );
    if (missing.length === 0 || !this.#restores.take(monotonicUs())) return;
    for (const prefix of missing) {
      this.#tell(() => {
        this.device.addAddress(prefix);
        return [`the address ${prefix.address} of ${this.device.name} was gone, and was given back`];
      });
    }
    this.readNow();
  }

  /** Removes everything; the data plane has ended before. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch.close();
    this.#tell(() => this.#forwarding.restoreAll());
    this.#tell(() => this.#routes.removeAll().news);
    this.device.close();
    this.netlink.close();
  }

  #routed(connection: LiveConnection, lookUp: DefaultGatewayLookup): RoutedConnection {
    const { config, innerMtu } = connection;
    return {
      localAddress: config.localAddress,
      remoteAddress: config.remoteAddress,
      networks: config.networks,
      ...(innerMtu < this.device.mtuBytes && { mtuBytes: innerMtu }),
      paths: connection.links.map((link) => {
        const { host } = link;
        const isNamedByPeer =
          connection.origin === 'peer' || link.remoteAddress !== link.config.remoteAddress;
        const isLeftAlone =
          isNamedByPeer &&
          host.isTied &&
          host.linkIndex !== undefined &&
          findsWayAlone(host.gateway, lookUp(host.linkIndex, link.config.ipVersion));
        return {
          interfaceName: host.linkName,
          ...(host.linkIndex !== undefined && { linkIndex: host.linkIndex }),
          remoteAddress: link.remoteAddress,
          isLeftAlone,
          ...(host.gateway.gateway !== undefined && { gateway: host.gateway.gateway }),
          ...(link.resolver !== undefined && { resolver: link.resolver }),
        };
      }),
    };
  }

  #tell(work: () => readonly string[]): void {
    try {
      for (const text of work()) this.#options.onProblem(text);
    } catch (error) {
      this.#options.onProblem(errorText(error));
    }
  }
}
