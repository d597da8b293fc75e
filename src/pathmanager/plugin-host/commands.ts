/**
 * The commands that plugins give: to the kernel's path manager, to the userspace path manager, to the id and the
 * listener manager. Each is carried out at once (netlink requests are synchronous) and told by a promise, because
 * the plugin may be in another thread; the kernel's refusals reject it with the kernel's own text (NetlinkError).
 */
import { isIpv6, WeftError } from '../../base/index.ts';
import { EndpointFlag, type EndpointSpec, type SubflowEnds } from '../../mptcp/index.ts';
import { EBUSY, EEXIST, ESRCH } from '../../native/index.ts';
import { NetlinkError } from '../../netlink/index.ts';
import type { OwnedEndpoint } from '../endpoint-plan.ts';
import type {
  IdManager,
  KernelCommands,
  ListenerManager,
  NetworkAccess,
  PathAddress,
  SubflowCommand,
  UserspaceCommands,
} from '../plugin-api.ts';
import {
  checkedAddress,
  checkedEnd,
  checkedFlag,
  checkedId,
  checkedIdOrZero,
  checkedLinkIndex,
  checkedObject,
  checkedPort,
  checkedToken,
  checkedU32,
} from './check-arguments.ts';
import type { HostServices, PluginView } from './host-services.ts';
import type { PluginResources } from './plugin-resources.ts';

/** BOUNDED: an id that another program takes between reading and adding is looked for again. */
const MAX_TRIES = 4;

/** The parts of a plugin's context that are commands; the same for plugins of this thread and of others. */
export interface PluginCommands {
  readonly kernel: KernelCommands;
  readonly userspace: UserspaceCommands;
  readonly ids: IdManager;
  readonly listeners: ListenerManager;
  readonly network: NetworkAccess;
}

function kernelCommands(services: HostServices, resources: PluginResources): KernelCommands {
  const { pathManager, ids } = services;

  /** What an earlier process of this daemon left is taken over. */
  function adopted(endpoint: OwnedEndpoint, error: unknown): number | undefined {
    if (!(error instanceof NetlinkError) || error.errno !== EEXIST) return undefined;
    const left = services.adopt(endpoint, resources);
    if (left !== undefined) resources.addEndpoint(left);
    return left?.id;
  }

  /** Recorded before it is made, so that nothing can be left that the record does not tell of. */
  function add(spec: EndpointSpec & { readonly address: string; readonly id: number }): number {
    const { address, id, flags = 0, linkIndex = 0 } = spec;
    const endpoint = { address, id, flags, linkIndex };
    const former = resources.endpoint(id);
    resources.addEndpoint(endpoint);
    try {
      services.recordEndpoints();
      pathManager.addEndpoint(spec);
    } catch (error) {
      resources.removeEndpoint(id);
      if (former !== undefined) resources.addEndpoint(former);
      const leftId = adopted(endpoint, error);
      services.recordGone();
      if (leftId !== undefined) return leftId;
      throw error;
    }
    services.endpointChanged('added', endpoint);
    return id;
  }

  return {
    async addAddress(endpoint) {
      const address = checkedAddress(checkedObject('endpoint', endpoint).address);
      const port = checkedPort(endpoint.port ?? 0);
      const wanted = checkedU32('flags', endpoint.flags ?? 0);
      const flags = (wanted | (port === 0 ? 0 : EndpointFlag.signal)) >>> 0;
      const spec = {
        address,
        flags,
        ...(port === 0 ? {} : { port }),
        ...(endpoint.linkIndex === undefined ? {} : { linkIndex: checkedLinkIndex(endpoint.linkIndex) }),
      };
      if (endpoint.id !== undefined) {
        return add({ ...spec, id: checkedId(endpoint.id) });
      }
      const taken: number[] = [];
      for (;;) {
        const id = ids.newIdOf(address, taken);
        try {
          return add({ ...spec, id });
        } catch (error) {
          const raced = error instanceof NetlinkError && error.errno === EBUSY;
          if (!raced || taken.length >= MAX_TRIES) throw error;
          taken.push(id);
        }
      }
    },
    async removeAddress(id) {
      const known = resources.endpoint(checkedId(id));
      pathManager.deleteEndpoint({ id });
      if (known === undefined) return;
      resources.removeEndpoint(id);
      services.recordGone();
      services.endpointChanged('removed', known);
    },
    async address(id) {
      const endpoint = pathManager.endpoint(checkedId(id));
      if (endpoint === undefined) {
        throw new WeftError(`show endpoint ${id}: the kernel's answer holds none`, { code: 'BAD_ANSWER' });
      }
      return endpoint;
    },
    async addresses() {
      return pathManager.endpoints();
    },
    async flushAddresses() {
      pathManager.flushEndpoints();
      const gone = resources.endpoints;
      resources.forgetEndpoints();
      services.recordGone();
      for (const endpoint of gone) services.endpointChanged('removed', endpoint);
    },
    async setLimits(limits) {
      const { addAddrAccepted, subflows } = checkedObject('limits', limits);
      pathManager.setLimits({
        ...(addAddrAccepted === undefined
          ? {}
          : { addAddrAccepted: checkedU32('addAddrAccepted', addAddrAccepted) }),
        ...(subflows === undefined ? {} : { subflows: checkedU32('subflows', subflows) }),
      });
    },
    async limits() {
      return pathManager.limits();
    },
    async setFlags(address, flags) {
      pathManager.setEndpointFlags({ address: checkedAddress(address), flags: checkedU32('flags', flags) });
    },
  };
}

