/**
 * Addresses for the cables between a Mac and its guest (pure): a /30 for each, out of private space that no address
 * and no route of the Mac covers. A device's name says where the search begins, so that it keeps its addresses from
 * one start to the next where the networks around let it.
 */
import { createHash } from 'node:crypto';
import { inPrefix, WeftError, type Prefix } from '../../base/index.ts';

const LENGTH = 30;
/** BOUNDED: of 10.0.0.0/8, which has 4 million; a large prime apart. */
const TRIES = 4096;
const STRIDE = 7919;
const COUNT = 2 ** (LENGTH - 8);

/** `10.0.0.0` and four times so many further. */
function networkAt(place: number): string {
  const value = place * 4;
  return `10.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

const overlaps = (a: Prefix, b: Prefix) => inPrefix(a.address, b) || inPrefix(b.address, a);

export class PrefixChooser {
  readonly #machineId: string;
  readonly #taken: Prefix[];

  /** @param taken networks in use; a default route (length 0) is none */
  constructor(machineId: string, taken: readonly Prefix[]) {
    this.#machineId = machineId;
    this.#taken = taken.filter(({ length }) => length > 0);
  }

  /** @throws WeftError NO_PREFIX: private space is full */
  choose(device: string): Prefix {
    const start = createHash('sha256').update(`${this.#machineId}/${device}`).digest().readUInt32BE(0);
    for (let i = 0; i < TRIES; i++) {
      const prefix = { address: networkAt((start + i * STRIDE) % COUNT), length: LENGTH };
      if (this.#taken.some((other) => overlaps(prefix, other))) continue;
      this.#taken.push(prefix);
      return prefix;
    }
    throw new WeftError(`no free addresses for the cable to "${device}" in 10.0.0.0/8`, {
      code: 'NO_PREFIX',
      hint: 'a route to all of 10.0.0.0/8, of a VPN for instance, takes them; end it while the appliance runs',
    });
  }
}

/** .1 for the Mac, .2 for the guest. */
export function endsOf({ address }: Prefix): { readonly host: string; readonly guest: string } {
  const [a, b, c, d] = address.split('.').map(Number);
  const at = (n: number) => `${a}.${b}.${c}.${(d ?? 0) + n}`;
  return { host: at(1), guest: at(2) };
}
