/**
 * Puts the front door together: HTTP, SOCKS and datagrams behind one listener, with users, limits and the PAC file.
 * No behaviour of its own.
 */
import type { Logger } from '../base/index.ts';
import type { Access } from './access.ts';
import type { ProxyTallies } from './counters.ts';
import type { Dialer } from './dialer/dialer.ts';
import { Front } from './front.ts';
import { Admission } from './http/admission.ts';
import { ConnectHandler } from './http/connect.ts';
import { Forwarder } from './http/forwarder.ts';
import { Refusals } from './http/refusals.ts';
import type { ProxyLimits } from './options.ts';
import { PacFile } from './pac.ts';
import type { PolicyHolder } from './policy/policy-holder.ts';
import { SocksServer } from './socks/socks-server.ts';
import type { Tunnels } from './tunnels.ts';
import { UdpAssociations } from './udp/associations.ts';
import type { UpstreamAgent } from './upstream-agent.ts';
import type { UdpPath } from './upstream/types.ts';

export interface DoorsOptions {
  readonly allowRemote: boolean;
  readonly limits: ProxyLimits;
  readonly access: Access;
  readonly policy: PolicyHolder;
  readonly dialer: Dialer;
  readonly tunnels: Tunnels;
  readonly agent: UpstreamAgent;
  /** Datagrams through an upstream proxy of the policy; throws when it carries none. */
  readonly openUdp: (upstream: string) => UdpPath;
  readonly tallies: ProxyTallies;
  readonly logger: Logger;
}

export interface Doors {
  readonly front: Front;
  readonly associations: UdpAssociations;
}

export function makeDoors(options: DoorsOptions): Doors {
  const { allowRemote, limits, access, policy, dialer, tunnels, agent, openUdp, tallies, logger } = options;
  const refusals = new Refusals(tallies);
  const associations = new UdpAssociations({
    access,
    dialer,
    policy,
    openThrough: openUdp,
    logger,
    maxAssociations: limits.maxUdpAssociations,
    idleTimeoutMs: limits.udpIdleTimeoutMs,
  });
  const socks = new SocksServer({
    access,
    tunnels,
    associations,
    refusals,
    tallies,
    logger,
    timeoutMs: limits.headersTimeoutMs,
  });
  const http = new Admission({
    access,
    refusals,
    forwarder: new Forwarder({ agent, tallies, refusals, limits }),
    connect: new ConnectHandler({ tunnels, refusals }),
    pac: new PacFile(() => policy.current.policy),
  });
  const front = new Front({
    allowRemote,
    limits,
    access,
    tallies,
    refusals,
    handlers: {
      request: (request, response, expects) => http.handleRequest(request, response, expects),
      connect: (request, socket, head) => http.handleConnect(request, socket, head),
      socks: (socket, version) => socks.handleConnection(socket, version),
    },
  });
  return { front, associations };
}
