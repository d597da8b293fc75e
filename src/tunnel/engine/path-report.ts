/** What a path looks like from outside: its status (a reading). */
import { unspecified } from '../config/section-reader.ts';
import type { PathLink } from './path-link.ts';
import type { TunnelPathStatus } from './types.ts';

/** What the host does not have for a path. */
const lackOf = ({ host }: PathLink): TunnelPathStatus['lacks'] =>
  host.linkIndex === undefined ? 'link' : host.isPresent ? undefined : 'address';

/** A sentence about a path that cannot be used until the host has what it needs; most often a slip of the pen. */
export function describeLack(link: PathLink): string | undefined {
  const { interfaceName, ipVersion, privateAddress } = link.config;
  const lack = lackOf(link);
  if (lack === undefined) return undefined;
  if (lack === 'link') return `path ${link.index} waits: there is no link "${interfaceName}"`;
  const isAny = privateAddress === unspecified(ipVersion);
  return isAny
    ? `path ${link.index} waits: "${interfaceName}" has no IPv${ipVersion} address`
    : `path ${link.index} waits: this host has no address ${privateAddress}`;
}

export function reportPath(link: PathLink, nowMs: number): TunnelPathStatus {
  const { config, host, session, timers } = link;
  const { sent, received } = link.traffic.counters();
  const { rttUs, jitterUs, lossRatio, incomingLossRatio, capacityBps, counters } = session;
  const { rate } = link.traffic;
  const lacks = lackOf(link);
  link.traffic.look(nowMs);
  const heardMs = Math.max(link.heardMs, received.lastDataMs === 0 ? -Infinity : received.lastDataMs);
  return {
    interfaceName: config.interfaceName,
    ipVersion: config.ipVersion,
    publicAddress: link.publicAddress,
    privateAddress: link.privateAddress,
    remoteAddress: link.remoteAddress,
    localPort: link.socket?.port ?? 0,
    remotePort: link.remotePort,
    ...(host.gateway.gateway !== undefined && { gatewayAddress: host.gateway.gateway }),
    status: link.status,
    isUsable: link.isUsable,
    isLinkUp: link.isLinkUp,
    ...(lacks !== undefined && { lacks }),
    isWeft: link.isWeft,
    weightIn: config.weightIn,
    weightOut: config.weightOut,
    keepaliveMs: timers.keepaliveMs,
    deadMs: timers.deadMs,
    ...(heardMs > -Infinity && { heardAgoMs: Math.max(0, Math.round(nowMs - heardMs)) }),
    ...(link.isWeft && {
      ...(rttUs !== undefined && { rttUs: Math.round(rttUs) }),
      ...(jitterUs !== undefined && { jitterUs: Math.round(jitterUs) }),
      ...(lossRatio !== undefined && { lossRatio }),
      ...(incomingLossRatio !== undefined && { incomingLossRatio }),
      ...(capacityBps !== undefined && { capacityBps: Math.round(capacityBps) }),
    }),
    mtu: link.mtu,
    sentBps: Math.round(rate.sentBps),
    receivedBps: Math.round(rate.receivedBps),
    sentPackets: sent.packets,
    sentBytes: sent.bytes,
    sendDropped: sent.dropped,
    receivedPackets: received.packets,
    receivedBytes: received.bytes,
    strangers: received.strangers,
    malformed: received.malformed,
    keepalivesSent: link.keepalivesSent,
    keepalivesReceived: counters.received,
    keepalivesRefused: counters.strangers + counters.malformed + counters.notAuthentic + counters.late,
    peerRestarts: counters.restarts,
  };
}
