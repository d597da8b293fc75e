/** Which links of this host a Weft would take, when none runs that could be asked. Changes nothing, needs no rights. */
import { AF_INET } from '../base/index.ts';
import { RouteNetlink } from '../netlink/index.ts';
import { findPaths, type HostPath } from '../routing/index.ts';
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

export function surveyLinks(): LinkSurvey {
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
