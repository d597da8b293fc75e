/**
 * What macOS's own commands say of the host's links (pure): networksetup, ifconfig, route, pfctl. Written against
 * their outputs as documented and as recorded by others; not run on a Mac yet (docs/appliance.md).
 *
 * Invariant: what cannot be read is left out, never guessed.
 *
 * References: networksetup(8), ifconfig(8), route(8), pfctl(8) of macOS 14.
 */
import { canonicalIp, isIpv6 } from '../../base/index.ts';

const isIpv4 = (text: string) => canonicalIp(text) === text && !isIpv6(text);

export interface HardwarePort {
  /** As the user sees it: `Wi-Fi`, `Thunderbolt Ethernet`. */
  readonly port: string;
  /** `en0` */
  readonly device: string;
}

/** `networksetup -listallhardwareports`. Ports without a device of this kind of name are no uplinks. */
export function parseHardwarePorts(text: string): HardwarePort[] {
  const ports: HardwarePort[] = [];
  let port: string | undefined;
  for (const line of text.split('\n')) {
    const [, key, value = ''] = /^(Hardware Port|Device): (.*)$/.exec(line.trim()) ?? [];
    if (key === 'Hardware Port') port = value;
    else if (key === 'Device' && port !== undefined && /^en\d{1,3}$/.test(value)) {
      ports.push({ port, device: value });
      port = undefined;
    }
  }
  return ports;
}

export interface Interface {
  readonly name: string;
  readonly up: boolean;
  /** `status: active`; interfaces without such a line count as active. */
  readonly active: boolean;
  readonly mtuBytes?: number;
  /** IPv4, with the length of the prefix. */
  readonly addresses: readonly { readonly address: string; readonly length: number }[];
}

/** `0xffffff00` → 24; `undefined` when the ones are not together. */
function lengthOfMask(mask: string): number | undefined {
  const value = Number.parseInt(mask, 16) >>> 0;
  const inverted = ~value >>> 0;
  if ((inverted & (inverted + 1)) !== 0) return undefined;
  return 32 - Math.log2(inverted + 1);
}

function parseBlock(lines: readonly string[]): Interface | undefined {
  const [first = '', ...rest] = lines;
  const head = /^([A-Za-z][\w.]*): flags=[0-9a-f]+<([^>]*)>(?:.*\bmtu (\d+))?/.exec(first);
  if (head === null) return undefined;
  const [, name = '', flags = '', mtu] = head;
  const addresses: { address: string; length: number }[] = [];
  let status: string | undefined;
  for (const line of rest) {
    const [, address = '', mask = ''] = /^\s+inet (\S+) netmask 0x([0-9a-f]{8})/.exec(line) ?? [];
    const length = lengthOfMask(mask);
    if (isIpv4(address) && length !== undefined) addresses.push({ address, length });
    status ??= /^\s+status: (\S+)/.exec(line)?.[1];
  }
  return {
    name,
    up: flags.split(',').includes('UP'),
    active: status === undefined || status === 'active',
    ...(mtu === undefined ? {} : { mtuBytes: Number(mtu) }),
    addresses,
  };
}

/** `ifconfig -a` */
export function parseIfconfig(text: string): Interface[] {
  const blocks: string[][] = [];
  for (const line of text.split('\n')) {
    if (/^\S/.test(line)) blocks.push([line]);
    else blocks.at(-1)?.push(line);
  }
  return blocks.flatMap((block) => parseBlock(block) ?? []);
}

export interface DefaultRouteOutput {
  readonly device: string;
  /** Absent on links without one. */
  readonly gateway?: string;
}

/** `route -n get default`, also with `-ifscope DEVICE`; `undefined`: there is none. */
export function parseRouteGet(text: string): DefaultRouteOutput | undefined {
  const device = /^\s*interface: (\S+)$/m.exec(text)?.[1];
  if (device === undefined) return undefined;
  const gateway = /^\s*gateway: (\S+)$/m.exec(text)?.[1];
  return { device, ...(gateway !== undefined && isIpv4(gateway) ? { gateway } : {}) };
}

/** The networks of `netstat -rn -f inet`, without the default routes; abbreviated ones (`10.1/16`, `169.254`) too. */
export function parseRoutes(text: string): { readonly address: string; readonly length: number }[] {
  const routes: { address: string; length: number }[] = [];
  for (const line of text.split('\n')) {
    const [, destination = '', written] =
      /^(\d{1,3}(?:\.\d{1,3}){0,3})(?:\/(\d{1,2}))?\s+\S/.exec(line) ?? [];
    if (destination === '') continue;
    const parts = destination.split('.');
    const length = written === undefined ? parts.length * 8 : Number(written);
    const address = [...parts, '0', '0', '0'].slice(0, 4).join('.');
    if (isIpv4(address) && length <= 32) routes.push({ address, length });
  }
  return routes;
}

/** The reference that `pfctl -E` gives and `pfctl -X` takes back; pf stays on for others who have one. */
export function parsePfToken(text: string): string | undefined {
  return /^Token : (\d+)$/m.exec(text)?.[1];
}
