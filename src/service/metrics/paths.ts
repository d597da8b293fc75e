/**
 * Metrics of paths, links and tunnels. Pure.
 *
 * BOUNDED: 64 paths, 64 links, 256 paths of tunnels; the first ones, in the order of the overview. How many were left
 * out is a metric of its own.
 */
import type { LinkReading, PathReading, TunnelPathReading } from '../observe/model.ts';
import {
  counter,
  gauge,
  label,
  PATH_STATES,
  secondsOfUs,
  type Labels,
  type Metric,
  type MetricFacts,
  type Sample,
} from './metric.ts';

export const METRIC_PATHS_MAX = 64;
export const METRIC_LINKS_MAX = 64;
export const METRIC_TUNNEL_PATHS_MAX = 256;

const PATH_LABELS = ['link', 'address', 'family'] as const;
const LINK_LABELS = ['link'] as const;
const TUNNEL_LABELS = ['tunnel', 'connection', 'path'] as const;

interface NamedTunnelPath {
  readonly labels: Labels;
  readonly path: TunnelPathReading;
}

function allTunnelPaths({ overview }: MetricFacts): NamedTunnelPath[] {
  return overview.tunnels.flatMap(({ connections, tunnel }) =>
    connections.flatMap(({ name, paths }) =>
      paths.map((path) => ({
        labels: { tunnel: label(tunnel), connection: label(name), path: label(path.name) },
        path,
      })),
    ),
  );
}

const ofPaths =
  (read: (path: PathReading) => number | undefined): Metric['read'] =>
  ({ overview }) =>
    overview.paths.slice(0, METRIC_PATHS_MAX).map((path): Sample => [read(path), pathLabels(path)]);

const pathLabels = ({ address, family, link }: PathReading): Labels => ({
  link: label(link),
  address: label(address),
  family: `ipv${family}`,
});

const ofLinks =
  (read: (link: LinkReading) => number | undefined): Metric['read'] =>
  ({ overview }) =>
    overview.links.slice(0, METRIC_LINKS_MAX).map((link): Sample => [read(link), { link: label(link.link) }]);

const ofTunnels =
  (read: (path: TunnelPathReading) => number | undefined): Metric['read'] =>
  (facts) =>
    allTunnelPaths(facts)
      .slice(0, METRIC_TUNNEL_PATHS_MAX)
      .map(({ labels, path }): Sample => [read(path), labels]);

const stateSamples = (state: string, labels: Labels): Sample[] =>
  PATH_STATES.map((name): Sample => [Number(name === state), { ...labels, state: name }]);

export const PATH_METRICS: readonly Metric[] = [
  gauge(
    'weft_path_state',
    'Whether the path is in this state: active, backup, waiting, stale or down',
    [...PATH_LABELS, 'state'],
    ({ overview }) =>
      overview.paths.slice(0, METRIC_PATHS_MAX).flatMap((path) => stateSamples(path.state, pathLabels(path))),
  ),
  gauge(
    'weft_path_backup',
    'Whether the path is to be used only when no other can',
    PATH_LABELS,
    ofPaths(({ backup }) => Number(backup)),
  ),
  gauge(
    'weft_path_subflows',
    'MPTCP subflows that use the path now',
    PATH_LABELS,
    ofPaths(({ subflows }) => subflows),
  ),
  counter(
    'weft_path_sent_bytes_total',
    'Payload sent over the path by MPTCP subflows and proxied connections since Weft looks',
    PATH_LABELS,
    ofPaths(({ sentBytes }) => sentBytes),
  ),
  counter(
    'weft_path_received_bytes_total',
    'Payload received over the path by MPTCP subflows and proxied connections since Weft looks',
    PATH_LABELS,
    ofPaths(({ receivedBytes }) => receivedBytes),
  ),
  counter(
    'weft_path_sent_segments_total',
    'Segments sent over the path since Weft looks, retransmissions included',
    PATH_LABELS,
    ofPaths(({ sentSegments }) => sentSegments),
  ),
  counter(
    'weft_path_retransmitted_segments_total',
    'Segments sent again over the path since Weft looks',
    PATH_LABELS,
    ofPaths(({ retransmittedSegments }) => retransmittedSegments),
  ),
  gauge(
    'weft_path_rtt_seconds',
    'Smoothed round-trip time of the path: the median over its subflows',
    PATH_LABELS,
    ofPaths(({ rttUs }) => secondsOfUs(rttUs)),
  ),
  gauge(
    'weft_paths_left_out',
    `Paths beyond the first ${METRIC_PATHS_MAX}, which have no metrics`,
    [],
    ({ overview }) => [[overview.pathsOmitted + Math.max(0, overview.paths.length - METRIC_PATHS_MAX)]],
  ),
];

