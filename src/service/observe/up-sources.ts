/**
 * What an observer is told by a running `weft up`: the backend's view of the host, and the proxy's connections.
 *
 * Invariant: what costs work for each connection (the sentences about multipath) is made seldom, and only when
 * somebody reads it.
 */
import { errorText, type Logger } from '../../base/index.ts';
import type { ProxyServer } from '../../proxy/index.ts';
import type { Backend } from '../backend.ts';
import type { StatusReport } from '../control-api.ts';
import type { HostReading, ObserverSources } from './sources.ts';

export interface UpParts {
  readonly version: string;
  readonly backend: Backend;
  readonly proxy: Pick<ProxyServer, 'connections'>;
  readonly proxyAddresses: () => readonly string[];
  readonly status: () => Promise<StatusReport>;
  readonly logger: Logger;
}

const FRESH_MS = 3000;
/** One part of the time at most goes into the sentences. */
const COST_SHARE = 1 / 300;

/** The sentences of the last status, renewed in the background when they are old and somebody reads them. */
class Explanation {
  readonly #parts: UpParts;
  #sentences: readonly string[] = [];
  #dueMs = -Infinity;
  #asking = false;

  constructor(parts: UpParts) {
    this.#parts = parts;
  }

  read(nowMs: number): readonly string[] {
    if (nowMs >= this.#dueMs && !this.#asking) this.#renew(nowMs);
    return this.#sentences;
  }

  #renew(startMs: number): void {
    this.#asking = true;
    const asked = this.#parts.status();
    // A status is made at once; only its promise comes later.
    const costMs = performance.now() - startMs;
    this.#dueMs = startMs + Math.max(FRESH_MS, costMs / COST_SHARE);
    void asked.then(
      ({ multipath }) => {
        this.#sentences = multipath.explanation;
        this.#asking = false;
      },
      (error: unknown) => {
        this.#parts.logger.debug({}, `the sentences about multipath: ${errorText(error)}`);
        this.#asking = false;
      },
    );
  }
}

export function upSources(parts: UpParts): ObserverSources {
  const { backend, proxy, proxyAddresses, version } = parts;
  const explanation = new Explanation(parts);
  return {
    program: 'up',
    version,
    host(): HostReading {
      const { endpoints, ignoredLinks, limits, limitsMaximum, mode, paths, reason } = backend.status();
      return {
        paths,
        ignoredLinks,
        endpoints,
        mode,
        reason,
        get explanation() {
          return explanation.read(performance.now());
        },
        mayChange: backend.control.refusal() === undefined,
        ...(limits === undefined ? {} : { limits }),
        ...(limitsMaximum === undefined ? {} : { limitsMaximum }),
      };
    },
    proxied: () => proxy.connections(),
    proxyAddresses,
    ...(backend.kind === 'appliance'
      ? {
          guest: () => backend.status().guest,
          guestLinks: () => backend.status().appliance?.links ?? [],
        }
      : {}),
  };
}
