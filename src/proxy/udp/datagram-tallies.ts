/**
 * What is counted of datagrams. Plain data.
 */
import { Tally } from '../counters.ts';

export class DatagramTallies {
  /** Associations since the start. */
  associations = 0;
  up = 0;
  down = 0;
  /** Payload. */
  bytesUp = 0;
  bytesDown = 0;
  /** Datagrams that went no further, by reason. */
  readonly drops = new Tally();

  drop(reason: string, count = 1): void {
    if (count > 0) this.drops.add(reason, count);
  }
}
