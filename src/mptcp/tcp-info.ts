/**
 * struct tcp_info as the kernel fills it: getsockopt TCP_INFO, MPTCP_TCPINFO, MPTCP_FULL_INFO and sock_diag's
 * INET_DIAG_INFO. Pure. The structure only ever grew, so a field that lies past what this kernel wrote is
 * `undefined`, and bytes past what this program knows are ignored.
 *
 *   offset type unit       field                   offset type unit       field
 *        0 u8   state      state                      104 u64  byte/s     pacing_rate
 *        1 u8   0-4        ca_state                   112 u64  byte/s     max_pacing_rate (~0: none)
 *        2 u8   timeouts   retransmits (in a row)     120 u64  byte       bytes_acked
 *        3 u8   probes     probes                     128 u64  byte       bytes_received
 *        4 u8              backoff                    136 u32  segment    segs_out
 *        5 u8   bits       options                    140 u32  segment    segs_in
 *        6 u4+4 shift      snd_wscale, rcv_wscale     144 u32  byte       notsent_bytes
 *        7 bit             delivery_rate_app_limited  148 u32  µs         min_rtt (~0: none)
 *        8 u32  µs         rto                        152 u32  segment    data_segs_in
 *       12 u32  µs         ato                        156 u32  segment    data_segs_out
 *       16 u32  byte       snd_mss                    160 u64  byte/s     delivery_rate
 *       20 u32  byte       rcv_mss                    168 u64  µs         busy_time
 *       24 u32  segment    unacked                    176 u64  µs         rwnd_limited
 *       28 u32  segment    sacked                     184 u64  µs         sndbuf_limited
 *       32 u32  segment    lost                       192 u32  segment    delivered
 *       36 u32  segment    retrans (outstanding)      196 u32  segment    delivered_ce
 *       40 u32             fackets (always 0 now)     200 u64  byte       bytes_sent (with retransmitted)
 *       44 u32  ms         last_data_sent             208 u64  byte       bytes_retrans
 *       48 u32             last_ack_sent (always 0)   216 u32             dsack_dups
 *       52 u32  ms         last_data_recv             220 u32             reord_seen
 *       56 u32  ms         last_ack_recv              224 u32  segment    rcv_ooopack
 *       60 u32  byte       pmtu                       228 u32  byte       snd_wnd
 *       64 u32  byte       rcv_ssthresh               232 u32  byte       rcv_wnd
 *       68 u32  µs         rtt                        236 u32             rehash
 *       72 u32  µs         rttvar                     240 u16             total_rto
 *       76 u32  segment    snd_ssthresh *             242 u16             total_rto_recoveries
 *       80 u32  segment    snd_cwnd                   244 u32  ms         total_rto_time
 *       84 u32  byte       advmss                     248 u32  segment    received_ce
 *       88 u32  segment    reordering                 252 u32 ×6 byte     AccECN byte counters
 *       92 u32  µs         rcv_rtt (0: none)          276 u32  bits       AccECN state
 *       96 u32  byte       rcv_space                  280     end (Linux 6.18)
 *      100 u32  segment    total_retrans
 *
 * * 0x7fffffff: none, no loss was seen yet.
 *
 * All fields in host byte order (little-endian on x64 and arm64). The head of 232 bytes is that of Linux 5.4.
 * References: <linux/tcp.h>, tcp_get_info() in net/ipv4/tcp.c.
 */

/** Room for today's 280 bytes and for some growth. */
export const TCP_INFO_BYTES = 320;

const STATE = 0;
const CA_STATE = 1;
const RETRANSMITS = 2;
const PROBES = 3;
const BACKOFF = 4;
const OPTIONS = 5;
const WINDOW_SCALES = 6;
const APP_LIMITED = 7;
const RTO = 8;
const ATO = 12;
const SND_MSS = 16;
const RCV_MSS = 20;
const UNACKED = 24;
const SACKED = 28;
const LOST = 32;
const RETRANS = 36;
const LAST_DATA_SENT = 44;
const LAST_DATA_RECV = 52;
const LAST_ACK_RECV = 56;
const PMTU = 60;
const RTT = 68;
const RTTVAR = 72;
const SND_SSTHRESH = 76;
const SND_CWND = 80;
const REORDERING = 88;
const RCV_RTT = 92;
const RCV_SPACE = 96;
const TOTAL_RETRANS = 100;
const PACING_RATE = 104;
const MAX_PACING_RATE = 112;
const BYTES_ACKED = 120;
const BYTES_RECEIVED = 128;
const SEGS_OUT = 136;
const SEGS_IN = 140;
const NOTSENT_BYTES = 144;
const MIN_RTT = 148;
const DATA_SEGS_IN = 152;
const DATA_SEGS_OUT = 156;
const DELIVERY_RATE = 160;
const BUSY_TIME = 168;
const RWND_LIMITED = 176;
const SNDBUF_LIMITED = 184;
const DELIVERED = 192;
const DELIVERED_CE = 196;
const BYTES_SENT = 200;
const BYTES_RETRANS = 208;
const DSACK_DUPS = 216;
const REORD_SEEN = 220;
const RCV_OOOPACK = 224;
const SND_WND = 228;
const RCV_WND = 232;
const REHASH = 236;
const TOTAL_RTO = 240;
const TOTAL_RTO_RECOVERIES = 242;
const TOTAL_RTO_TIME = 244;