export const LINK_METRICS: readonly Metric[] = [
  gauge(
    'weft_link_up',
    'Whether the link can carry',
    LINK_LABELS,
    ofLinks(({ up }) => Number(up)),
  ),
  counter(
    'weft_link_sent_bytes_total',
    'Bytes that the link has sent, whoever it was for, since the link was made',
    LINK_LABELS,
    ofLinks(({ sentBytes }) => sentBytes),
  ),
  counter(
    'weft_link_received_bytes_total',
    'Bytes that the link has received, whoever they were for, since the link was made',
    LINK_LABELS,
    ofLinks(({ receivedBytes }) => receivedBytes),
  ),
  counter(
    'weft_link_errors_total',
    'Receive and transmit errors of the link since it was made',
    LINK_LABELS,
    ofLinks(({ errors }) => errors),
  ),
  counter(
    'weft_link_drops_total',
    'Packets that the link has dropped, either way, since it was made',
    LINK_LABELS,
    ofLinks(({ drops }) => drops),
  ),
  gauge(
    'weft_links_left_out',
    `Links beyond the first ${METRIC_LINKS_MAX}, which have no metrics`,
    [],
    ({ overview }) => [[overview.linksOmitted + Math.max(0, overview.links.length - METRIC_LINKS_MAX)]],
  ),
];

export const TUNNEL_METRICS: readonly Metric[] = [
  gauge('weft_tunnels', 'Tunnels that run in this network namespace', [], ({ overview }) => [
    [overview.tunnels.length],
  ]),
  gauge(
    'weft_tunnel_path_state',
    'Whether the path of the tunnel is in this state: active, backup, waiting, stale or down',
    [...TUNNEL_LABELS, 'state'],
    (facts) =>
      allTunnelPaths(facts)
        .slice(0, METRIC_TUNNEL_PATHS_MAX)
        .flatMap(({ labels, path }) => stateSamples(path.state, labels)),
  ),
  gauge(
    'weft_tunnel_path_weight',
    'Share of the tunnel’s packets that the path is to carry, in relation to the others',
    TUNNEL_LABELS,
    ofTunnels(({ weight }) => weight),
  ),
  counter(
    'weft_tunnel_path_sent_bytes_total',
    'Bytes that the tunnel has sent over the path',
    TUNNEL_LABELS,
    ofTunnels(({ sentBytes }) => sentBytes),
  ),
  counter(
    'weft_tunnel_path_received_bytes_total',
    'Bytes that the tunnel has received over the path',
    TUNNEL_LABELS,
    ofTunnels(({ receivedBytes }) => receivedBytes),
  ),
  gauge(
    'weft_tunnel_path_rtt_seconds',
    'Smoothed round-trip time of the tunnel’s path; only where the other end is Weft too',
    TUNNEL_LABELS,
    ofTunnels(({ rttUs }) => secondsOfUs(rttUs)),
  ),
  gauge(
    'weft_tunnel_path_jitter_seconds',
    'Variation of the round-trip time of the tunnel’s path; only where the other end is Weft too',
    TUNNEL_LABELS,
    ofTunnels(({ jitterUs }) => secondsOfUs(jitterUs)),
  ),
  gauge(
    'weft_tunnel_path_loss_ratio',
    'Share of the packets that get lost on the tunnel’s path, 0 to 1; only where the other end is Weft too',
    TUNNEL_LABELS,
    ofTunnels(({ lossShare }) => lossShare),
  ),
  gauge(
    'weft_tunnel_paths_left_out',
    `Paths of tunnels beyond the first ${METRIC_TUNNEL_PATHS_MAX}, which have no metrics`,
    [],
    (facts) => [[Math.max(0, allTunnelPaths(facts).length - METRIC_TUNNEL_PATHS_MAX)]],
  ),
];
