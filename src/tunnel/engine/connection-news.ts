/**
 * What befalls a connection's paths, in the log and as events for who watches the tunnel. Not here: what follows from it
 * (live-connection.ts).
 *
 * Invariant: events come always; the log does not fill with lines that a peer can cause.
 */
import { monotonicUs } from '../../native/index.ts';
import { formatSendingVector } from '../client/server-text.ts';
import { TokenBucket } from '../data/token-bucket.ts';
import { buildSendingVector } from '../paths/sending-vector.ts';
import type { PeerNews } from '../peer/types.ts';
import type { PathLink } from './path-link.ts';
import type { ConnectionSurroundings } from './surroundings.ts';

/** BOUNDED: lines a second and at once, because a peer, and without a key anybody, can be the reason. */
const LOG_LINES = { perSecond: 1, burst: 100 } as const;

export class ConnectionNews {
  readonly #file: string;
  readonly #name: string;
  readonly #surroundings: ConnectionSurroundings;
  readonly #logLines = new TokenBucket(LOG_LINES.perSecond, LOG_LINES.burst);
  /** Lines that were left out since the last one. */
  #unlogged = 0;

  constructor(file: string, name: string, surroundings: ConnectionSurroundings) {
    this.#file = file;
    this.#name = name;
    this.#surroundings = surroundings;
  }

  /** The path has another private address. */
  tellAddress(link: PathLink): void {
    const of = this.#of(link);
    const { privateAddress, publicAddress } = link;
    this.#log({ ...of, privateAddress }, 'a path has another address');
    this.#surroundings.emit({ kind: 'address', ...of, privateAddress, publicAddress });
  }

  /** Somebody gave a path another weight. */
  tellWeights(links: readonly PathLink[], origin: 'file' | 'peer'): void {
    const weights = links.map(({ config }) => config.weightOut);
    const [file, name] = [this.#file, this.#name];
    this.#log({ file, name }, `weights of the paths are ${weights.join(':')} now`);
    this.#surroundings.emit({ kind: 'connection', file, name, action: 'changed', origin });
    this.#surroundings.print(formatSendingVector(buildSendingVector(weights), weights));
  }

  /** @param before the status code that it had */
  tellStatus(link: PathLink, before: number): void {
    const of = this.#of(link);
    const { isUsable, status } = link;
    this.#log({ ...of, status, before }, isUsable ? 'a path is up' : 'a path is down');
    this.#surroundings.emit({ kind: 'path-status', ...of, status, before, isUsable });
  }

  /** The path is as the news have made it. */
  tellPeer(link: PathLink, news: PeerNews): void {
    const { emit } = this.#surroundings;
    const tell = (what: 'weft' | 'original' | 'restarted' | 'moved', text: string) => {
      const of = this.#of(link);
      this.#log(of, text);
      emit({ kind: 'peer', ...of, news: what, text });
    };
    if (news.peer !== undefined) {
      tell(news.peer, news.peer === 'weft' ? 'the peer is Weft' : 'the peer is not Weft any more');
    }
    if (news.isRestarted) tell('restarted', 'the peer was started anew');
    if (news.moved !== undefined) {
      tell('moved', `the peer is at ${link.remoteAddress} port ${link.remotePort} now`);
    }
    if (news.hasNewMtu) emit({ kind: 'mtu', file: this.#file, path: link.index, mtu: link.mtu });
  }

  #of(link: PathLink): { readonly file: string; readonly name: string; readonly path: number } {
    return { file: this.#file, name: this.#name, path: link.index };
  }

  #log(of: Readonly<Record<string, unknown>>, text: string): void {
    if (!this.#logLines.take(monotonicUs())) {
      this.#unlogged++;
      return;
    }
    const unlogged = this.#unlogged;
    this.#unlogged = 0;
    this.#surroundings.logger.info({ ...of, ...(unlogged > 0 && { unlogged }) }, text);
  }
}