/** Where the fields are, for who reads a few of them of thousands of sockets (socket-scan.ts). */
export const TCP_INFO_AT = {
  timeoutsInRow: RETRANSMITS,
  unackedSegments: UNACKED,
  lastDataReceivedMs: LAST_DATA_RECV,
  lastAckReceivedMs: LAST_ACK_RECV,
  rttUs: RTT,
  rttVarianceUs: RTTVAR,
  sendCwndSegments: SND_CWND,
  receiveRttUs: RCV_RTT,
  totalRetransSegments: TOTAL_RETRANS,
  bytesReceived: BYTES_RECEIVED,
  dataSegmentsOut: DATA_SEGS_OUT,
  bytesSent: BYTES_SENT,
  bytesRetransmitted: BYTES_RETRANS,
} as const;

const U32_NONE = 0xffffffff;
/** TCP_INFINITE_SSTHRESH */
const NO_THRESHOLD = 0x7fffffff;
const BITS_PER_BYTE = 8;

/** A field is `undefined` when the kernel did not write it, or wrote that it has none. */
type Field<T = number> = T | undefined;

export interface TcpInfo {
  /** TcpState. */
  readonly state: Field;
  /** Congestion control: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss. */
  readonly congestionState: Field;
  /** Retransmission timeouts in a row; 0 when the path answers. */
  readonly timeoutsInRow: Field;
  readonly probes: Field;
  readonly backoff: Field;
  /** TCPI_OPT_*: 1 timestamps, 2 SACK, 4 window scale, 8 ECN, 16 ECN seen, 32 data in SYN. */
  readonly options: Field;
  readonly sendWindowScale: Field;
  readonly receiveWindowScale: Field;
  /** The delivery rate was limited by the application, not by the path. */
  readonly deliveryRateAppLimited: Field<boolean>;
  readonly rtoUs: Field;
  readonly atoUs: Field;
  readonly sendMssBytes: Field;
  readonly receiveMssBytes: Field;
  /** Segments sent and not acknowledged; for a listener, the connections that wait for accept. */
  readonly unackedSegments: Field;
  /** For a listener, its backlog. */
  readonly sackedSegments: Field;
  readonly lostSegments: Field;
  /** Retransmitted segments that are in flight now. */
  readonly retransSegments: Field;
  readonly lastDataSentMs: Field;
  readonly lastDataReceivedMs: Field;
  readonly lastAckReceivedMs: Field;
  readonly pathMtuBytes: Field;
  /** Smoothed round-trip time. */
  readonly rttUs: Field;
  readonly rttVarianceUs: Field;
  readonly minRttUs: Field;
  readonly sendSlowStartThresholdSegments: Field;
  readonly sendCwndSegments: Field;
  readonly reorderingSegments: Field;
  /** Round-trip time as the receiver estimates it. */
  readonly receiveRttUs: Field;
  readonly receiveSpaceBytes: Field;
  readonly totalRetransSegments: Field;
  /** Bits per second. */
  readonly pacingRateBps: Field;
  /** Bits per second. */
  readonly maxPacingRateBps: Field;
  /** Bits per second, the latest measurement. */
  readonly deliveryRateBps: Field;
  readonly bytesAcked: Field;
  readonly bytesReceived: Field;
  /** With retransmitted ones. */
  readonly bytesSent: Field;
  readonly bytesRetransmitted: Field;
  readonly notSentBytes: Field;
  readonly segmentsOut: Field;
  readonly segmentsIn: Field;
  readonly dataSegmentsOut: Field;
  readonly dataSegmentsIn: Field;
  /** How long there was data to send. */
  readonly busyTimeUs: Field;
  /** How long of it the other end's window stopped it. */
  readonly receiveWindowLimitedUs: Field;
  /** How long of it the send buffer stopped it. */
  readonly sendBufferLimitedUs: Field;
  readonly deliveredSegments: Field;
  readonly deliveredCeSegments: Field;
  readonly dsackDuplicates: Field;
  readonly reorderingEvents: Field;
  readonly outOfOrderSegments: Field;
  readonly sendWindowBytes: Field;
  readonly receiveWindowBytes: Field;
  readonly rehashes: Field;
  readonly totalRtos: Field;
  readonly totalRtoRecoveries: Field;
  readonly totalRtoTimeMs: Field;
}

/** <net/tcp_states.h> */
export const TcpState = {
  established: 1,
  synSent: 2,
  synReceived: 3,
  finWait1: 4,
  finWait2: 5,
  timeWait: 6,
  closed: 7,
  closeWait: 8,
  lastAck: 9,
  listen: 10,
  closing: 11,
  newSynReceived: 12,
} as const;

