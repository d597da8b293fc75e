/**
 * Queueing disciplines on the wire (pure): what the lab needs to give a link a rate (tbf) or a delay (netem).
 *
 *   tcmsg (20): 0 family u8 | 4 link index s32 | 8 handle u32 | 12 parent u32 | 16 info u32
 *   tc_tbf_qopt (36): 0 rate (tc_ratespec 12) | 12 peak rate (12) | 24 limit u32 bytes | 28 buffer u32 | 32 mtu u32
 *   tc_ratespec: 0 cell log u8 | 1 link layer u8 | 2 overhead u16 | 4 cell align s16 | 6 mpu u16 | 8 rate u32 bytes/s
 *   tc_netem_qopt (24): 0 latency | 4 limit | 8 loss | 12 gap | 16 duplicate | 20 jitter (u32 each)
 *
 * References: tc-tbf(8), tc-netem(8), <linux/pkt_sched.h>.
 */
import { PayloadWriter } from './attributes.ts';

export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;

const TC_H_ROOT = 0xffffffff;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_TBF_BURST = 6;
const TCA_NETEM_LATENCY64 = 10;
const TC_LINKLAYER_ETHERNET = 1;

/** A token bucket: the link sends at this rate and keeps at most `latencyMs` of queue. */
export interface TokenBucket {
  /** bits per second */
  readonly rateBps: number;
  readonly burstBytes: number;
  readonly latencyMs: number;
}

function tcmsg(linkIndex: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, linkIndex, true);
  view.setUint32(12, TC_H_ROOT, true);
  return bytes;
}

export function emitTokenBucket(linkIndex: number, bucket: TokenBucket): Uint8Array {
  const bytesPerSecond = Math.round(bucket.rateBps / 8);
  const options = new Uint8Array(36);
  const view = new DataView(options.buffer);
  view.setUint8(1, TC_LINKLAYER_ETHERNET);
  view.setUint32(8, Math.min(bytesPerSecond, 0xffffffff), true);
  view.setUint32(24, Math.round((bytesPerSecond * bucket.latencyMs) / 1000) + bucket.burstBytes, true);
  const writer = new PayloadWriter().struct(tcmsg(linkIndex)).text(TCA_KIND, 'tbf');
  return writer
    .nest(TCA_OPTIONS, (nest) => {
      nest.bytes(TCA_TBF_PARMS, options).u32(TCA_TBF_BURST, bucket.burstBytes);
      if (bytesPerSecond > 0xffffffff) nest.u64(TCA_TBF_RATE64, BigInt(bytesPerSecond));
    })
    .finish();
}

/** Delay of every packet; `limitPackets` bounds the queue. */
export function emitDelay(linkIndex: number, delayMs: number, limitPackets: number): Uint8Array {
  // Unlike other kinds, netem's options begin with a bare structure and attributes follow it.
  const options = new Uint8Array(24);
  new DataView(options.buffer).setUint32(4, limitPackets, true);
  return new PayloadWriter()
    .struct(tcmsg(linkIndex))
    .text(TCA_KIND, 'netem')
    .nest(TCA_OPTIONS, (nest) => {
      nest.struct(options).u64(TCA_NETEM_LATENCY64, BigInt(Math.round(delayMs * 1e6)));
    })
    .finish();
}

export function emitRootQdisc(linkIndex: number): Uint8Array {
  return new PayloadWriter().struct(tcmsg(linkIndex)).finish();
}
