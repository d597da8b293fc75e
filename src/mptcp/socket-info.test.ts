import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FULL_INFO_ANSWER,
  FULL_INFO_SUBFLOWS,
  FULL_INFO_TCP,
  MPTCP_INFO_ANSWER,
  MPTCP_SUBFLOW_ADDRS_ANSWER,
  MPTCP_TCPINFO_ANSWER,
} from '../../test/support/mptcp-capture.ts';
import {
  emitFullInfo,
  emitSubflowData,
  FULL_INFO_HEADER_BYTES,
  parseFullInfo,
  parseMptcpInfo,
  parseSubflowAddresses,
  parseSubflowData,
} from './socket-info.ts';
import { parseTcpInfo } from './tcp-info.ts';

const INFO = {
  subflows: 1,
  addAddrSignal: 0,
  addAddrAccepted: 1,
  subflowsMax: 8,
  addAddrSignalMax: 0,
  addAddrAcceptedMax: 8,
  flags: 2,
  fallback: false,
  remoteKeyReceived: true,
  token: 0x643a7dc2,
  writeSequence: '2001853839341529046',
  sendUnacknowledged: '2001853839341529046',
  receiveNext: '4130577305854226043',
  localAddressesUsed: 0,
  localAddressesMax: 0,
  checksumEnabled: false,
  retransmits: 0,
  bytesRetransmitted: 0,
  bytesSent: 12,
  bytesReceived: 12,
  bytesAcked: 12,
  subflowsTotal: 2,
  laminarEndpointsMax: 0,
  fullmeshEndpointsMax: 0,
};

const ENDS = [
  { local: { address: '10.9.1.1', port: 40_000 }, remote: { address: '10.9.1.2', port: 8080 } },
  { local: { address: '10.9.2.1', port: 51_673 }, remote: { address: '10.9.2.2', port: 8080 } },
];

describe('parseMptcpInfo', () => {
  it('reads what a kernel wrote', () => {
    expect(MPTCP_INFO_ANSWER).toHaveLength(96);
    expect(parseMptcpInfo(MPTCP_INFO_ANSWER)).toMatchObject(INFO);
  });

  it('takes the padding of older kernels’ 48 bytes for no field', () => {
    expect(parseMptcpInfo(MPTCP_INFO_ANSWER.subarray(0, 48))).toMatchObject({
      token: INFO.token,
      checksumEnabled: false,
      retransmits: undefined,
      bytesSent: undefined,
      subflowsTotal: undefined,
    });
  });

  it('gives of every prefix exactly the fields that are in it', () => {
    const whole = parseMptcpInfo(MPTCP_INFO_ANSWER) as unknown as Record<string, unknown>;
    let known = 0;
    for (let length = 0; length <= MPTCP_INFO_ANSWER.length; length++) {
      const part = parseMptcpInfo(MPTCP_INFO_ANSWER.subarray(0, length)) as unknown as Record<
        string,
        unknown
      >;
      const fields = Object.keys(part).filter((key) => part[key] !== undefined);
      for (const key of fields) expect(part[key], `${key} of ${length} bytes`).toEqual(whole[key]);
      expect(fields.length).toBeGreaterThanOrEqual(known);
      known = fields.length;
    }
    expect(known).toBe(Object.keys(whole).length);
  });

  it('tells fallback from its flag', () => {
    const bytes = MPTCP_INFO_ANSWER.slice();
    bytes[8] = 1;
    expect(parseMptcpInfo(bytes)).toMatchObject({ fallback: true, remoteKeyReceived: false });
  });
});

