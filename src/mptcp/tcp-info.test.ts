import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TCP_INFO_ANSWER } from '../../test/support/mptcp-capture.ts';
import { parseTcpInfo, TcpState, tcpStateName } from './tcp-info.ts';

describe('parseTcpInfo', () => {
  it('reads what a kernel wrote', () => {
    expect(TCP_INFO_ANSWER).toHaveLength(280);
    expect(parseTcpInfo(TCP_INFO_ANSWER)).toEqual({
      state: TcpState.established,
      congestionState: 0,
      timeoutsInRow: 0,
      probes: 0,
      backoff: 0,
      options: 7,
      sendWindowScale: 10,
      receiveWindowScale: 10,
      deliveryRateAppLimited: true,
      rtoUs: 204_000,
      atoUs: 0,
      sendMssBytes: 1448,
      receiveMssBytes: 536,
      unackedSegments: 0,
      sackedSegments: 0,
      lostSegments: 0,
      retransSegments: 0,
      lastDataSentMs: 0,
      lastDataReceivedMs: 0,
      lastAckReceivedMs: 0,
      pathMtuBytes: 1500,
      rttUs: 16,
      rttVarianceUs: 8,
      minRttUs: 16,
      sendSlowStartThresholdSegments: undefined,
      sendCwndSegments: 10,
      reorderingSegments: 3,
      receiveRttUs: undefined,
      receiveSpaceBytes: 14_480,
      totalRetransSegments: 0,
      pacingRateBps: 0x9a28a7d0 * 8,
      maxPacingRateBps: undefined,
      deliveryRateBps: 0,
      bytesAcked: 1,
      bytesReceived: 0,
      bytesSent: 0,
      bytesRetransmitted: 0,
      notSentBytes: 0,
      segmentsOut: 2,
      segmentsIn: 1,
      dataSegmentsOut: 0,
      dataSegmentsIn: 0,
      busyTimeUs: 0,
      receiveWindowLimitedUs: 0,
      sendBufferLimitedUs: 0,
      deliveredSegments: 1,
      deliveredCeSegments: 0,
      dsackDuplicates: 0,
      reorderingEvents: 0,
      outOfOrderSegments: 0,
      sendWindowBytes: 0xfe88,
      receiveWindowBytes: 0xfc00,
      rehashes: 0,
      totalRtos: 0,
      totalRtoRecoveries: 0,
      totalRtoTimeMs: 0,
    });
  });

  /** Every offset by itself: one distinct value at a time, so that a swapped or shifted field shows. */
  it.each([
    [2, 1, 'timeoutsInRow'],
    [8, 4, 'rtoUs'],
    [24, 4, 'unackedSegments'],
    [32, 4, 'lostSegments'],
    [36, 4, 'retransSegments'],
    [44, 4, 'lastDataSentMs'],
    [52, 4, 'lastDataReceivedMs'],
    [56, 4, 'lastAckReceivedMs'],
    [68, 4, 'rttUs'],
    [72, 4, 'rttVarianceUs'],
    [76, 4, 'sendSlowStartThresholdSegments'],
    [80, 4, 'sendCwndSegments'],
    [92, 4, 'receiveRttUs'],
    [100, 4, 'totalRetransSegments'],
    [120, 8, 'bytesAcked'],
    [128, 8, 'bytesReceived'],
    [136, 4, 'segmentsOut'],
    [140, 4, 'segmentsIn'],
    [148, 4, 'minRttUs'],
    [152, 4, 'dataSegmentsIn'],
    [156, 4, 'dataSegmentsOut'],
    [168, 8, 'busyTimeUs'],
    [200, 8, 'bytesSent'],
    [208, 8, 'bytesRetransmitted'],
    [216, 4, 'dsackDuplicates'],
    [224, 4, 'outOfOrderSegments'],
    [232, 4, 'receiveWindowBytes'],
    [240, 2, 'totalRtos'],
    [244, 4, 'totalRtoTimeMs'],
  ] as const)('has at offset %i, %i bytes, the field %s and nothing else', (at, length, name) => {
    const zero = parseTcpInfo(new Uint8Array(280));
    const bytes = new Uint8Array(280);
    bytes[at] = 5;
    bytes[at + length - 1]! += 1;
    const changed = parseTcpInfo(bytes);
    const differing = Object.keys(zero).filter(
      (key) => changed[key as keyof typeof zero] !== zero[key as keyof typeof zero],
    );
    expect(differing).toEqual([name]);
    expect(changed[name]).toBe(length === 1 ? 6 : 5 + 2 ** (8 * (length - 1)));
  });

  it('gives of every prefix exactly the fields that are in it', () => {
    const whole = parseTcpInfo(TCP_INFO_ANSWER) as unknown as Record<string, unknown>;
    let known = 0;
    for (let length = 0; length <= TCP_INFO_ANSWER.length; length++) {
      const part = parseTcpInfo(TCP_INFO_ANSWER.subarray(0, length)) as unknown as Record<string, unknown>;
      const fields = Object.keys(part).filter((key) => part[key] !== undefined);
      for (const key of fields) expect(part[key], `${key} of ${length} bytes`).toEqual(whole[key]);
      expect(fields.length).toBeGreaterThanOrEqual(known);
      known = fields.length;
    }
    expect(known).toBe(Object.values(whole).filter((value) => value !== undefined).length);
    // Linux 5.4 wrote 232 bytes.
    expect(parseTcpInfo(TCP_INFO_ANSWER.subarray(0, 232))).toMatchObject({
      sendWindowBytes: 0xfe88,
      receiveWindowBytes: undefined,
      totalRtos: undefined,
    });
  });

  it('reads any bytes, at any place in their buffer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(7), (bytes, shift) => {
        const shifted = new Uint8Array(shift + bytes.length);
        shifted.set(bytes, shift);
        expect(parseTcpInfo(shifted.subarray(shift))).toEqual(parseTcpInfo(bytes));
      }),
    );
  });
});

describe('tcpStateName', () => {
  it('has a word for every state, and for none', () => {
    for (const state of Object.values(TcpState)) expect(tcpStateName(state)).toMatch(/^[a-z0-9-]+$/);
    expect(tcpStateName(TcpState.closeWait)).toBe('close-wait');
    expect(tcpStateName(99)).toBe('state-99');
  });
});
