/**
 * A far end and a proxy that leads through it, in one process, on loopback of the namespace that the tests run in.
 * What either logs is kept, so that a test can look for what must not be there.
 */
import type { Logger, Prefix } from '../../src/base/index.ts';
import {
  FarServer,
  makeToken,
  type FarOptions,
  type ProxyPolicy,
  type UpstreamProxy,
} from '../../src/proxy/index.ts';
import { DEFAULT_POLICY } from '../../src/proxy/index.ts';
import { onCleanup, startProxy, type StartedProxy } from '../proxy-support.ts';

export const LOOPBACK: readonly Prefix[] = [{ address: '127.0.0.0', length: 8 }];

export class NotedLog {
  /** `level text {fields}` */
  readonly lines: string[] = [];

  get logger(): Logger {
    const note = (level: string) => (fields: unknown, text: string) => {
      this.lines.push(`${level} ${text} ${JSON.stringify(fields)}`);
    };
    return { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  }
}

export interface StartedFar {
  readonly server: FarServer;
  readonly port: number;
  readonly token: string;
  readonly log: NotedLog;
}

/** A far end on a free port of 127.0.0.1 that lets loopback be reached; stopped after the test. */
export async function startFar(options: Partial<FarOptions> = {}): Promise<StartedFar> {
  const token = makeToken();
  const log = new NotedLog();
  const server = new FarServer({
    listen: [{ address: '127.0.0.1', port: 0 }],
    access: { tokens: [{ name: 'laptop', token }] },
    allow: LOOPBACK,
    logger: log.logger,
    ...options,
  });
  await server.start();
  onCleanup(() => server.stop());
  return { server, port: server.addresses[0]!.port, token, log };
}

/** Everything goes through this upstream proxy. */
export function policyThrough(upstream: UpstreamProxy): ProxyPolicy {
  return {
    ...DEFAULT_POLICY,
    upstreams: new Map([[upstream.name, upstream]]),
    // A rule, because addresses of this host go the default way only where that is direct.
    rules: [{ way: { kind: 'upstream', upstream: upstream.name } }],
  };
}

export function farUpstream(port: number, token: string): UpstreamProxy {
  return { name: 'vps', kind: 'weft', host: '127.0.0.1', port, token };
}

/** A proxy that leads everything through a far end. */
export function startProxyThrough(upstream: UpstreamProxy, log = new NotedLog()): Promise<StartedProxy> {
  return startProxy({}, { policy: policyThrough(upstream), logger: log.logger });
}
