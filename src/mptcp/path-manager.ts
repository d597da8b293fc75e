/**
 * The kernel's MPTCP path manager: endpoints, limits, the commands of the userspace path manager, events.
 *
 * Nothing is checked here that the kernel checks: limits and rules differ between kernels, and its own words
 * (NetlinkError.kernelText) are the best ones. Reading needs no privilege, writing CAP_NET_ADMIN in the user
 * namespace that owns the network namespace.
 */
import { WeftError } from '../base/errors.ts';
import {
  EventSocket,
  findFamily,
  NETLINK_GENERIC,
  NetlinkConnection,
  NetlinkError,
  type GenericFamily,
  type NetlinkMessage,
  type NetlinkSocketOptions,
} from '../netlink/index.ts';
import type { Endpoint, EndpointSpec, Limits, MptcpEvent } from './model.ts';
import {
  emitBare,
  emitEndpoint,
  emitLimits,
  emitTokenCommand,
  MPTCP_PM_EVENT_GROUP,
  MPTCP_PM_NAME,
  parseEndpoint,
  parseEvent,
  parseLimits,
  PathManagerCommand as Command,
  type SubflowAddress,
} from './path-manager-codec.ts';

const GET_LIMITS = emitBare(Command.getLimits);

const NO_FAMILY_HINT = 'it needs Linux 5.6 or newer, built with CONFIG_MPTCP';

function requireFamily(connection: NetlinkConnection): GenericFamily {
  const family = findFamily(connection, MPTCP_PM_NAME);
  if (family === undefined) {
    throw new WeftError('this kernel has no MPTCP path manager', { code: 'NO_MPTCP', hint: NO_FAMILY_HINT });
  }
  return family;
}

/** Both ends of a subflow, as the userspace path manager names them. */
export interface SubflowEnds {
  readonly local: EndpointSpec;
  readonly remote: SubflowAddress;
}

export class PathManager {
  readonly #connection: NetlinkConnection;
  readonly #family: GenericFamily;

  private constructor(connection: NetlinkConnection, family: GenericFamily) {
    this.#connection = connection;
    this.#family = family;
  }

  /** @throws WeftError NO_MPTCP when the kernel has no path manager */
  static open(options: NetlinkSocketOptions = {}): PathManager {
    const connection = new NetlinkConnection(NETLINK_GENERIC, options);
    try {
      return new PathManager(connection, requireFamily(connection));
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  close(): void {
    this.#connection.close();
  }

  #request(payload: Uint8Array, operation: string): NetlinkMessage[] {
    return this.#connection.request(this.#family.id, 0, payload, operation);
  }

  /** In the order of their ids. */
  endpoints(): Endpoint[] {
    const messages = this.#connection.dump(this.#family.id, emitBare(Command.getAddress), 'list endpoints');
    return messages
      .map((message) => parseEndpoint(message.payload))
      .filter((endpoint) => endpoint !== undefined);
  }

  /**
   * By id; of a spec the kernel looks at the id only (the rest is sent all the same, and has to be well-formed).
   * @throws NetlinkError "address not found"
   */
  endpoint(wanted: number | EndpointSpec): Endpoint | undefined {
    const spec = typeof wanted === 'number' ? { id: wanted } : wanted;
    const payload = emitEndpoint(Command.getAddress, spec);
    const answer = this.#connection.get(
      this.#family.id,
      0,
      payload,
      `show endpoint ${spec.id ?? ''}`.trimEnd(),
    );
    return parseEndpoint(answer.payload);
  }

  /**
   * Reads limits many times over, as a batch of commands asks for it, with few system calls.
   * @returns for each reading its value or the error that `limits` would throw
   */
  limitsEach(count: number): (Limits | NetlinkError)[] {
    const payloads = Array.from({ length: count }, () => GET_LIMITS);
    const answers = this.#connection.getEach(this.#family.id, 0, payloads, 'show limits');
    return answers.map((answer) => (answer instanceof NetlinkError ? answer : parseLimits(answer.payload)));
  }

  addEndpoint(spec: EndpointSpec): void {
    this.#request(emitEndpoint(Command.addAddress, spec), `add endpoint ${spec.address ?? ''}`.trimEnd());
  }

