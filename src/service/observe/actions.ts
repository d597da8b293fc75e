/**
 * The actions of api.ts, carried out: endpoints, limits and paths through the owner of the object (host-control.ts),
 * what has none by the path manager, paths of tunnels by the tunnel (tunnel-action.ts). Each says the command line
 * that does the same.
 *
 * Invariant: what an owner keeps in order is never changed behind its back; a refused action has changed nothing.
 */
import { shellCommand, WeftError } from '../../base/index.ts';
import { EndpointFlag, PathManager, type Endpoint, type EndpointFlagName } from '../../mptcp/index.ts';
import { NetlinkError, RouteNetlink } from '../../netlink/index.ts';
import type {
  ActionAnswer,
  ActionApi,
  EndpointAddAction,
  EndpointChangeAction,
  EndpointRemoveAction,
  LimitsAction,
  PathAction,
  TunnelPathAction,
} from './api.ts';
import type { HostControl } from './host-control.ts';
import { setTunnelPath } from './tunnel-action.ts';

const GRANT_HINT = 'run Weft as root ("sudo weft up"), or with AmbientCapabilities=CAP_NET_ADMIN';

const endpointCommand = (...words: readonly string[]) =>
  shellCommand(['weft', 'mptcp', 'endpoint', ...words]);

const flagBits = (flags: readonly string[]): number =>
  flags.reduce((bits, flag) => bits | EndpointFlag[flag as EndpointFlagName], 0);

/** What the flags are with one of them set or cleared; absent: as it is. */
function withFlag(flags: number, flag: number, wanted: boolean | undefined): number {
  if (wanted === undefined) return flags;
  return wanted ? flags | flag : flags & ~flag;
}

const isBackup = ({ flags }: Endpoint) => (flags & EndpointFlag.backup) !== 0;

/** The kernel's word, or ours where it has only a number. */
function explained(error: unknown, what: string): unknown {
  if (!(error instanceof NetlinkError) || error.code !== 'EPERM') return error;
  return new WeftError(`${what}: it needs CAP_NET_ADMIN, which this process does not have (EPERM)`, {
    code: 'EPERM',
    hint: GRANT_HINT,
    cause: error,
  });
}

export class HostActions implements ActionApi {
  readonly #control: HostControl;
  readonly #netns: { readonly netns?: string };

  /** @param netns file of the network namespace; default is this process's own */
  constructor(control: HostControl, netns?: string) {
    this.#control = control;
    this.#netns = netns === undefined ? {} : { netns };
  }

  /** Opens the path manager for one action, and has the owner look afterwards. */
  async #change<T>(what: string, work: (pathManager: PathManager) => Promise<T> | T): Promise<T> {
    const refusal = this.#control.refusal();
    if (refusal !== undefined) throw refusal;
    const pathManager = PathManager.open(this.#netns);
    try {
      return await work(pathManager);
    } catch (error) {
      throw explained(error, what);
    } finally {
      pathManager.close();
      this.#control.lookNow();
    }
  }

  #withLinks<T>(work: (netlink: RouteNetlink) => T): T {
    const netlink = RouteNetlink.open(this.#netns);
    try {
      return work(netlink);
    } finally {
      netlink.close();
    }
  }

