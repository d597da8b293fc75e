/**
 * Tells a connection's peer over the command port what became of its paths: one exchange a path at a time, over the
 * paths that are good, one after the other until an answer comes. Weft peers hear it in keepalives as well.
 *
 * Invariant: nothing is sent while no path is good; the original talks to itself then.
 */
import { errorText, formatSocketAddress } from '../../base/index.ts';
import type { SocketAddress } from '../../native/index.ts';
import { formatAllPathsDown } from '../client/server-text.ts';
import type { ConnectionConfig } from '../config/model.ts';
import { keyOf } from '../control/authentication.ts';
import { describeFailure } from '../control/exchange.ts';
import { ControlCommand } from '../control/message.ts';
import { emitPathChange, PathStatus } from '../control/path-status.ts';
import type { PathWord } from '../paths/path-state.ts';
import type { PathLink } from './path-link.ts';
import { mappedAddress, type ConnectionSurroundings } from './surroundings.ts';

export class PathTeller {
  readonly #file: string;
  readonly #config: ConnectionConfig;
  readonly #links: readonly PathLink[];
  readonly #surroundings: ConnectionSurroundings;
  /** Paths whose word is on its way. BOUNDED by the paths. */
  readonly #underWay = new Set<number>();
  /** Which target is next: another one after each that brought no answer. */
  #tries = 0;
  #learned: SocketAddress | undefined;
  #isAllDownTold = false;

  constructor(
    file: string,
    config: ConnectionConfig,
    links: readonly PathLink[],
    surroundings: ConnectionSurroundings,
  ) {
    this.#file = file;
    this.#config = config;
    this.#links = links;
    this.#surroundings = surroundings;
  }

  /**
   * The peer's command port is seen here: behind a translator it is not where the configuration says. For requests that
   * were authentic only.
   */
  learn(address: SocketAddress): void {
    if (this.#config.authType === 2) this.#learned = address;
  }

  /** Some path changed: that all are down may be told again. */
  handleChange(): void {
    this.#isAllDownTold = false;
  }

  /** Nothing happens while the path's last word is still on its way; whoever has a new one says it again. */
  async tell(link: PathLink, word: PathWord): Promise<void> {
    if (this.#underWay.has(link.index)) return;
    const { emit, logger, onDeadline, port, print } = this.#surroundings;
    const targets = this.#targets(link, word);
    const target = targets[this.#tries % Math.max(1, targets.length)];
    if (target === undefined) {
      if (!this.#isAllDownTold) print(formatAllPathsDown(this.#config.name));
      this.#isAllDownTold = true;
      return;
    }
    const config = this.#config;
    const { to, via } = target;
    this.#underWay.add(link.index);
    try {
      const outcome = await port().exchange({
        request: {
          command: ControlCommand.pathStatus,
          status: word,
          authType: config.authType,
          ipVersion: config.ipVersion,
          ipLocal: mappedAddress(config.localAddress),
          ipRemote: mappedAddress(config.remoteAddress),
          body: emitPathChange({
            publicAddress: mappedAddress(link.publicAddress),
            remoteAddress: mappedAddress(link.remoteAddress),
          }),
        },
        key: keyOf(config.authKey),
        to,
        ...(via?.origin !== undefined && { origin: via.origin }),
      });
      const isDelivered = outcome.answered && outcome.code === 0;
      if (isDelivered) link.wordDelivered(word);
      else this.#tries++;
      emit({
        kind: 'exchange',
        direction: 'out',
        command: 'path-status',
        file: this.#file,
        peer: formatSocketAddress(to.address, to.port),
        code: outcome.code,
        text: isDelivered ? 'done' : describeFailure(outcome),
      });
    } catch (error) {
      logger.debug({ file: this.#file, error: errorText(error) }, 'the peer could not be told of a path');
    } finally {
      this.#underWay.delete(link.index);
      onDeadline();
    }
  }

  /** Over each path that is good, and first where the peer was last heard. */
  #targets(link: PathLink, word: PathWord): { readonly to: SocketAddress; readonly via?: PathLink }[] {
    const port = this.#config.remoteCommandPort;
    const usable = this.#links.filter(
      (other) => other.isUsable || (other === link && word === PathStatus.ok),
    );
    const targets = usable.map((via) => ({ to: { address: via.remoteAddress, port }, via }));
    const learned = this.#learned;
    if (learned === undefined || targets.length === 0) return targets;
    const isKnown = targets.some(({ to }) => to.address === learned.address && to.port === learned.port);
    return isKnown ? targets : [{ to: learned }, ...targets];
  }
}
