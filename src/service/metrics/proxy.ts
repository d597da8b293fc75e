/** Metrics of the proxy (`weft up`). Pure. BOUNDED: reasons are those of fixed tables (reasons.ts). */
import type { ProxyCounters } from '../../proxy/index.ts';
import { counter, gauge, type Metric, type Sample } from './metric.ts';
import {
  byReason,
  DATAGRAM_DROPS,
  DIALS_FAILED,
  fallbackWord,
  REFUSALS,
  TUNNEL_ENDS,
  wordIn,
} from './reasons.ts';

const ofProxy =
  (read: (proxy: ProxyCounters) => readonly Sample[]): Metric['read'] =>
  ({ proxy }) =>
    proxy === undefined ? [] : read(proxy);

const one = (read: (proxy: ProxyCounters) => number) => ofProxy((proxy) => [[read(proxy)]]);

/** `up`: from clients to targets. */
const bothWays = (read: (proxy: ProxyCounters) => readonly [up: number, down: number]) =>
  ofProxy((proxy) => {
    const [up, down] = read(proxy);
    return [
      [up, { direction: 'up' }],
      [down, { direction: 'down' }],
    ];
  });

export const PROXY_METRICS: readonly Metric[] = [
  counter(
    'weft_proxy_client_connections_total',
    'Connections that clients have made to the proxy',
    [],
    one(({ clientConnections }) => clientConnections),
  ),
  counter(
    'weft_proxy_requests_total',
    'Plain HTTP requests; CONNECT is not counted',
    [],
    one(({ requests }) => requests),
  ),
  counter(
    'weft_proxy_requests_failed_total',
    'Plain HTTP requests that failed after their upstream connection was there',
    [],
    one(({ exchangesFailed }) => exchangesFailed),
  ),
  counter(
    'weft_proxy_requests_retried_total',
    'Plain HTTP requests sent again because a kept upstream connection turned out to be dead',
    [],
    one(({ requestsRetried }) => requestsRetried),
  ),
  counter(
    'weft_proxy_requests_refused_total',
    'Requests that the proxy answered itself, by why',
    ['reason'],
    ofProxy(({ refusedByReason }) => byReason(refusedByReason, wordIn(REFUSALS))),
  ),
  counter(
    'weft_proxy_tunnels_opened_total',
    'Tunnels (CONNECT, SOCKS, transparent) that were opened',
    [],
    one(({ tunnelsOpened }) => tunnelsOpened),
  ),
  gauge(
    'weft_proxy_tunnels_open',
    'Tunnels (CONNECT, SOCKS, transparent) that are open',
    [],
    one(({ tunnelsOpen }) => tunnelsOpen),
  ),
  counter(
    'weft_proxy_tunnels_closed_total',
    'Tunnels that have ended, by why',
    ['reason'],
    ofProxy(({ tunnelsClosedByReason }) => byReason(tunnelsClosedByReason, wordIn(TUNNEL_ENDS))),
  ),
  counter(
    'weft_proxy_upstream_connections_total',
    'Upstream connections that were made, by what they spoke: mptcp or tcp',
    ['protocol'],
    ofProxy(({ upstreamsMptcp, upstreamsTcp }) => [
      [upstreamsMptcp, { protocol: 'mptcp' }],
      [upstreamsTcp, { protocol: 'tcp' }],
    ]),
  ),
  counter(
    'weft_proxy_upstream_failures_total',
    'Upstream connections that could not be made, by why',
    ['reason'],
    ofProxy(({ dialsFailedByReason }) => byReason(dialsFailedByReason, wordIn(DIALS_FAILED))),
  ),
  counter(
    'weft_proxy_fallbacks_total',
    'Upstream connections that are TCP although MPTCP was wanted, by why',
    ['reason'],
    ofProxy(({ fallbacksByReason }) => byReason(fallbacksByReason, fallbackWord)),
  ),
  counter(
    'weft_proxy_bytes_total',
    'Bodies and tunnelled bytes: up from clients, down to them',
    ['direction'],
    bothWays(({ bytesDown, bytesUp }) => [bytesUp, bytesDown]),
  ),
  counter(
    'weft_proxy_udp_associations_total',
    'SOCKS UDP associations that were made',
    [],
    one(({ udpAssociations }) => udpAssociations),
  ),
  gauge(
    'weft_proxy_udp_associations_open',
    'SOCKS UDP associations that are open',
    [],
    one(({ udpAssociationsOpen }) => udpAssociationsOpen),
  ),
  counter(
    'weft_proxy_datagrams_total',
    'Datagrams that were forwarded: up from clients, down to them',
    ['direction'],
    bothWays(({ datagramsDown, datagramsUp }) => [datagramsUp, datagramsDown]),
  ),
  counter(
    'weft_proxy_datagram_bytes_total',
    'Payload of the datagrams that were forwarded: up from clients, down to them',
    ['direction'],
    bothWays(({ datagramBytesDown, datagramBytesUp }) => [datagramBytesUp, datagramBytesDown]),
  ),
  counter(
    'weft_proxy_datagrams_dropped_total',
    'Datagrams that went no further, by why',
    ['reason'],
    ofProxy(({ datagramsDroppedByReason }) => byReason(datagramsDroppedByReason, wordIn(DATAGRAM_DROPS))),
  ),
];
