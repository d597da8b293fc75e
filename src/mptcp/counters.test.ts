import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COUNTER_GROUPS, COUNTER_MEANINGS } from './counters-meanings.ts';
import { countOf, describeCounter, differenceOf, parseCounters } from './counters.ts';

/** The form of Linux 6.18's /proc/net/netstat, shortened. */
const NETSTAT = `TcpExt: SyncookiesSent SyncookiesRecv MPTCPRetrans
TcpExt: 1 2 3
IpExt: InNoRoutes InTruncatedPkts
IpExt: 4 5
MPTcpExt: MPCapableSYNRX MPCapableSYNTX MPTCPRetrans MPCurrEstab BrandNew
MPTcpExt: 10 11 12 2 9007199254740991
`;

/** Linux 6.18.44, all of them. */
const LINUX_6_18 =
  'MPCapableSYNRX MPCapableSYNTX MPCapableSYNACKRX MPCapableACKRX MPCapableFallbackACK MPCapableFallbackSYNACK MPCapableSYNTXDrop MPCapableSYNTXDisabled MPCapableEndpAttempt MPFallbackTokenInit MPTCPRetrans MPJoinNoTokenFound MPJoinSynRx MPJoinSynBackupRx MPJoinSynAckRx MPJoinSynAckBackupRx MPJoinSynAckHMacFailure MPJoinAckRx MPJoinAckHMacFailure MPJoinRejected MPJoinSynTx MPJoinSynTxCreatSkErr MPJoinSynTxBindErr MPJoinSynTxConnectErr DSSNotMatching DSSCorruptionFallback DSSCorruptionReset InfiniteMapTx InfiniteMapRx DSSNoMatchTCP DataCsumErr OFOQueueTail OFOQueue OFOMerge NoDSSInWindow DuplicateData AddAddr AddAddrTx AddAddrTxDrop EchoAdd EchoAddTx EchoAddTxDrop PortAdd AddAddrDrop MPJoinPortSynRx MPJoinPortSynAckRx MPJoinPortAckRx MismatchPortSynRx MismatchPortAckRx RmAddr RmAddrDrop RmAddrTx RmAddrTxDrop RmSubflow MPPrioTx MPPrioRx MPFailTx MPFailRx MPFastcloseTx MPFastcloseRx MPRstTx MPRstRx SubflowStale SubflowRecover SndWndShared RcvWndShared RcvWndConflictUpdate RcvWndConflict MPCurrEstab Blackhole MPCapableDataFallback MD5SigFallback DssFallback SimultConnectFallback FallbackFailed WinProbe';

describe('parseCounters', () => {
  it('takes names and values of its own group, in the kernel’s order', () => {
    expect([...parseCounters(NETSTAT)]).toEqual([
      ['MPCapableSYNRX', 10],
      ['MPCapableSYNTX', 11],
      ['MPTCPRetrans', 12],
      ['MPCurrEstab', 2],
      ['BrandNew', 9007199254740991],
    ]);
  });

  it('has no counters, all of them 0, when the kernel shows none', () => {
    for (const text of ['', 'TcpExt: A\nTcpExt: 1\n', 'MPTcpExt: A B\n']) {
      expect(parseCounters(text).size).toBe(0);
      expect(countOf(parseCounters(text), 'MPCapableSYNRX')).toBe(0);
    }
  });

  it('reads any text', () => {
    const line = fc
      .array(fc.constantFrom('MPTcpExt:', 'A', 'B', '1', '-1', '', 'x9'), { maxLength: 8 })
      .map((words) => words.join(' '));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(line).map((lines) => lines.join('\n')),
        ),
        (text) => {
          for (const value of parseCounters(text).values()) expect(value).toBeGreaterThanOrEqual(0);
        },
      ),
    );
    for (let length = 0; length <= NETSTAT.length; length++) parseCounters(NETSTAT.slice(0, length));
  });
});

describe('differenceOf', () => {
  it('subtracts counters, and takes gauges as they are', () => {
    const later = parseCounters(NETSTAT.replace('10 11 12 2', '10 15 12 1'));
    expect([...differenceOf(parseCounters(NETSTAT), later)].slice(0, 4)).toEqual([
      ['MPCapableSYNRX', 0],
      ['MPCapableSYNTX', 4],
      ['MPTCPRetrans', 0],
      ['MPCurrEstab', 1],
    ]);
    expect(differenceOf(new Map(), later).get('MPCapableSYNTX')).toBe(15);
  });
});

describe('describeCounter', () => {
  it('knows every counter of Linux 6.18, and the ten of Linux 7', () => {
    const names = LINUX_6_18.split(' ');
    expect(names).toHaveLength(76);
    const newer =
      'MPJoinNoIdFound MPJoinSynAckNoMPJoin MPJoinAckNoMPJoin MPJoinAckNoCtx MPJoinNotEstablished MD5SigReset DssReset BacklogDrop RcvPruned OFOPruned';
    expect([...COUNTER_MEANINGS.keys()].toSorted()).toEqual([...names, ...newer.split(' ')].toSorted());
    for (const name of names) expect(describeCounter(name).group).not.toBe('other');
  });

  it('has one line for each, in a group that is shown', () => {
    for (const { group, meaning } of COUNTER_MEANINGS.values()) {
      expect(COUNTER_GROUPS).toContain(group);
      expect(meaning).toMatch(/^[^\n]{10,110}$/);
    }
  });

  it('has an answer for any name', () => {
    expect(describeCounter('BrandNew')).toMatchObject({ group: 'other', gauge: false });
    expect(describeCounter('constructor')).toMatchObject({ group: 'other' });
  });
});