/** `10.0.0.1` as `::ffff:10.0.0.1`. */
const mapped = (address: string) => (isIpv6(address) ? address : `::ffff:${address}`);

/**
 * Subflows of a connection that a dual-stack listener took are IPv6 sockets with mapped addresses, which the kernel
 * finds by these only.
 */
export function onEitherForm(ends: SubflowEnds, work: (ends: SubflowEnds) => void): void {
  try {
    work(ends);
  } catch (error) {
    const { local, remote } = ends;
    const v4 = local.address !== undefined && !isIpv6(local.address) && !isIpv6(remote.address);
    if (!v4 || !(error instanceof NetlinkError) || error.errno !== ESRCH) throw error;
    work({
      local: { ...local, address: mapped(local.address) },
      remote: { ...remote, address: mapped(remote.address) },
    });
  }
}

/** Of a command whose token is checked, too. */
function endsOf(command: SubflowCommand): { local: PathAddress; remote: PathAddress } {
  const { token, local, remote } = checkedObject('command', command);
  checkedToken(token);
  return { local: checkedEnd('local', local), remote: checkedEnd('remote', remote) };
}

function userspaceCommands(services: HostServices, resources: PluginResources): UserspaceCommands {
  const { pathManager, listeners } = services;
  return {
    async addAddress(announcement) {
      const { token, id, port = 0, listen = true } = checkedObject('announcement', announcement);
      const address = checkedAddress(announcement.address);
      checkedToken(token);
      checkedId(id);
      checkedPort(port);
      checkedFlag('listen', listen);
      const bound = listen ? listeners.listen({ address, port }) : { address, port };
      try {
        pathManager.announce(token, {
          address,
          id,
          flags: EndpointFlag.signal,
          ...(bound.port === 0 ? {} : { port: bound.port }),
        });
      } catch (error) {
        if (listen) listeners.close(bound);
        throw error;
      }
      if (listen) {
        const former = resources.withdraw(token, id);
        if (former !== undefined) listeners.close(former);
        resources.announce(token, id, bound);
      }
      return bound.port;
    },
    async addresses(token) {
      return pathManager.addressesOf(checkedToken(token));
    },
    async removeAddress(withdrawal) {
      const { token, id } = checkedObject('withdrawal', withdrawal);
      // 0 is the address that the connection began with, which the peer never had announced.
      pathManager.remove(checkedToken(token), checkedIdOrZero(id));
      const listener = resources.withdraw(token, id);
      if (listener !== undefined) listeners.close(listener);
    },
    async addSubflow(command) {
      const { local, remote } = endsOf(command);
      const { token, localId, remoteId, backup = false, linkIndex } = command;
      checkedFlag('backup', backup);
      pathManager.createSubflow(token, {
        local: {
          address: local.address,
          id: checkedIdOrZero(localId, 'localId'),
          ...(local.port === 0 ? {} : { port: local.port }),
          ...(backup ? { flags: EndpointFlag.backup } : {}),
          ...(linkIndex === undefined ? {} : { linkIndex: checkedLinkIndex(linkIndex) }),
        },
        remote: { ...remote, ...(remoteId === 0 ? {} : { id: checkedIdOrZero(remoteId, 'remoteId') }) },
      });
    },
    async setBackup(command) {
      const { local, remote } = endsOf(command);
      const flags = checkedFlag('backup', command.backup) ? EndpointFlag.backup : 0;
      onEitherForm({ local: { ...local, flags }, remote }, (ends) =>
        pathManager.setSubflowFlags(command.token, ends),
      );
    },
    async removeSubflow(command) {
      onEitherForm(endsOf(command), (ends) => pathManager.destroySubflow(command.token, ends));
    },
  };
}

export function pluginCommands(
  services: HostServices,
  resources: PluginResources,
  view: PluginView,
): PluginCommands {
  const { ids, listeners } = services;
  return {
    kernel: kernelCommands(services, resources),
    userspace: userspaceCommands(services, resources),
    ids: {
      id: async (address) => ids.idOf(checkedAddress(address)),
      release: async (address) => ids.release(checkedAddress(address)),
    },
    listeners: {
      async listen(local) {
        const bound = listeners.listen(checkedEnd('local', local));
        resources.addListener(bound);
        return bound.port;
      },
      async close(local) {
        const known = checkedEnd('local', local);
        if (!resources.removeListener(known)) {
          throw new WeftError(`close listener on ${known.address} port ${known.port}: it is not yours`, {
            code: 'NO_LISTENER',
          });
        }
        listeners.close(known);
      },
    },
    network: {
      interfaces: async () => services.interfaces(),
      connections: async () => view.connections(),
      owner: async (token) => services.owner(checkedToken(token)),
    },
  };
}
