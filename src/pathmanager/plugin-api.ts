/**
 * What a path-management plugin is made of: the types of `weft/plugin`. Callbacks and commands are those of mptcpd's
 * plugin interface, with named objects in place of argument lists; addresses are canonical text, an IPv4 address that
 * an IPv6 socket maps is given as IPv4.
 *
 * A plugin of the plugin folder runs in a thread of its own, so everything here is plain data that can be copied
 * between threads, and every command is a promise.
 */

/** One end of a connection or subflow. */
export interface PathAddress {
  readonly address: string;
  readonly port: number;
}

export interface ConnectionEvent {
  /** The local token: the connection's name in all later events and commands. */
  readonly token: number;
  readonly local: PathAddress;
  readonly remote: PathAddress;
  readonly serverSide: boolean;
  /** The peer asks not to be joined at its first address (RFC 8684 section 3.1, flag C). */
  readonly denyJoinId0: boolean;
  /** It was there before the daemon listened, or its event was lost; told from socket diagnostics. */
  readonly adopted: boolean;
}

export interface RemoteAddressEvent {
  readonly token: number;
  readonly remoteId: number;
  readonly address: string;
  /** As in the event: the connection's own when the peer named none. */
  readonly port: number;
}

export interface SubflowEvent {
  readonly token: number;
  readonly local: PathAddress;
  readonly remote: PathAddress;
  readonly localId: number;
  readonly remoteId: number;
  readonly backup: boolean;
  /** The link that the subflow is bound to. */
  readonly linkIndex?: number;
  readonly adopted: boolean;
}

export interface SubflowClosedEvent extends SubflowEvent {
  /** errno of the subflow's end, 0 for none. */
  readonly error: number;
  /** From MP_TCPRST (RFC 8684 section 3.6), when one came. */
  readonly resetReason?: number;
  readonly resetFlags?: number;
}

export interface PluginAddress {
  readonly address: string;
  readonly prefixLength: number;
  /** RT_SCOPE_*; 0 global, 253 link, 254 host. */
  readonly scope: number;
  /** IFA_F_* bits. */
  readonly flags: number;
}

/** A link that is up and running. */
export interface PluginInterface {
  readonly index: number;
  readonly name: string;
  /** IFF_* bits. */
  readonly flags: number;
  /** ARPHRD_*; 1 is Ethernet. */
  readonly hardwareType: number;
  /** `veth`, `bridge`, `wireguard` …; absent for hardware. */
  readonly kind?: string;
  readonly addresses: readonly PluginAddress[];
}

export interface InterfaceEvent {
  readonly interface: PluginInterface;
}

export interface LocalAddressEvent {
  readonly interface: PluginInterface;
  readonly address: PluginAddress;
}

/** What a plugin may want to be told. All optional; a promise that is returned is waited for, within the time budget. */
export interface PluginCallbacks {
  /** The path manager of the kernel is there / has gone. */
  ready?(): void | Promise<void>;
  notReady?(): void | Promise<void>;
  newConnection?(event: ConnectionEvent): void | Promise<void>;
  connectionEstablished?(event: ConnectionEvent): void | Promise<void>;
  connectionClosed?(event: { readonly token: number }): void | Promise<void>;
  newAddress?(event: RemoteAddressEvent): void | Promise<void>;
  addressRemoved?(event: { readonly token: number; readonly remoteId: number }): void | Promise<void>;
  newSubflow?(event: SubflowEvent): void | Promise<void>;
  subflowClosed?(event: SubflowClosedEvent): void | Promise<void>;
  subflowPriority?(event: SubflowEvent): void | Promise<void>;
  listenerCreated?(event: { readonly local: PathAddress }): void | Promise<void>;
  listenerClosed?(event: { readonly local: PathAddress }): void | Promise<void>;
  newInterface?(event: InterfaceEvent): void | Promise<void>;
  updateInterface?(event: InterfaceEvent): void | Promise<void>;
  deleteInterface?(event: InterfaceEvent): void | Promise<void>;
  newLocalAddress?(event: LocalAddressEvent): void | Promise<void>;
  deleteLocalAddress?(event: LocalAddressEvent): void | Promise<void>;
}

export type PluginCallbackName = keyof PluginCallbacks;

/** An endpoint of the kernel's own path manager. */
export interface KernelEndpoint {
  readonly address: string;
  readonly id: number;
  /** 0: none. */
  readonly port: number;
  /** Bits: 1 signal, 2 subflow, 4 backup, 8 fullmesh, 16 implicit, 32 laminar. */
  readonly flags: number;
  readonly linkIndex: number;
}

