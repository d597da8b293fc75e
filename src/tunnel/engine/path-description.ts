/** What the data plane is told of a path (readings): all that it needs, and what may change from one packet to the next. */
import type { DataPathDescription } from '../data/protocol.ts';
import type { PathView } from '../paths/scheduler.ts';
import type { PathLink } from './path-link.ts';
import { mappedAddress } from './surroundings.ts';

/**
 * The paths of a connection. Where none is usable, those that only fell silent count as such: a peer or a host that stood
 * still for a moment looks dead on all paths at once, and a packet that is tried is lost at worst.
 */
export function viewPaths(links: readonly PathLink[]): PathView[] {
  const isLastHope = !links.some((link) => link.isUsable);
  return links.map((link) => viewPath(link, link.isUsable || (isLastHope && link.isHopeful)));
}

function viewPath(link: PathLink, isUsable: boolean): PathView {
  const { rttUs, capacityBps, lossRatio } = link.session;
  return {
    isUsable,
    weight: link.config.weightOut,
    ...(rttUs !== undefined && { rttUs }),
    ...(capacityBps !== undefined && { capacityBps }),
    ...(lossRatio !== undefined && { lossRatio }),
  };
}

/** Throws when one has no socket: a connection describes its paths only while it runs. */
export function describePaths(links: readonly PathLink[]): DataPathDescription[] {
  const views = viewPaths(links);
  return links.map((link, index) => describePath(link, views[index]!));
}

function describePath(link: PathLink, view: PathView): DataPathDescription {
  const { socket } = link;
  if (socket === undefined) throw new Error(`path ${link.index} has no socket`);
  const { peerSession } = link.session;
  return {
    fd: socket.fd,
    remoteSockaddr: link.remoteSockaddr,
    remoteAddress: mappedAddress(link.remoteAddress),
    datagramBytesMax: link.datagramBytesMax,
    segmentation: socket.hasSegmentation,
    pinned: link.config.pinned,
    view,
    ...(peerSession !== undefined && { peerSession }),
  };
}