  #linkIndex(name: string): number {
    return this.#withLinks((netlink) => {
      const links = netlink.links();
      const link = links.find((candidate) => candidate.name === name);
      if (link !== undefined) return link.index;
      throw new WeftError(`there is no link "${name}"`, {
        code: 'NO_SUCH_LINK',
        hint: `there are: ${links.map((candidate) => candidate.name).join(', ')}`,
      });
    });
  }

  #addressesOf(link: string): ReadonlySet<string> {
    return this.#withLinks((netlink) => {
      const index = netlink.links().find(({ name }) => name === link)?.index;
      const own = netlink.addresses().filter(({ linkIndex }) => linkIndex === index);
      return new Set(own.map(({ address }) => address));
    });
  }

  /** @throws WeftError `NO_SUCH_ENDPOINT`; `OWN_ENDPOINT` when it is its owner's business */
  #foreignEndpoint(pathManager: PathManager, id: number): Endpoint {
    const endpoints = pathManager.endpoints();
    const endpoint = endpoints.find((candidate) => candidate.id === id);
    if (endpoint === undefined) {
      const ids = endpoints.map((candidate) => candidate.id).join(', ');
      throw new WeftError(`there is no endpoint ${id}`, {
        code: 'NO_SUCH_ENDPOINT',
        hint: ids === '' ? 'there is none' : `there are: ${ids}`,
      });
    }
    if (this.#control.ownsEndpoint(id)) {
      throw new WeftError(
        `endpoint ${id} (${endpoint.address}) is Weft's own, which would put it back as it was`,
        { code: 'OWN_ENDPOINT', hint: 'make the path backup instead' },
      );
    }
    return endpoint;
  }

  addEndpoint(action: EndpointAddAction): Promise<ActionAnswer> {
    const { address, flags, id, link, port } = action;
    return this.#change(`add an endpoint for ${address}`, (pathManager) => {
      pathManager.addEndpoint({
        address,
        flags: flagBits(flags),
        ...(link === undefined ? {} : { linkIndex: this.#linkIndex(link) }),
        ...(port === undefined ? {} : { port }),
        ...(id === undefined ? {} : { id }),
      });
      const made = pathManager
        .endpoints()
        .find((endpoint) => endpoint.address === address && endpoint.port === (port ?? 0));
      const where = link === undefined ? '' : ` on ${link}`;
      return {
        text: `endpoint ${made?.id ?? ''} for ${address}${where} was added`.replace('  ', ' '),
        command: endpointCommand(
          'add',
          address,
          ...(port === undefined ? [] : ['port', String(port)]),
          ...(link === undefined ? [] : ['dev', link]),
          ...(id === undefined ? [] : ['id', String(id)]),
          ...flags,
        ),
      };
    });
  }

  changeEndpoint(action: EndpointChangeAction): Promise<ActionAnswer> {
    const { backup, fullmesh, id } = action;
    return this.#change(`change endpoint ${id}`, (pathManager) => {
      const endpoint = this.#foreignEndpoint(pathManager, id);
      const flags = withFlag(
        withFlag(endpoint.flags, EndpointFlag.backup, backup),
        EndpointFlag.fullmesh,
        fullmesh,
      );
      pathManager.setEndpointFlags({ id, flags });
      const words = [
        ...(backup === undefined ? [] : [backup ? 'backup' : 'normal']),
        ...(fullmesh === undefined ? [] : [fullmesh ? 'full mesh' : 'not full mesh']),
      ];
      const signed = [
        ...(backup === undefined ? [] : [backup ? '+backup' : '-backup']),
        ...(fullmesh === undefined ? [] : [fullmesh ? '+fullmesh' : '-fullmesh']),
      ];
      return {
        text: `endpoint ${id} (${endpoint.address}) is ${words.join(' and ')} now`,
        // "change" of ip takes away what it does not name.
        command: endpointCommand('set', String(id), ...signed),
      };
    });
  }

  removeEndpoint({ id }: EndpointRemoveAction): Promise<ActionAnswer> {
    return this.#change(`remove endpoint ${id}`, (pathManager) => {
      const { address } = this.#foreignEndpoint(pathManager, id);
      pathManager.deleteEndpoint({ id, address });
      return {
        text: `endpoint ${id} (${address}) was removed, and subflows from it are closed`,
        command: endpointCommand('delete', 'id', String(id)),
      };
    });
  }

  setLimits(action: LimitsAction): Promise<ActionAnswer> {
    return this.#change('set the limits', (pathManager) => {
      this.#control.setLimits(action);
      const { addAddrAccepted, subflows } = pathManager.limits();
      return {
        text: `a connection has at most ${subflows} subflows beside its first, and uses ${addAddrAccepted} announced addresses; connections that are open keep what they had`,
        command: shellCommand([
          'weft',
          'mptcp',
          'limits',
          'set',
          ...(action.subflows === undefined ? [] : ['subflows', String(action.subflows)]),
          ...(action.addAddrAccepted === undefined
            ? []
            : ['add_addr_accepted', String(action.addAddrAccepted)]),
        ]),
      };
    });
  }

  setPath({ backup, link }: PathAction): Promise<ActionAnswer> {
    const priority = backup ? 'backup' : 'normal';
    return this.#change(`make "${link}" ${priority}`, async (pathManager) => {
      const subflows = await this.#control.setPath(link, backup);
      const endpoints = this.#followOthers(pathManager, link, backup);
      const told = [
        ...endpoints.map(({ address, id }) => `endpoint ${id} (${address})`),
        ...(subflows === 0 ? [] : [`${subflows} ${subflows === 1 ? 'subflow' : 'subflows'}`]),
      ];
      const what =
        told.length === 0
          ? 'it has no endpoint yet, and this counts when it gets one'
          : `${told.join(', ')}; connections that are open are told (MP_PRIO)`;
      return {
        text: `${link} is ${priority}: ${what}`,
        command: shellCommand(['weft', 'path', link, priority]),
      };
    });
  }

  /**
   * Endpoints of the link that are not as wanted are other programs', or were changed by hand.
   * @returns all of the link's that subflows come from
   */
  #followOthers(pathManager: PathManager, link: string, backup: boolean): Endpoint[] {
    const addresses = this.#addressesOf(link);
    const concerned = pathManager
      .endpoints()
      .filter(({ address, flags }) => addresses.has(address) && (flags & EndpointFlag.implicit) === 0);
    for (const endpoint of concerned) {
      const { flags, id } = endpoint;
      if (isBackup(endpoint) === backup || (flags & EndpointFlag.subflow) === 0) continue;
      pathManager.setEndpointFlags({ id, flags: withFlag(flags, EndpointFlag.backup, backup) });
    }
    return concerned;
  }

  setTunnelPath(action: TunnelPathAction): Promise<ActionAnswer> {
    return setTunnelPath(action);
  }
}
