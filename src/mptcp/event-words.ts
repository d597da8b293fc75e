/**
 * Words for what the kernel's events hold as numbers (pure).
 *
 * References: <linux/mptcp_pm.h> (MPTCP_PM_EV_FLAG_*), RFC 8684 section 3.6 (table 1).
 */
import { EventType, type MptcpEvent } from './model.ts';

/** Bits of `MptcpEvent.flags`. */
export const EventFlag = { denyJoinId0: 1, serverSide: 2 } as const;

/** By EventType. */
export const EVENT_NAMES: ReadonlyMap<number, string> = new Map([
  [EventType.created, 'created'],
  [EventType.established, 'established'],
  [EventType.closed, 'closed'],
  [EventType.announced, 'announced'],
  [EventType.removed, 'removed'],
  [EventType.subflowEstablished, 'subflow-established'],
  [EventType.subflowClosed, 'subflow-closed'],
  [EventType.subflowPriority, 'subflow-priority'],
  [EventType.listenerCreated, 'listener-created'],
  [EventType.listenerClosed, 'listener-closed'],
]);

const RESET_REASONS = [
  'unspecified',
  'MPTCP-specific error',
  'lack of resources',
  'administratively prohibited',
  'too much outstanding data',
  'unacceptable performance',
  'middlebox interference',
] as const;

export const resetReasonText = (reason: number): string => RESET_REASONS[reason] ?? `reason ${reason}`;

/** Older kernels have an attribute for it in place of the flag. */
export const isServerSide = ({ flags = 0, serverSide = 0 }: MptcpEvent): boolean =>
  (flags & EventFlag.serverSide) !== 0 || serverSide !== 0;

/** The other end takes no joins to the address of its first subflow (RFC 8684 section 3.1, the C flag). */
export const deniesJoinId0 = ({ flags = 0 }: MptcpEvent): boolean => (flags & EventFlag.denyJoinId0) !== 0;
