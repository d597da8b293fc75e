/**
 * What an observer is told by a running `weft up`: the backend's view of the host, and the proxy's connections.
 *
 * Invariant: what costs work for each connection (the sentences about multipath) is made seldom, and only when
 * somebody reads it.
 */
import type { ProxyServer } from '../../proxy/index.ts';
import type { Backend } from '../backend.ts';
import type { StatusReport } from '../control-api.ts';
import { CostMeter } from './pace.ts';
import type { HostReading, ObserverSources } from './sources.ts';

export interface UpParts {
  readonly version: string;
  readonly backend: Backend;
  readonly proxy: Pick<ProxyServer, 'connections'>;
  readonly proxyAddresses: () => readonly string[];
  /** @throws WeftError */
  readonly status: () => StatusReport;
  /** Paths through which nothing comes although it should. */
  readonly stalePaths: () => readonly { readonly id: string }[];
}

const FRESH_MS = 3000;
/** One part of the time at most goes into the sentences. */
const COST_SHARE = 1 / 300;
/** When paths have changed, what was said may be wrong: a greater part then. */
const COST_SHARE_OF_CHANGES = 1 / 20;

/** The sentences of a status, made anew when they are old, or paths have changed, and somebody reads them. */
class Explanation {
  readonly #parts: UpParts;
  #sentences: readonly string[] = [];
  #paths = '';
  #dueMs = -Infinity;
  #earliestMs = -Infinity;

  constructor(parts: UpParts) {
    this.#parts = parts;
  }

  /** @param paths changes when the paths do */
  read(nowMs: number, paths: string): readonly string[] {
    const isDue = nowMs >= this.#dueMs || (paths !== this.#paths && nowMs >= this.#earliestMs);
    if (isDue) this.#renew(nowMs, paths);
    return this.#sentences;
  }

  #renew(nowMs: number, paths: string): void {
    const meter = new CostMeter();
    try {
      this.#sentences = meter.run(this.#parts.status).multipath.explanation;
    } catch {
      // Weft is ending, or has not begun.
      this.#sentences = [];
    }
    this.#paths = paths;
    const costMs = meter.take();
    this.#dueMs = nowMs + Math.max(FRESH_MS, costMs / COST_SHARE);
    this.#earliestMs = nowMs + costMs / COST_SHARE_OF_CHANGES;
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
          const states = paths.map(
            ({ address, backup, link, state }) => `${link} ${address} ${state} ${backup}`,
          );
          const stale = parts.stalePaths().map(({ id }) => id);
          return explanation.read(performance.now(), [...states, ...stale].join());
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