  /** By id, or by id 0 and address. Takes 5-10 ms: the kernel waits until no connection uses it. */
  deleteEndpoint(spec: EndpointSpec): void {
    this.#request(
      emitEndpoint(Command.deleteAddress, spec),
      `delete endpoint ${spec.id ?? spec.address ?? ''}`,
    );
  }

  /** Sets backup and fullmesh exactly as `spec.flags` says, of the endpoint with that id or address. */
  setEndpointFlags(spec: EndpointSpec): void {
    this.#request(emitEndpoint(Command.setFlags, spec), `change endpoint ${spec.id ?? spec.address ?? ''}`);
  }

  flushEndpoints(): void {
    this.#request(emitBare(Command.flushAddresses), 'flush endpoints');
  }

  limits(): Limits {
    const answer = this.#connection.get(this.#family.id, 0, GET_LIMITS, 'show limits');
    return parseLimits(answer.payload);
  }

  /** What is not named stays. */
  setLimits(limits: Partial<Limits>): void {
    this.#request(emitLimits(limits), 'set limits');
  }

  /** Userspace path manager: tells the peer of the connection about an address (ADD_ADDR). */
  announce(token: number, local: EndpointSpec): void {
    this.#request(emitTokenCommand(Command.announce, token, { local }), `announce ${local.address ?? ''}`);
  }

  /** Userspace path manager: withdraws an announced address (RM_ADDR) and closes its subflows. */
  remove(token: number, localId: number): void {
    this.#request(emitTokenCommand(Command.remove, token, { localId }), `withdraw address id ${localId}`);
  }

  /** Userspace path manager: the local addresses that the connection knows by an id, with their flags and ports. */
  addressesOf(token: number): Endpoint[] {
    const payload = emitTokenCommand(Command.getAddress, token, {});
    const messages = this.#connection.dump(this.#family.id, payload, `list addresses of connection ${token}`);
    return messages
      .map((message) => parseEndpoint(message.payload))
      .filter((endpoint) => endpoint !== undefined);
  }

  /** Userspace path manager: begins a subflow; its outcome comes as an event. */
  createSubflow(token: number, ends: SubflowEnds): void {
    this.#request(
      emitTokenCommand(Command.createSubflow, token, ends),
      `create subflow to ${ends.remote.address}`,
    );
  }

  /** Userspace path manager: closes the subflow with exactly these addresses and ports. */
  destroySubflow(token: number, ends: SubflowEnds): void {
    this.#request(
      emitTokenCommand(Command.destroySubflow, token, ends),
      `close subflow to ${ends.remote.address}`,
    );
  }

  /** Userspace path manager: makes one subflow backup or normal (MP_PRIO). */
  setSubflowFlags(token: number, ends: SubflowEnds): void {
    this.#request(
      emitTokenCommand(Command.setFlags, token, ends),
      `change subflow to ${ends.remote.address}`,
    );
  }
}

export interface MptcpEventHandlers {
  readonly onEvent: (event: MptcpEvent) => void;
  /** The kernel dropped events; what is known about connections is stale. */
  readonly onOverrun: () => void;
  /** Many events have been given, or all that were waiting (`empty`); a good moment to write output. */
  readonly onDrained?: (empty: boolean) => void;
}

/**
 * Watches the events of every MPTCP connection of the network namespace until closed.
 * @throws SystemError EPERM without CAP_NET_ADMIN; WeftError NO_MPTCP, or NO_EVENTS before Linux 5.12
 */
export function watchMptcpEvents(
  handlers: MptcpEventHandlers,
  options: NetlinkSocketOptions = {},
): { close(): void } {
  const connection = new NetlinkConnection(NETLINK_GENERIC, options);
  let family: GenericFamily;
  try {
    family = requireFamily(connection);
  } finally {
    connection.close();
  }
  const groups = family.groups.filter((group) => group.name === MPTCP_PM_EVENT_GROUP);
  if (groups.length === 0) {
    throw new WeftError('this kernel tells no MPTCP events', { code: 'NO_EVENTS', hint: 'Linux 5.12 does' });
  }
  return new EventSocket(
    NETLINK_GENERIC,
    groups,
    {
      onMessage: (message) => {
        const event = message.type === family.id ? parseEvent(message.payload) : undefined;
        if (event !== undefined) handlers.onEvent(event);
      },
      onOverrun: handlers.onOverrun,
      ...(handlers.onDrained === undefined ? {} : { onDrained: handlers.onDrained }),
    },
    options,
  );
}
