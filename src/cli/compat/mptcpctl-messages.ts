/**
 * What mptcpctl says (pure): lines that begin with `[global]` or the name of a link, in the words of mptcp-virtual's
 * script where they mean the same, made from what a running Weft tells of itself.
 *
 * References: docs/mptcpctl.md.
 */
import type { PathReport, StatusReport } from '../../service/index.ts';

export interface Message {
  /** `global`, or a link's name. */
  readonly about: string;
  readonly text: string;
}

export const GLOBAL = 'global';

export const globally = (text: string): Message => ({ about: GLOBAL, text });

export const formatMessage = ({ about, text }: Message): string => `[${about}] ${text}\n`;

/** What is known of one link. */
interface LinkFacts {
  readonly name: string;
  readonly paths: readonly PathReport[];
  readonly active: readonly PathReport[];
}

/** What of a report the messages about links are made of. */
export type LinkReport = Pick<StatusReport, 'paths' | 'ignoredLinks' | 'appliance'>;

function linksOf({ paths }: LinkReport): LinkFacts[] {
  const byLink = new Map<string, PathReport[]>();
  for (const path of paths) byLink.set(path.link, [...(byLink.get(path.link) ?? []), path]);
  return [...byLink].map(([name, all]) => ({
    name,
    paths: all,
    active: all.filter(({ state }) => state === 'active'),
  }));
}

const addressesOf = (paths: readonly PathReport[]) => paths.map(({ address }) => address).join(', ');

/** `wifi0 10.1.0.1`, of the path that this host's own traffic takes; IPv4 first. */
function defaultOf({ paths }: LinkReport): string | undefined {
  const preferred = paths.filter((path) => path.preferred === true);
  const path = preferred.find(({ family }) => family === 4) ?? preferred[0];
  if (path === undefined) return undefined;
  return path.gateway === undefined ? path.link : `${path.link} ${path.gateway}`;
}

function mappingText({ appliance }: LinkReport, link: string): string {
  if (appliance === undefined) return 'is mapped to itself';
  const mapping = appliance.links.find((item) => item.link === link);
  return mapping?.guestLink === undefined ? 'is not mapped yet' : `is mapped to ${mapping.guestLink}`;
}

/** Why a link that could be used is not. */
function whyInactive({ paths }: LinkFacts): string {
  const whys = paths.map(({ state, why }) => why ?? state);
  return [...new Set(whys)].join('; ');
}

function linkMessages(report: LinkReport, link: LinkFacts): Message[] {
  const about = link.name;
  const isMapped = report.appliance?.links.some(
    (item) => item.link === about && item.guestLink !== undefined,
  );
  const mapping = { about, text: mappingText(report, about) };
  if (link.active.length === 0) {
    return [...(isMapped === true ? [mapping] : []), { about, text: `is inactive: ${whyInactive(link)}` }];
  }
  const backup = link.active.some((path) => path.backup) ? ', as a backup' : '';
  const isDefault = link.paths.some(({ preferred }) => preferred === true);
  return [
    mapping,
    { about, text: `is active -> using ${addressesOf(link.active)}${backup}` },
    ...(isDefault ? [{ about, text: 'is the current default interface' }] : []),
  ];
}

const LOOPBACK = 'loopback';

/** Every link, and what is done with it. */
export function describeLinks(report: LinkReport): Message[] {
  const links = linksOf(report);
  const ignored = report.ignoredLinks.filter(({ why }) => why !== LOOPBACK);
  return [
    ...links.flatMap((link) => linkMessages(report, link)),
    ...ignored.map(({ link, why }) => ({ about: link, text: `is left out: ${why}` })),
  ];
}

/** For `stop`: the links that something was made for. */
export function describeCleaning(report: LinkReport): Message[] {
  return linksOf(report)
    .filter(({ active }) => active.length > 0)
    .map(({ name }) => ({ about: name, text: '-> cleaning up' }));
}

function machineText({ appliance, backend }: StatusReport): string {
  if (appliance === undefined)
    return `Virtual machine is not running, and not needed (backend ${backend.kind})`;
  const { accelerator, pid, state, why } = appliance;
  if (state === 'failed') return `Virtual machine is not running: ${why ?? 'no reason known'}`;
  const details = [pid === undefined ? '' : `process ${pid}`, accelerator ?? ''].filter(
    (part) => part !== '',
  );
  return `Virtual machine is ${state}${details.length === 0 ? '' : ` (${details.join(', ')})`}`;
}

function endToEndText({ multipath }: StatusReport): string {
  const { connections, mptcp, severalPaths } = multipath.endToEnd;
  if (connections === 0)
    return 'MPTCP end to end: not seen now, because no connection goes through the proxy';
  return `MPTCP end to end: ${mptcp} of ${connections} connection${connections === 1 ? '' : 's'}, ${severalPaths} over several paths`;
}

/** @param alive whether the proxy has answered when it was asked */
export function describeStatus(report: StatusReport, alive: boolean): Message[] {
  const { backend, proxy } = report;
  return [
    globally(machineText(report)),
    globally(alive ? `Proxy is alive (${proxy.addresses.join(', ')})` : 'Proxy is dead'),
    globally(`backend ${backend.kind}: ${backend.why}`),
    ...describeLinks(report),
    globally(endToEndText(report)),
    ...report.multipath.explanation.slice(0, 1).map(globally),
  ];
}

function changeOf(before: LinkFacts | undefined, after: LinkFacts | undefined): string | undefined {
  const was = addressesOf(before?.active ?? []);
  const is = addressesOf(after?.active ?? []);
  if (was === is) return undefined;
  if (is === '') return 'is now down and was used -> cleanup';
  if (was === '') return `is now up and thus can be used -> setting up ${is}`;
  return `has other addresses now -> setting up ${is}`;
}

/** What is different; empty: nothing. */
export function describeChanges(before: LinkReport, after: LinkReport): Message[] {
  const [old, now] = [before, after].map(
    (report) => new Map(linksOf(report).map((link) => [link.name, link])),
  );
  const names = new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])]);
  const messages: Message[] = [];
  for (const name of names) {
    const text = changeOf(old?.get(name), now?.get(name));
    if (text !== undefined) messages.push({ about: name, text });
  }
  const route = defaultOf(after);
  if (route !== defaultOf(before)) {
    messages.push(
      globally(
        route === undefined ? 'there is no default route' : `setting up new default route via ${route}`,
      ),
    );
  }
  return messages;
}
