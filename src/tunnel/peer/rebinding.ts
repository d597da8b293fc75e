/**
 * Where the peer of a path is, and where it sees us (pure). A peer moves when its address changes or a translator on
 * the way gives it another port; it is followed only if that is authentic under a key that is a secret.
 *
 * Invariant: `learn` is called for authentic keepalives of the session that counts, and nothing else moves the peer.
 */
import { equalBytes } from '../control/authentication.ts';
import type { PeerAddress } from './types.ts';

const NOWHERE: PeerAddress = { address: new Uint8Array(16), port: 0 };

export class Rebinding {
  readonly #mayLearn: boolean;
  #remote: PeerAddress | undefined;
  #seenAt = NOWHERE;
  #observed: PeerAddress | undefined;

  constructor(remote: PeerAddress | undefined, mayLearn: boolean) {
    this.#remote = remote;
    this.#mayLearn = mayLearn;
  }

  /** Where the last keepalive came from: what the peer is told. */
  get seenAt(): PeerAddress {
    return this.#seenAt;
  }

  /** Where the peer sees us. */
  get observed(): PeerAddress | undefined {
    return this.#observed;
  }

  see(from: PeerAddress): void {
    this.#seenAt = from;
  }

  /** Whether that is another address or port than the peer's, and may become it. */
  isElsewhere(from: PeerAddress): boolean {
    return this.#mayLearn && (this.#remote === undefined || !isSame(this.#remote, from));
  }

  /** @returns whether the peer is there now and was not before */
  learn(from: PeerAddress): boolean {
    if (!this.isElsewhere(from)) return false;
    this.#remote = from;
    return true;
  }

  /** The peer tells where it sees us. @returns whether that is new */
  observe({ address, port }: PeerAddress): boolean {
    if (this.#observed !== undefined && isSame(this.#observed, { address, port })) return false;
    this.#observed = { address: address.slice(), port };
    return true;
  }
}

function isSame(a: PeerAddress, b: PeerAddress): boolean {
  return a.port === b.port && equalBytes(a.address, b.address);
}
