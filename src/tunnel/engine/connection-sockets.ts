/**
 * The sockets of a connection's paths: all on one port, following the addresses that the paths have.
 *
 * Invariant: a socket that the data plane may use is closed only by `closeAll` and by who takes it with `takeRetired`; they know
 * that it does not.
 */
import type { Logger } from '../../base/index.ts';
import { SystemError } from '../../native/index.ts';
import { unspecified } from '../config/section-reader.ts';
import type { PathLink } from './path-link.ts';
import { PathSocket, socketKey, type PathSocketOptions } from './path-socket.ts';

/** BOUNDED: free ports that are tried. */
const PORT_TRIES = 16;

/** Such a path needs a descriptor all the same; nothing goes over it until it has an address. */
const hasNoAddress = ({ config, host }: PathLink): boolean =>
  !host.isPresent && host.localAddress === unspecified(config.ipVersion);

export class ConnectionSockets {
  readonly #links: readonly PathLink[];
  /** As configured; 0: any. */
  readonly #wanted: number;
  readonly #logger: Logger;
  /** Of the sockets that have an address; 0 before the first. */
  #port = 0;
  /** Sockets that the data plane may still use. BOUNDED by the paths, a few times over. */
  #retired: PathSocket[] = [];

  constructor(links: readonly PathLink[], port: number, logger: Logger) {
    this.#links = links;
    this.#wanted = port;
    this.#logger = logger;
  }

  /** The data port; before `open` as configured. */
  get port(): number {
    return this.#port === 0 ? this.#wanted : this.#port;
  }

  /**
   * Opens one for each path. All or none. Those of `former` are taken over where they fit.
   * @throws SystemError EADDRINUSE …
   */
  open(former?: ConnectionSockets): void {
    if (this.#wanted === 0 && former !== undefined) this.#port = former.#port;
    for (let tries = 1; ; tries++) {
      try {
        this.#tryOpen(former);
        return;
      } catch (error) {
        this.#port = 0;
        const isTaken = error instanceof SystemError && error.code === 'EADDRINUSE';
        // Any port will do, but it must be free on the addresses of all paths.
        if (!isTaken || this.#wanted !== 0 || tries >= PORT_TRIES) throw error;
      }
    }
  }

  #tryOpen(former: ConnectionSockets | undefined): void {
    const heirlooms = new Map<string, PathLink>();
    for (const link of former === undefined ? [] : former.#links) {
      if (link.socket?.key !== undefined) heirlooms.set(link.socket.key, link);
    }
    const opened: PathSocket[] = [];
    const taken: PathLink[] = [];
    try {
      for (const link of this.#links) {
        const options = this.#optionsOf(link);
        const key = socketKey(options);
        const heirloom = key === undefined ? undefined : heirlooms.get(key);
        if (heirloom?.socket !== undefined && !taken.includes(heirloom)) {
          taken.push(heirloom);
          link.setSocket(heirloom.socket);
          continue;
        }
        const socket = PathSocket.open(options, this.#logger);
        opened.push(socket);
        this.#give(link, socket);
      }
    } catch (error) {
      for (const link of this.#links) link.takeSocket();
      for (const socket of opened) socket.close();
      throw error;
    }
    for (const link of taken) link.takeSocket();
  }

  /** Whether the path's socket is not the one that it should have now. */
  isOutdated(link: PathLink): boolean {
    return link.socket !== undefined && link.socket.key !== socketKey(this.#optionsOf(link));
  }

  /**
   * Gives a path the socket that it should have now; the former one waits for `takeRetired`.
   * @returns whether it has another address
   * @throws SystemError EADDRINUSE …; the former one stays then
   */
  replace(link: PathLink): boolean {
    const address = link.socket?.localAddress;
    const before = this.#give(link, PathSocket.open(this.#optionsOf(link), this.#logger));
    if (before !== undefined) this.#retired.push(before);
    return address !== link.privateAddress;
  }

  #give(link: PathLink, socket: PathSocket): PathSocket | undefined {
    if (this.#port === 0 && !hasNoAddress(link)) this.#port = socket.port;
    return link.setSocket(socket);
  }

  /** Those that no path has any more, for who makes sure that the data plane has them no more either. */
  takeRetired(): PathSocket[] {
    return this.#retired.splice(0);
  }

  /** They could not be taken away from the data plane. */
  putBack(retired: readonly PathSocket[]): void {
    this.#retired.push(...retired);
  }

  /** For who knows that the data plane uses none of them. */
  closeAll(): void {
    for (const link of this.#links) link.takeSocket()?.close();
    for (const socket of this.#retired.splice(0)) socket.close();
  }

  /** What the sockets of paths that share one address and port are opened with; each address once. */
  get shared(): PathSocketOptions[] {
    const found = new Map<string, PathSocketOptions>();
    for (const link of this.#links) {
      const { peer, ...options } = this.#optionsOf(link);
      if (peer !== undefined) found.set(`${options.localAddress} ${options.port}`, options);
    }
    return [...found.values()];
  }

  #optionsOf(link: PathLink): PathSocketOptions {
    const { config, host } = link;
    const hasNone = hasNoAddress(link);
    const sharing = this.#links.filter(
      (other) => other.host.localAddress === host.localAddress && other.config.ipVersion === config.ipVersion,
    );
    const isShared = sharing.length > 1 && link.remoteAddress !== unspecified(config.ipVersion);
    return {
      ipVersion: config.ipVersion,
      localAddress: host.localAddress,
      port: hasNone ? 0 : this.port,
      ...(host.isTied && host.linkIndex !== undefined && { linkIndex: host.linkIndex }),
      ...(isShared && !hasNone && { peer: { address: link.remoteAddress, port: link.remotePort } }),
    };
  }
}
