/**
 * Which address a path's socket is bound to (pure): the configured one, or the interface's first when there is none.
 */
import type { PathConfig } from '../config/model.ts';
import { unspecified } from '../config/section-reader.ts';
import { firstAddress, type LinkView } from './link-view.ts';

export interface PathLocalAddress {
  /** What to bind to; 0.0.0.0 or :: when there is no address at present. */
  readonly address: string;
  /** Whether the host has the address now. A socket cannot be bound to it otherwise. */
  readonly isPresent: boolean;
}

export function pathLocalAddress(
  path: Pick<PathConfig, 'interfaceName' | 'ipVersion' | 'privateAddress'>,
  view: LinkView,
): PathLocalAddress {
  const none = unspecified(path.ipVersion);
  if (path.privateAddress !== none) {
    return {
      address: path.privateAddress,
      isPresent: view.linkOfAddress(path.privateAddress) !== undefined,
    };
  }
  const link = view.link(path.interfaceName);
  const address = link === undefined ? undefined : firstAddress(link, path.ipVersion);
  return { address: address ?? none, isPresent: address !== undefined };
}
