/** The monitor's interfaces as plugins and as the daemon's status show them (pure). */
import type { DaemonAddressStatus, DaemonInterfaceStatus } from './daemon-status.ts';
import type { EndpointUse } from './endpoint-plan.ts';
import { pluginInterface, type MonitoredAddress, type MonitoredInterface } from './network/network-state.ts';
import type { PluginInterface } from './plugin-api.ts';

/** Those that no rule keeps from plugins, as plugins see them. */
export function pluginInterfaces(interfaces: readonly MonitoredInterface[]): PluginInterface[] {
  return interfaces.filter(({ excludedBy }) => excludedBy === undefined).map(pluginInterface);
}

function addressStatus(
  { address, prefixLength, verdict }: MonitoredAddress,
  use: EndpointUse | undefined,
): DaemonAddressStatus {
  return { address, prefixLength, verdict, ...(use === undefined ? {} : { endpoint: use }) };
}

/** @param uses of addr_adv, by address; absent when it is not loaded */
export function interfaceStatus(
  interfaces: readonly MonitoredInterface[],
  uses: ReadonlyMap<string, EndpointUse> | undefined,
): DaemonInterfaceStatus[] {
  const statusOf = ({ index, name, kind, addresses }: MonitoredInterface): DaemonInterfaceStatus => ({
    index,
    name,
    ...(kind === undefined ? {} : { kind }),
    addresses: addresses.map((address) => addressStatus(address, uses?.get(address.address))),
  });
  return interfaces.map(statusOf);
}
