/**
 * Every name that a finding may have, with one line of meaning each. Data, no code; docs/why.md has the same table, and a
 * test holds the two together. Names are for programs: they are added, never changed.
 */

const HOST = {
  platform: 'not Linux, or a machine type that Weft is not written for',
  kernel: 'what kernel this is',
  'kernel-old': 'the kernel has no MPTCP, or an early one',
  mptcp: 'the kernel opens MPTCP sockets',
  'no-mptcp': 'the kernel is built without MPTCP',
  'mptcp-off': 'net.mptcp.enabled is 0',
  'mptcp-refused': 'something keeps this process from opening MPTCP sockets',
  'multipath-off': 'the running Weft was started with --no-multipath',
  'path-manager': 'who opens additional subflows',
  'path-manager-userspace': 'subflows are left to a program, and none that opens them runs',
  scheduler: 'how data is spread over subflows',
  'scheduler-missing': 'the chosen scheduler is not loaded',
  privilege: 'whether endpoints and routes can be set',
  'no-privilege': 'CAP_NET_ADMIN is missing',
  uplinks: 'the ways out of this machine',
  'no-uplink': 'no link has an address and a default route',
  'one-uplink': 'there is one way out only',
  vpn: 'a VPN carries what this host sends, and no path goes around it',
  paths: 'whether something comes through the ways out',
  'paths-stale': 'nothing comes through a path, although its link is up',
  endpoints: 'addresses from which the kernel opens subflows',
  'endpoint-wrong': 'an endpoint cannot work: no such address, the wrong link, no flag',
  'no-endpoint': 'an address has no endpoint, so no subflow begins there',
  'endpoints-full': 'there are more addresses than the kernel takes endpoints',
  limits: 'how many subflows a connection may have',
  'limits-zero': 'the limit of subflows is 0',
  'limits-few': 'the limit of subflows is lower than the ways out',
  'limits-reached': 'connections have as many subflows as their limit allows, and more paths are there',
  backup: 'which paths are for emergencies',
  'backup-only': 'all paths but one at most are backup',
  routes: 'packets from each address leave by its own link',
  'no-route': 'packets from an address leave by another link, or not at all',
  rules: 'policy rules',
  'rules-left': 'rules are left of a Weft that was killed',
  'rules-of-others': 'a rule of another program leads packets of a path elsewhere',
  'rp-filter': 'the reverse path filter',
  'rp-filter-strict': 'the reverse path filter drops answers to an address without a route of its own',
  firewall: 'packet filter rules about the MPTCP option',
  'firewall-strips': 'a rule takes the MPTCP option out of packets',
  'firewall-drops': 'a rule drops packets with the MPTCP option',
  'firewall-synproxy': 'a rule answers handshakes itself, without MPTCP',
  forwarding: "the appliance's packets may pass through this host",
  'forwarding-dropped': "a firewall drops the appliance's packets",
  conntrack: 'connection tracking',
  counters: "the kernel's counters of MPTCP",
  blackhole: 'packets with MPTCP vanished, so the kernel stopped asking for it for a while',
  'handshakes-dropped': 'handshakes got through only without MPTCP',
  'join-no-address': "subflows could not use their endpoint's address",
  'join-no-route': 'subflows found no route',
  'join-forged': 'answers to joining subflows failed their check',
  'data-changed': 'something on the way changes data',
  'no-server-speaks': 'no server has spoken MPTCP so far',
} as const;

const CONNECTION = {
  'several-paths': 'it uses more than one path at once',
  young: 'other subflows begin when the first data has been confirmed',
  'tcp-wanted': 'plain TCP was asked for: by the program, a rule, or --no-multipath',
  'tcp-local': 'this kernel, or a policy of this host, does not give MPTCP',
  'peer-plain': 'the other end, or something on the way, answered without MPTCP',
  'option-stripped': 'something on the way takes the MPTCP option out of packets',
  'fell-back': 'it began with MPTCP and became plain TCP later',
  'limit-zero': 'this connection may have no second subflow',
  'limit-reached': 'it has as many subflows as its limit allows',
  'c-flag': "the other end lets nobody join at the connection's own address (the C flag)",
  'announced-unused': 'the other end announced addresses, and this host takes none',
  'peer-announced-nothing': 'the other end announced no address, and a second path would need one',
  'server-side': 'the other end began it, and opens its subflows',
  'family-mismatch': "a path has no address of the other end's IP version",
  'path-no-endpoint': 'no subflow begins at a path, because its address has no endpoint',
  'path-no-route': 'a path does not lead to the other end',
  'path-rp-filter': 'answers that come by a path are dropped by the reverse path filter',
  'path-not-ready': 'a path is down or not usable yet',
  'path-stale': 'a subflow is there, and nothing comes through',
  'join-unanswered': 'a subflow was begun, and nobody answers',
  'join-refused': 'a subflow was refused or reset',
  'path-backup': 'its other subflows are backup',
  local: 'both ends are on this host',
  'in-appliance': "the virtual machine's kernel has this connection",
  unexplained: 'nothing on this host explains why it has one path',
} as const;

export type HostFindingId = keyof typeof HOST;
export type ConnectionFindingId = keyof typeof CONNECTION;
export type FindingId = HostFindingId | ConnectionFindingId;

/** Meanings by name. A connection's report also has findings of the host, where they are the reason. */
export const FINDING_IDS: {
  readonly host: Readonly<Record<HostFindingId, string>>;
  readonly connection: Readonly<Record<ConnectionFindingId, string>>;
} = { host: HOST, connection: CONNECTION };