describe('subflow arrays', () => {
  it('are read as a kernel wrote them', () => {
    const addresses = parseSubflowData(MPTCP_SUBFLOW_ADDRS_ANSWER)!;
    expect(addresses.subflowCount).toBe(2);
    expect(addresses.elements.map((element) => parseSubflowAddresses(element))).toEqual(ENDS);
    // The kernel packs its elements of 280 bytes at the distance that was asked for.
    const tcp = parseSubflowData(MPTCP_TCPINFO_ANSWER)!;
    expect(tcp.elements.map((element) => element.length)).toEqual([280, 280]);
    expect(tcp.elements.map((element) => parseTcpInfo(element).rttUs)).toEqual([41, 12]);
  });

  it('have whole elements only, whatever is cut off', () => {
    for (let length = 0; length <= MPTCP_TCPINFO_ANSWER.length; length++) {
      const data = parseSubflowData(MPTCP_TCPINFO_ANSWER.subarray(0, length));
      if (length < 16) expect(data).toBeUndefined();
      else expect(data!.elements).toHaveLength(length < 16 + 280 ? 0 : length < 16 + 2 * 280 ? 1 : 2);
    }
  });

  it('are asked for with zeros where the kernel demands them', () => {
    const out = new Uint8Array(20).fill(0xff);
    emitSubflowData(256, out);
    expect([...out]).toEqual([16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 255, 255, 255, 255]);
  });
});

describe('parseFullInfo', () => {
  it('reads what a kernel wrote', () => {
    const info = parseFullInfo(FULL_INFO_ANSWER, FULL_INFO_SUBFLOWS, FULL_INFO_TCP)!;
    expect(info.mptcp).toMatchObject(INFO);
    expect(info.subflowCount).toBe(2);
    expect(info.subflows.map(({ id, local, remote }) => ({ id, local, remote }))).toEqual([
      { id: 1, ...ENDS[0] },
      { id: 2, ...ENDS[1] },
    ]);
    expect(info.subflows.map(({ tcp }) => [tcp!.rttUs, tcp!.bytesSent, tcp!.minRttUs])).toEqual([
      [41, 12, 17],
      [12, 0, 12],
    ]);
  });

  it('needs its fixed part, and reads any prefix of the rest', () => {
    for (let length = 0; length <= FULL_INFO_ANSWER.length; length++) {
      const info = parseFullInfo(FULL_INFO_ANSWER.subarray(0, length), FULL_INFO_SUBFLOWS, FULL_INFO_TCP);
      if (length < FULL_INFO_HEADER_BYTES) expect(info).toBeUndefined();
      else expect(info!.subflows).toHaveLength(2);
    }
  });

  it('shows no more subflows than there was room for', () => {
    const answer = FULL_INFO_ANSWER.slice();
    answer[16] = 9;
    const info = parseFullInfo(answer, FULL_INFO_SUBFLOWS, FULL_INFO_TCP)!;
    expect(info.subflowCount).toBe(9);
    expect(info.subflows).toHaveLength(2);
  });

  it('survives any bytes', () => {
    const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
    fc.assert(
      fc.property(bytes(160), bytes(600), bytes(700), (answer, infos, tcps) => {
        const info = parseFullInfo(answer, infos, tcps);
        expect(info === undefined).toBe(answer.length < FULL_INFO_HEADER_BYTES);
        parseMptcpInfo(answer);
        for (const element of parseSubflowData(infos)?.elements ?? []) parseSubflowAddresses(element);
      }),
    );
    // Strides of zero must not become endless arrays.
    const hostile = new Uint8Array(48).fill(0xff);
    hostile.fill(0, 0, 16);
    expect(parseFullInfo(hostile, new Uint8Array(8), new Uint8Array(8))!.subflows).toEqual([]);
  });

  it('is asked for with the places of its arrays', () => {
    const out = new Uint8Array(FULL_INFO_HEADER_BYTES).fill(0xff);
    emitFullInfo(
      {
        tcpInfoBytes: 320,
        subflowInfoBytes: 264,
        capacity: 8,
        subflowInfoAddress: 0x7f0011223344n,
        tcpInfoAddress: 0x7f0055667788n,
      },
      out,
    );
    expect(Buffer.from(out).toString('hex')).toBe(
      '00000000400100000000000008010000000000000800000044332211007f000088776655007f0000',
    );
  });
});