const STATE_NAMES: readonly string[] = [
  'unknown',
  'established',
  'syn-sent',
  'syn-recv',
  'fin-wait-1',
  'fin-wait-2',
  'time-wait',
  'closed',
  'close-wait',
  'last-ack',
  'listening',
  'closing',
  'syn-recv',
];

/** The state in the words of ss(8): `established`, `syn-sent` … */
export function tcpStateName(state: number): string {
  return STATE_NAMES[state] ?? `state-${state}`;
}

/** Reads any prefix of the structure; never throws. */
export function parseTcpInfo(bytes: Uint8Array): TcpInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const has = (at: number, length: number) => at + length <= bytes.length;
  const u8 = (at: number) => (has(at, 1) ? view.getUint8(at) : undefined);
  const u16 = (at: number) => (has(at, 2) ? view.getUint16(at, true) : undefined);
  const u32 = (at: number) => (has(at, 4) ? view.getUint32(at, true) : undefined);
  const u64 = (at: number) => (has(at, 8) ? Number(view.getBigUint64(at, true)) : undefined);
  const bps = (at: number) => {
    const bytesPerSecond = u64(at);
    // ~0 (about 1.8e19) says "no limit"; no link is within a factor of a million of it.
    if (bytesPerSecond === undefined || bytesPerSecond > Number.MAX_SAFE_INTEGER) return undefined;
    return bytesPerSecond * BITS_PER_BYTE;
  };
  const scales = u8(WINDOW_SCALES);
  const appLimited = u8(APP_LIMITED);
  const minRttUs = u32(MIN_RTT);
  const receiveRttUs = u32(RCV_RTT);
  const threshold = u32(SND_SSTHRESH);
  return {
    state: u8(STATE),
    congestionState: u8(CA_STATE),
    timeoutsInRow: u8(RETRANSMITS),
    probes: u8(PROBES),
    backoff: u8(BACKOFF),
    options: u8(OPTIONS),
    sendWindowScale: scales === undefined ? undefined : scales & 0x0f,
    receiveWindowScale: scales === undefined ? undefined : scales >> 4,
    deliveryRateAppLimited: appLimited === undefined ? undefined : (appLimited & 1) === 1,
    rtoUs: u32(RTO),
    atoUs: u32(ATO),
    sendMssBytes: u32(SND_MSS),
    receiveMssBytes: u32(RCV_MSS),
    unackedSegments: u32(UNACKED),
    sackedSegments: u32(SACKED),
    lostSegments: u32(LOST),
    retransSegments: u32(RETRANS),
    lastDataSentMs: u32(LAST_DATA_SENT),
    lastDataReceivedMs: u32(LAST_DATA_RECV),
    lastAckReceivedMs: u32(LAST_ACK_RECV),
    pathMtuBytes: u32(PMTU),
    rttUs: u32(RTT),
    rttVarianceUs: u32(RTTVAR),
    minRttUs: minRttUs === U32_NONE ? undefined : minRttUs,
    sendSlowStartThresholdSegments: threshold === NO_THRESHOLD ? undefined : threshold,
    sendCwndSegments: u32(SND_CWND),
    reorderingSegments: u32(REORDERING),
    receiveRttUs: receiveRttUs === 0 ? undefined : receiveRttUs,
    receiveSpaceBytes: u32(RCV_SPACE),
    totalRetransSegments: u32(TOTAL_RETRANS),
    pacingRateBps: bps(PACING_RATE),
    maxPacingRateBps: bps(MAX_PACING_RATE),
    deliveryRateBps: bps(DELIVERY_RATE),
    bytesAcked: u64(BYTES_ACKED),
    bytesReceived: u64(BYTES_RECEIVED),
    bytesSent: u64(BYTES_SENT),
    bytesRetransmitted: u64(BYTES_RETRANS),
    notSentBytes: u32(NOTSENT_BYTES),
    segmentsOut: u32(SEGS_OUT),
    segmentsIn: u32(SEGS_IN),
    dataSegmentsOut: u32(DATA_SEGS_OUT),
    dataSegmentsIn: u32(DATA_SEGS_IN),
    busyTimeUs: u64(BUSY_TIME),
    receiveWindowLimitedUs: u64(RWND_LIMITED),
    sendBufferLimitedUs: u64(SNDBUF_LIMITED),
    deliveredSegments: u32(DELIVERED),
    deliveredCeSegments: u32(DELIVERED_CE),
    dsackDuplicates: u32(DSACK_DUPS),
    reorderingEvents: u32(REORD_SEEN),
    outOfOrderSegments: u32(RCV_OOOPACK),
    sendWindowBytes: u32(SND_WND),
    receiveWindowBytes: u32(RCV_WND),
    rehashes: u32(REHASH),
    totalRtos: u16(TOTAL_RTO),
    totalRtoRecoveries: u16(TOTAL_RTO_RECOVERIES),
    totalRtoTimeMs: u32(TOTAL_RTO_TIME),
  };
}
