/**
 * What the daemon knows of the host's network (plain data), and the configuration that it is judged by.
 */
import type { Family } from '../../base/index.ts';
import type { InterfaceAddress, Link } from '../../netlink/index.ts';
import type { NotifyOptions } from '../daemon-options.ts';
import type { PluginAddress, PluginInterface } from '../plugin-api.ts';
import type { InterfaceRule } from './interface-rules.ts';

export interface NetworkSettings {
  readonly notify: NotifyOptions;
  readonly rules: readonly InterfaceRule[];
}

/** A default route that the kernel would take for an interface. */
export interface DefaultRoute {
  /** 0 where the kernel names none. */
  readonly metric: number;
}

/** The host, read at one moment. */
export interface NetworkReading {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  /** For traffic from `source`, if given. Asked only where the settings need it; `undefined`: there is none. */
  readonly defaultRoute: (linkIndex: number, family: Family, source?: string) => DefaultRoute | undefined;
}

/**
 * - `announced`: plugins were told of it;
 * - `existing`: it was there at the start, and `existing` is not among the notify flags;
 * - `no-route`: waits for a default route;
 * - `tentative`: waits for duplicate address detection;
 * - `skipped`: not to be used, see `why`.
 */
export type AddressState = 'announced' | 'existing' | 'no-route' | 'tentative' | 'skipped';

export interface MonitoredAddress extends PluginAddress {
  readonly family: Family;
  readonly state: AddressState;
  /** `announced`, `waiting for a default route`, `skipped because …`, for a person. */
  readonly verdict: string;
  /** EndpointFlag bits that a rule names for it. */
  readonly endpointFlags?: number;
  /** Grows with each address that is announced; the lowest was first. */
  readonly order: number;
}

/** A link that is up, runs and has a carrier, and is no loopback. */
export interface MonitoredInterface extends Omit<PluginInterface, 'addresses'> {
  readonly addresses: readonly MonitoredAddress[];
  /** The rule that keeps it from plugins altogether. */
  readonly excludedBy?: string;
}

/** An address to make an endpoint of. */
export interface LocalAddress {
  readonly address: string;
  readonly linkIndex: number;
  readonly linkName: string;
  /** `announced` or `existing`. */
  readonly state: AddressState;
  /** EndpointFlag bits that a rule names. */
  readonly endpointFlags?: number;
}

/** Whether plugins see an address in their view of its interface. */
export function isVisible({ state }: Pick<MonitoredAddress, 'state'>): boolean {
  return state === 'announced' || state === 'existing';
}

function pluginAddress({ address, flags, prefixLength, scope }: MonitoredAddress): PluginAddress {
  return { address, prefixLength, scope, flags };
}

/** An interface as plugins see it. */
export function pluginInterface(monitored: MonitoredInterface): PluginInterface {
  const { addresses, flags, hardwareType, index, kind, name } = monitored;
  return {
    index,
    name,
    flags,
    hardwareType,
    ...(kind === undefined ? {} : { kind }),
    addresses: addresses.filter(isVisible).map(pluginAddress),
  };
}

function localAddress(
  { address, endpointFlags, state }: MonitoredAddress,
  { index, name }: MonitoredInterface,
): LocalAddress {
  const flags = endpointFlags === undefined ? {} : { endpointFlags };
  return { address, linkIndex: index, linkName: name, state, ...flags };
}

/** The addresses that may have endpoints, in the order in which they were announced. */
export function localAddresses(interfaces: readonly MonitoredInterface[]): LocalAddress[] {
  return interfaces
    .flatMap((of) => of.addresses.filter(isVisible).map((address) => ({ address, of })))
    .sort((a, b) => a.address.order - b.address.order)
    .map(({ address, of }) => localAddress(address, of));
}
