/** The parts of a status about what carries connections (pure): the backend, the appliance, upstream proxies. */
import { formatDurationMs, formatSocketAddress } from '../base/index.ts';
import type { ApplianceReport, LinkMapping, StatusReport } from '../service/index.ts';
import { table, type Column } from './text-layout.ts';

type UpstreamHealth = NonNullable<StatusReport['proxy']['policy']>['upstreams'][number];

const MAPPING_COLUMNS: readonly Column[] = [
  { title: 'link' },
  { title: 'inside' },
  { title: 'cable' },
  { title: 'here' },
  { title: 'there' },
  { title: 'state' },
];

function mappingRow(mapping: LinkMapping): string[] {
  const { guestAddresses, guestLink = '?', hostAddresses, link, state, tap = '', why } = mapping;
  return [
    link,
    guestLink,
    tap,
    hostAddresses.join(' '),
    guestAddresses.join(' '),
    why === undefined ? state : `${state}: ${why}`,
  ];
}

/** `Backend native: the kernel of this host speaks MPTCP.` */
export function backendSentence({ backend }: StatusReport): string {
  return `Backend ${backend.kind}: ${backend.why}.`;
}

/** What was really seen on connections, when there are any. */
export function endToEndSentences({ multipath }: StatusReport): string[] {
  const { connections, mptcp, severalPaths } = multipath.endToEnd;
  if (connections === 0) return [];
  const all = `${connections} connection${connections === 1 ? '' : 's'}`;
  return [`MPTCP end to end: ${mptcp} of ${all}, ${severalPaths} over several paths.`];
}

export function applianceSentence(appliance: ApplianceReport): string {
  const { accelerator, bootMs, cpus, image, memoryMiB, pid, proxy, state, why } = appliance;
  const inside =
    proxy === undefined
      ? undefined
      : `its proxy ${formatSocketAddress(proxy.address, proxy.port)} ${proxy.alive ? 'answers' : 'does not answer'}`;
  const parts = [
    `Appliance: ${state}${why === undefined ? '' : ` (${why})`}`,
    pid === undefined ? undefined : `QEMU process ${pid}`,
    accelerator,
    memoryMiB === undefined ? undefined : `${memoryMiB} MiB`,
    cpus === undefined ? undefined : `${cpus} processor${cpus === 1 ? '' : 's'}`,
    bootMs === undefined ? undefined : `up after ${formatDurationMs(bootMs)}`,
    image === undefined ? undefined : `image ${image.version}, kernel ${image.kernel}`,
    inside,
  ];
  return `${parts.filter((part) => part !== undefined && part !== '').join('; ')}.`;
}

/** `undefined`: there are no links. */
export function mappingTable({ links }: ApplianceReport, width: number): string | undefined {
  return links.length === 0 ? undefined : table(MAPPING_COLUMNS, links.map(mappingRow), width);
}

function upstreamWords(upstream: UpstreamHealth): string {
  const { failed, host, kind, name, opened, port, ready, state, why } = upstream;
  const where = `${name} (${kind}, ${formatSocketAddress(host, port)})`;
  const counts = [
    `${opened} tunnel${opened === 1 ? '' : 's'}`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(ready > 0 ? [`${ready} ready`] : []),
  ];
  return `Upstream proxy ${where}: ${state}${why === undefined ? '' : ` (${why})`}; ${counts.join(', ')}.`;
}

/** The rules in force, and how the upstream proxies do; nothing where there is nothing to say. */
export function policySentences({ proxy }: StatusReport): string[] {
  const { policy } = proxy;
  if (policy === undefined) return [];
  const { defaultWay, file, lastReloadFailed, rules, upstreams, users } = policy;
  const parts = [`${rules} rule${rules === 1 ? '' : 's'}`, ...(users > 0 ? [`${users} users`] : [])];
  const told = file !== undefined || defaultWay !== 'multipath';
  const from = file === undefined ? '' : ` of ${file}`;
  return [
    ...(told ? [`Rules${from}: ${parts.join(', ')}; everything else goes "${defaultWay}".`] : []),
    ...(lastReloadFailed === undefined
      ? []
      : [`The last reload changed nothing: ${lastReloadFailed.join('; ')}.`]),
    ...upstreams.map(upstreamWords),
  ];
}
