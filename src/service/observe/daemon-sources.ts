/**
 * What an observer is told by the path-management daemon: the kernel's own view of the host, with the endpoints that
 * are the daemon's marked as such.
 */
import type { PathDaemon } from '../../pathmanager/index.ts';
import { kernelSources } from './kernel-sources.ts';
import type { HostReading, ObserverSources } from './sources.ts';

/** What of PathDaemon is looked at. */
export type ObservedDaemon = Pick<PathDaemon, 'ownsEndpoint' | 'status'>;

export function daemonSources(daemon: ObservedDaemon, version: string): ObserverSources {
  const kernel = kernelSources({ version, program: 'daemon' });
  return {
    ...kernel,
    host(): HostReading {
      const reading = kernel.host();
      return {
        ...reading,
        endpoints: reading.endpoints.map((endpoint) =>
          Object.assign({}, endpoint, { ours: daemon.ownsEndpoint(endpoint.id) }),
        ),
      };
    },
  };
}
