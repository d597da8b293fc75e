/** Which links of this host a Weft would take, when none runs that could be asked. Changes nothing, needs no rights. */
import { EMPTY_MAC_RECORD, MacHost, planMacUplinks } from '../appliance/index.ts';
import { AF_INET } from '../base/index.ts';
import { RouteNetlink } from '../netlink/index.ts';
import { findPaths, type HostPath } from '../routing/index.ts';
import { runMacCommand } from './appliance/mac-system.ts';
import type { IgnoredLink, PathReport } from './control-api.ts';
import { readHostView } from './host-view.ts';

export interface LinkSurvey {
  readonly paths: readonly PathReport[];
  readonly ignoredLinks: readonly IgnoredLink[];
}

function reportPath({ address, defaultRoute, family, linkName, state, why }: HostPath): PathReport {
  const gateway = defaultRoute?.gateway;
  return {
    link: linkName,
    address,
    family: family === AF_INET ? 4 : 6,
    backup: false,
    state: state === 'usable' ? 'active' : state,
    ...(why === undefined ? {} : { why }),
    ...(gateway === undefined ? {} : { gateway }),
  };
}

async function surveyMac(): Promise<LinkSurvey> {
  const nothing = { load: () => EMPTY_MAC_RECORD, save: () => {} };
  const situation = await new MacHost(runMacCommand, nothing).readSituation({ wanted: [], exclude: [] });
  const uplinks = planMacUplinks(situation, '');
  const addressOf = (device: string) =>
    situation.interfaces.find(({ name }) => name === device)?.addresses[0]?.address ?? '';
  return {
    paths: uplinks.map(({ device, preferred }) => ({
      link: device,
      address: addressOf(device),
      family: 4,
      backup: false,
      state: 'active',
      preferred,
    })),
    ignoredLinks: situation.ports
      .filter(({ device }) => !uplinks.some((uplink) => uplink.device === device))
      .map(({ device }) => ({ link: device, why: 'it has no carrier or no address' })),
  };
}

export async function surveyLinks(): Promise<LinkSurvey> {
  if (process.platform === 'darwin') return surveyMac();
  const netlink = RouteNetlink.open();
  try {
    const { ignoredLinks, paths } = findPaths(readHostView(netlink), {});
    return {
      paths: paths.map(reportPath),
      ignoredLinks: ignoredLinks.map(({ name, why }) => ({ link: name, why })),
    };
  } finally {
    netlink.close();
  }
}
