/** How actions change a host that the path-management daemon looks after: through the daemon, for what is its own. */
import { WeftError } from '../../base/index.ts';
import type { PathDaemon } from '../../pathmanager/index.ts';
import type { HostControl } from '../observe/host-control.ts';

/** What of PathDaemon changes things. */
export type ChangedDaemon = Pick<
  PathDaemon,
  'lookNow' | 'ownsEndpoint' | 'setInterface' | 'setLimits' | 'status'
>;

export function daemonHostControl(daemon: ChangedDaemon): HostControl {
  return {
    refusal: () =>
      // Who may not hear the kernel's events may change nothing either.
      daemon.status().listening
        ? undefined
        : new WeftError('this daemon may not change the host: it has no CAP_NET_ADMIN (EPERM)', {
            code: 'EPERM',
            hint: 'run it as root, or with AmbientCapabilities=CAP_NET_ADMIN',
          }),
    ownsEndpoint: (id) => daemon.ownsEndpoint(id),
    setPath: async (link, backup) => (await daemon.setInterface(link, { backup })).subflows,
    setLimits: (limits) => daemon.setLimits(limits),
    lookNow: () => daemon.lookNow(),
  };
}
