/**
 * What to type at the laptop, so that it uses this far end. Pure.
 *
 * Invariant: a token is only ever in the lines for the terminal of who has just made it.
 */
import {
  formatSocketAddress,
  inPrefix,
  isIpv6,
  isLinkLocal,
  isLoopback,
  type Prefix,
} from '../../base/index.ts';
import type { ListenAddress } from '../../proxy/index.ts';

const PRIVATE: readonly Prefix[] = [
  { address: '10.0.0.0', length: 8 },
  { address: '100.64.0.0', length: 10 },
  { address: '172.16.0.0', length: 12 },
  { address: '192.168.0.0', length: 16 },
  { address: 'fc00::', length: 7 },
];

const isPublic = (address: string): boolean => !PRIVATE.some((prefix) => inPrefix(address, prefix));

/** The address that a laptop elsewhere reaches this machine by, as far as the machine can know. */
export function publicAddress(
  listen: readonly ListenAddress[],
  own: readonly string[],
  hostName: string,
): string {
  const given = listen.find(({ address }) => address !== '::' && address !== '0.0.0.0');
  if (given !== undefined) return given.address;
  const usable = own.filter((address) => !isLoopback(address) && !isLinkLocal(address));
  const v4First = usable.sort((a, b) => Number(isIpv6(a)) - Number(isIpv6(b)));
  // Behind a provider's NAT the machine does not know its address; its name is the better guess.
  return v4First.find(isPublic) ?? hostName;
}

export interface AdviceFacts {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly tokenFile?: string;
  /** Just made, and told to nobody yet. */
  readonly newToken?: string;
  readonly isTerminal: boolean;
}

const LOCAL_FILE = 'weft.token';

/** Lines to show, in order. */
export function laptopAdvice(facts: AdviceFacts): string[] {
  const { address, port, user, tokenFile, newToken, isTerminal } = facts;
  const url = `weft://${formatSocketAddress(address, port)}`;
  if (tokenFile === undefined) {
    return [
      `at the laptop: [upstream.vps] url = "${url}", cert_file and key_file in its rules; see docs/serve.md`,
    ];
  }
  const up = `sudo weft up --upstream ${url} --token-file ${LOCAL_FILE}`;
  if (newToken !== undefined && isTerminal) {
    return [
      'at the laptop (who has this token may use this far end; it is shown only now):',
      `  (umask 077; echo ${newToken} > ${LOCAL_FILE})`,
      `  ${up}`,
    ];
  }
  const from = isIpv6(address) ? `[${address}]` : address;
  return [`at the laptop: scp ${user}@${from}:${tokenFile} ${LOCAL_FILE} && ${up}`];
}
