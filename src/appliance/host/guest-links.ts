/**
 * What the guest is to make of each of its NICs (pure), in the words of guest/protocol.ts.
 */
import type { GuestLink } from '../guest/protocol.ts';
import { endsOf } from './prefixes.ts';
import type { SlotAddress, UplinkSlot } from './types.ts';

/** The guest's addresses on a link, with prefix length. */
export function guestAddresses({ prefixes }: SlotAddress): string[] {
  return [prefixes.ipv4, prefixes.ipv6].map((prefix) => {
    const { address, length } = endsOf(prefix).guest;
    return `${address}/${length}`;
  });
}

/** The host's. */
export function hostAddresses({ prefixes }: SlotAddress): string[] {
  return [prefixes.ipv4, prefixes.ipv6].map((prefix) => {
    const { address, length } = endsOf(prefix).host;
    return `${address}/${length}`;
  });
}

export function hostLink(slot: SlotAddress): GuestLink {
  return { mac: slot.mac, role: 'host', addresses: guestAddresses(slot), gateways: [], label: slot.tapName };
}

/** A default route for each IP version that the uplink has; the host's own metric decides which is preferred. */
export function uplinkLink(slot: UplinkSlot): GuestLink {
  const { prefixes, uplink } = slot;
  const gateways = [
    ...(uplink.ipv4 === undefined ? [] : [endsOf(prefixes.ipv4).host.address]),
    ...(uplink.ipv6 === undefined ? [] : [endsOf(prefixes.ipv6).host.address]),
  ];
  return {
    mac: slot.mac,
    role: 'uplink',
    addresses: guestAddresses(slot),
    gateways,
    mtuBytes: uplink.mtuBytes,
    // Two routes of one metric would be one place; the slot tells them apart.
    metric: uplink.metric + slot.slot,
    backup: uplink.backup,
    label: uplink.linkName,
  };
}
