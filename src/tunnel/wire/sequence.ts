/**
 * Sequence numbers: 32 bits, compared by serial number arithmetic (RFC 1982), so that 0 follows 4,294,967,295 like
 * any other successor. Pure; numbers are always in 0..2^32-1.
 */

/** The number after `sequence`. */
export function nextSequence(sequence: number): number {
  return (sequence + 1) >>> 0;
}

/** `sequence` moved by `count` (-2^31..2^31-1). */
export function addToSequence(sequence: number, count: number): number {
  return (sequence + count) >>> 0;
}

/**
 * How far `sequence` is ahead of `reference`, -2^31..2^31-1; negative when it is behind. Numbers exactly 2^31
 * apart count as behind, seen from both sides.
 */
export function sequenceDistance(reference: number, sequence: number): number {
  return (sequence - reference) | 0;
}

/** Whether `sequence` comes before `reference`. */
export function isBefore(sequence: number, reference: number): boolean {
  return sequenceDistance(reference, sequence) < 0;
}
