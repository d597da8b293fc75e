/**
 * A running `weft serve`: the far end, its files, and how the service manager and the log hear of it.
 *
 * Invariant: a reload that fails changes nothing. Tokens are in no log and no status line.
 */
import { hostname, userInfo } from 'node:os';
import { errorText, formatSocketAddress, type Logger, type Prefix } from '../../base/index.ts';
import { readHostAddresses } from '../../netlink/index.ts';
import { FarServer, type FarCounters, type ListenAddress } from '../../proxy/index.ts';
import type { ServiceManager } from '../daemon/notify.ts';
import { laptopAdvice, publicAddress } from './far-advice.ts';
import { ensureTokenFile, readFarAccess, tokenFileOf, type FarFiles } from './far-files.ts';

export interface FarServiceOptions {
  readonly listen: readonly ListenAddress[];
  readonly files: FarFiles;
  readonly allow: readonly Prefix[];
  readonly multipath: boolean;
  /** Somebody reads what is shown, and nobody keeps it. */
  readonly isTerminal: boolean;
  readonly logger: Logger;
  readonly manager: ServiceManager;
}

const STATUS_EVERY_MS = 10_000;

const ownAddresses = () => readHostAddresses().map(({ address }) => address);

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'root';
  }
}

export class FarService {
  readonly #options: FarServiceOptions;
  readonly #server: FarServer;
  readonly #newToken: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failuresTold = 0;

  private constructor(options: FarServiceOptions, server: FarServer, newToken: string | undefined) {
    this.#options = options;
    this.#server = server;
    this.#newToken = newToken;
  }

  /** @throws WeftError: a file or an address that cannot be used; nothing runs then */
  static async start(options: FarServiceOptions): Promise<FarService> {
    const { listen, allow, multipath, logger, files } = options;
    const tokenFile = tokenFileOf(files);
    const newToken = tokenFile === undefined ? undefined : ensureTokenFile(tokenFile);
    if (newToken !== undefined) logger.info({ tokenFile }, `made the token file ${tokenFile}`);
    const server = new FarServer({ listen, access: readFarAccess(files), allow, multipath, logger });
    await server.start();
    const service = new FarService(options, server, newToken);
    service.#begin();
    return service;
  }

  #begin(): void {
    const { logger, manager } = this.#options;
    const at = this.addresses.join(' and ');
    const how =
      this.#server.protocol === 'mptcp' ? '' : ' (plain TCP: this kernel has no MPTCP, or it is off)';
    logger.info({}, `the far end listens on ${at}${how}`);
    manager.ready(`listens on ${at}`);
    this.#timer = setInterval(() => this.#tell(), STATUS_EVERY_MS);
    this.#timer.unref();
  }

  #tell(): void {
    const { logger, manager } = this.#options;
    const { tunnelsOpen, udpFlowsOpen, handshakesFailed } = this.counters();
    manager.status(
      `${tunnelsOpen} tunnels and ${udpFlowsOpen} flows open, ${handshakesFailed} handshakes failed`,
    );
    if (handshakesFailed === this.#failuresTold) return;
    const more = handshakesFailed - this.#failuresTold;
    this.#failuresTold = handshakesFailed;
    logger.warn(
      { handshakesFailed },
      `${more} connections did not prove who they are from, ${handshakesFailed} in all`,
    );
  }

  /** With real port numbers. */
  get addresses(): readonly string[] {
    return this.#server.addresses.map(({ address, port }) => formatSocketAddress(address, port));
  }

  /** What to type at the laptop. */
  advice(): readonly string[] {
    const { listen, files, isTerminal } = this.#options;
    const tokenFile = tokenFileOf(files);
    return laptopAdvice({
      address: publicAddress(listen, ownAddresses(), hostname()),
      port: this.#server.addresses[0]?.port ?? 0,
      user: userName(),
      isTerminal,
      ...(tokenFile === undefined ? {} : { tokenFile }),
      ...(this.#newToken === undefined ? {} : { newToken: this.#newToken }),
    });
  }

  counters(): FarCounters {
    return this.#server.counters();
  }

  /** Reads tokens and certificates again; tunnels of clients that are still known go on. */
  reload(): void {
    const { logger, manager, files } = this.#options;
    manager.reloading();
    try {
      const access = readFarAccess(files);
      this.#server.setAccess(access);
      logger.info({ tokens: access.tokens.length }, 'tokens and certificates were read again');
    } catch (error) {
      logger.error({}, `nothing was changed: ${errorText(error)}`);
    }
    manager.ready(`listens on ${this.addresses.join(' and ')}`);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#options.manager.stopping();
    await this.#server.stop();
  }
}
