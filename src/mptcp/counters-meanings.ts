/**
 * One line of meaning for each MPTCP counter of Linux up to 7, and the group in which it is shown. Data, no code.
 * "Here" is this host; "the other end" is the peer of a connection.
 *
 * References: net/mptcp/mib.h, mib.c and their uses; RFC 8684 for the options' names.
 */

/** In the order in which they are shown. */
export const COUNTER_GROUPS = [
  'connections',
  'fallback',
  'subflows',
  'addresses',
  'priority',
  'data',
  'window',
  'reset',
  'other',
] as const;

export type CounterGroup = (typeof COUNTER_GROUPS)[number];

export interface CounterDescription {
  readonly group: CounterGroup;
  readonly meaning: string;
  /** It goes up and down: its value counts, not its growth. */
  readonly gauge: boolean;
}

const TABLE: Readonly<Record<Exclude<CounterGroup, 'other'>, Readonly<Record<string, string>>>> = {
  connections: {
    MPCurrEstab: 'MPTCP connections that are established now',
    MPCapableSYNTX: 'connections started here with MPTCP asked for (SYN with MP_CAPABLE sent)',
    MPCapableSYNACKRX: 'of these, the other end agreed (SYN/ACK with MP_CAPABLE received)',
    MPCapableSYNRX: 'connections asked for by others with MPTCP (SYN with MP_CAPABLE received)',
    MPCapableACKRX: 'of these, established with MPTCP (third ACK with MP_CAPABLE received)',
    MPCapableEndpAttempt:
      'connections asked for at an endpoint with a port, which takes only additional subflows',
  },
  fallback: {
    MPCapableFallbackSYNACK: 'connections started here that became plain TCP: the answer had no MPTCP',
    MPCapableFallbackACK: 'connections accepted here that became plain TCP: the third ACK had no MPTCP',
    MPCapableDataFallback: 'connections that became plain TCP because the first data came without MPTCP',
    MPCapableSYNTXDrop: 'SYNs with MPTCP that had to be sent again without it: something drops them',
    MPCapableSYNTXDisabled: 'connections started without MPTCP because a black hole was found before',
    Blackhole: 'black holes found: SYNs with MPTCP are dropped, without it they arrive',
    MPFallbackTokenInit: 'connections that became plain TCP because no unique token was found',
    MD5SigFallback: 'connections that became plain TCP because TCP-MD5 leaves no room for MPTCP',
    DssFallback: 'connections that became plain TCP because data came with a bad mapping or with none',
    SimultConnectFallback: 'connections that became plain TCP because both ends connected at the same time',
    FallbackFailed: 'connections that should have become plain TCP and could not, so they were reset',
    DSSCorruptionFallback: 'connections that became plain TCP because a mapping was corrupt',
    DataCsumErr: 'mappings whose checksum was wrong: something on the path changes the data',
    MPFailTx: 'MP_FAIL sent: a wrong checksum was seen here',
    MPFailRx: 'MP_FAIL received: a wrong checksum was seen at the other end',
    InfiniteMapTx: 'infinite mappings sent: the rest of the connection is plain TCP',
    InfiniteMapRx: 'infinite mappings received: the rest of the connection is plain TCP',
  },
  subflows: {
    MPJoinSynTx: 'additional subflows started here (SYN with MP_JOIN sent)',
    MPJoinSynTxCreatSkErr: 'additional subflows not started: no socket could be made',
    MPJoinSynTxBindErr:
      'additional subflows not started: the local address is not there, or no route leaves it',
    MPJoinSynTxConnectErr: 'additional subflows not started: no route to the other end from that address',
    MPJoinSynAckRx: 'additional subflows to which the other end agreed (SYN/ACK with MP_JOIN received)',
    MPJoinSynAckBackupRx: 'of these, the other end wants them only as backup',
    MPJoinSynAckHMacFailure: 'answers to additional subflows with a wrong authentication code',
    MPJoinSynAckNoMPJoin: 'answers to additional subflows without MP_JOIN: something removes it',
    MPJoinSynRx: 'additional subflows asked for by others (SYN with MP_JOIN received)',
    MPJoinSynBackupRx: 'of these, the other end wants them only as backup',
    MPJoinAckRx: 'additional subflows established here (ACK with MP_JOIN received)',
    MPJoinAckHMacFailure: 'third ACKs of additional subflows with a wrong authentication code',
    MPJoinAckNoMPJoin: 'third ACKs of additional subflows without MP_JOIN: something removes it',
    MPJoinAckNoCtx: 'third ACKs of additional subflows whose handshake is not known here any more',
    MPJoinNoTokenFound: 'additional subflows asked for by others with a token of no connection here',
    MPJoinNoIdFound: 'additional subflows asked for by others at an address that has no id here',
    MPJoinRejected: 'additional subflows refused here: the limits are reached, or the path manager said no',
    MPJoinNotEstablished: 'additional subflows refused here: the connection was not established (any more)',
    MPJoinPortSynRx: 'additional subflows asked for by others at an endpoint with its own port',
    MPJoinPortSynAckRx: 'answers to additional subflows at an announced port',
    MPJoinPortAckRx: 'additional subflows established at an endpoint with its own port',
    MismatchPortSynRx: 'additional subflows asked for at a port that was not announced',
    MismatchPortAckRx: 'third ACKs of additional subflows at a port that was not announced',
    SubflowStale: 'subflows set aside because nothing came back for a while',
    SubflowRecover: 'subflows used again after they had been set aside',
    RmSubflow: 'subflows closed because their address was removed, here or at the other end',
  },
  addresses: {
    AddAddr: 'addresses announced by others (ADD_ADDR received)',
    AddAddrTx: 'addresses announced from here (ADD_ADDR sent)',
    AddAddrTxDrop: 'announcements not sent: no room in the packet, or one was still waiting',
    AddAddrDrop: 'announcements of others ignored: too many at once, or not wanted',
    EchoAdd: 'announcements from here confirmed by the other end (echo received)',
    EchoAddTx: 'announcements of others confirmed from here (echo sent)',
    EchoAddTxDrop: 'confirmations not sent: no room in the packet, or one was still waiting',
    PortAdd: 'addresses with a port announced by others',
    RmAddr: 'addresses withdrawn by others (RM_ADDR received)',
    RmAddrDrop: 'withdrawals of others ignored: too many at once',
    RmAddrTx: 'addresses withdrawn from here (RM_ADDR sent)',
    RmAddrTxDrop: 'withdrawals not sent: no room in the packet',
  },
  priority: {
    MPPrioTx: 'changes of a subflow to or from backup told to others (MP_PRIO sent)',
    MPPrioRx: 'changes of a subflow to or from backup told by others (MP_PRIO received)',
  },
  data: {
    MPTCPRetrans: 'segments sent again on another subflow',
    OFOQueue: 'segments that came out of order across subflows',
    OFOQueueTail: 'of these, put at the end of the queue',
    OFOMerge: 'of these, merged with a neighbour',
    OFOPruned: 'segments that came out of order and were dropped for lack of memory',
    DuplicateData: 'segments dropped because their data had come on another subflow',
    NoDSSInWindow: 'segments outside the connection’s window',
    DSSNoMatchTCP: 'data whose mapping did not fit the TCP sequence numbers',
    DSSNotMatching: 'segments whose mapping contradicts the one before',
    BacklogDrop: 'segments dropped because the connection’s backlog was full',
    RcvPruned: 'segments dropped for lack of receive memory',
    WinProbe: 'probes sent because the connection’s window was closed',
  },
  window: {
    SndWndShared: 'times the connection’s send window stood in for a subflow’s own',
    RcvWndShared: 'times the connection’s receive window stood in for a subflow’s own',
    RcvWndConflict: 'times two subflows changed the shared receive window at once',
    RcvWndConflictUpdate: 'of these, the other subflow’s value was taken',
  },
  reset: {
    MPFastcloseTx: 'connections aborted from here (MP_FASTCLOSE sent)',
    MPFastcloseRx: 'connections aborted by the other end (MP_FASTCLOSE received)',
    MPRstTx: 'subflows reset from here with a reason (MP_TCPRST sent)',
    MPRstRx: 'subflows reset by the other end with a reason (MP_TCPRST received)',
    DSSCorruptionReset: 'subflows reset because a mapping was corrupt',
    DssReset: 'subflows reset because data came with a bad mapping or with none',
    MD5SigReset: 'subflows reset because TCP-MD5 leaves no room for MPTCP',
  },
};

const GAUGES: ReadonlySet<string> = new Set(['MPCurrEstab']);

/** By the kernel's name. */
export const COUNTER_MEANINGS: ReadonlyMap<string, CounterDescription> = new Map(
  Object.entries(TABLE).flatMap(([group, meanings]) =>
    Object.entries(meanings).map(([name, meaning]): [string, CounterDescription] => [
      name,
      { group: group as CounterGroup, meaning, gauge: GAUGES.has(name) },
    ]),
  ),
);