export interface KernelLimits {
  readonly addAddrAccepted: number;
  readonly subflows: number;
}

/** Commands to the path manager in the kernel. They reject with the kernel's text. */
export interface KernelCommands {
  /** Without `id` one is taken from the id manager. A port sets `signal`. @returns its id */
  addAddress(endpoint: {
    readonly address: string;
    readonly id?: number;
    readonly port?: number;
    readonly flags?: number;
    readonly linkIndex?: number;
  }): Promise<number>;
  removeAddress(id: number): Promise<void>;
  address(id: number): Promise<KernelEndpoint>;
  addresses(): Promise<readonly KernelEndpoint[]>;
  flushAddresses(): Promise<void>;
  setLimits(limits: Partial<KernelLimits>): Promise<void>;
  limits(): Promise<KernelLimits>;
  /** By address; sets backup and fullmesh exactly as given. */
  setFlags(address: string, flags: number): Promise<void>;
}

export interface SubflowCommand {
  readonly token: number;
  readonly local: PathAddress;
  readonly remote: PathAddress;
}

/** Commands for connections under the userspace path manager (net.mptcp.pm_type 1). They reject with the kernel's text. */
export interface UserspaceCommands {
  /**
   * Announces an address to the peer (ADD_ADDR). Opens a listener on it unless `listen` is false; port 0 and `listen`
   * take a free port. @returns the port that was announced (0: none)
   */
  addAddress(announcement: {
    readonly token: number;
    readonly address: string;
    readonly id: number;
    readonly port?: number;
    readonly listen?: boolean;
  }): Promise<number>;
  /** The local addresses that the connection knows by an id, announced or not. */
  addresses(token: number): Promise<readonly KernelEndpoint[]>;
  /** Withdraws it (RM_ADDR), which closes its subflows, and closes the listener. Id 0: the first subflow's address. */
  removeAddress(withdrawal: {
    readonly token: number;
    readonly address: string;
    readonly id: number;
  }): Promise<void>;
  /** Begins a subflow; its outcome comes as an event. Local port 0: the kernel's choice. */
  addSubflow(
    command: SubflowCommand & {
      readonly localId: number;
      readonly remoteId: number;
      readonly backup?: boolean;
      readonly linkIndex?: number;
    },
  ): Promise<void>;
  setBackup(command: SubflowCommand & { readonly backup: boolean }): Promise<void>;
  removeSubflow(command: SubflowCommand): Promise<void>;
}

/** Address ids, 1 to 255: one for an address, the smallest that is free. */
export interface IdManager {
  id(address: string): Promise<number>;
  release(address: string): Promise<void>;
}

/** MPTCP listeners for announced addresses, counted by their users. */
export interface ListenerManager {
  /** Port 0 takes a free one. @returns the port */
  listen(local: PathAddress): Promise<number>;
  close(local: PathAddress): Promise<void>;
}

/** A connection as the daemon knows it. */
export interface ConnectionView extends ConnectionEvent {
  readonly established: boolean;
  readonly subflows: readonly SubflowEvent[];
  /** What the peer announced. */
  readonly remoteAddresses: readonly RemoteAddressEvent[];
}

export interface NetworkAccess {
  /** Links that are up and running, with their addresses. */
  interfaces(): Promise<readonly PluginInterface[]>;
  /** Connections that are bound to this plugin. */
  connections(): Promise<readonly ConnectionView[]>;
  /** Uid and control group (v2 path) of a connection's socket, where the kernel tells. */
  owner(token: number): Promise<{ readonly uid?: number; readonly cgroup?: string } | undefined>;
}

export interface PluginLog {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** What a plugin is given. */
export interface PluginContext {
  /** Says what this plugin wants to be told. `name` is what `path-manager` names; default is the plugin's own. */
  register(callbacks: PluginCallbacks, name?: string): void;
  readonly kernel: KernelCommands;
  readonly userspace: UserspaceCommands;
  readonly ids: IdManager;
  readonly listeners: ListenerManager;
  readonly network: NetworkAccess;
  readonly log: PluginLog;
  /** Endpoint flags of the configuration (`addr-flags`), as bits. */
  readonly addressFlags: number;
  /** The section `[plugin NAME]` of the configuration file. */
  readonly settings: Readonly<Record<string, string>>;
}

/** The default export of a plugin's module. */
export interface Plugin {
  readonly name: string;
  readonly description?: string;
  readonly version?: string;
  /** As a nice value: -20 first, 19 last. Default 0. */
  readonly priority?: number;
  init(context: PluginContext): void | Promise<void>;
  exit?(): void | Promise<void>;
}
