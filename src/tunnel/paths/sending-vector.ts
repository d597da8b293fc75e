/**
 * The sending vector: the order in which a weighted connection uses its paths, exactly as MPT's published algorithm
 * makes it (draft-lencse-tsvwg-mpt, section "path selection"). Pure.
 *
 * With L a common multiple of the weights, path i has the increment L / weight i. Again and again the path with the
 * smallest sum after its increment is appended, the first of equals, and its sum is incremented; when all sums are
 * equal, the vector is whole. 10:10 gives 0 1, 1:3 gives 1 1 0 1.
 *
 * Here the sums are compared as fractions (count + 1) / weight by cross-multiplication: L itself can have 80 digits.
 * All sums are equal for the first time when each path was taken weight / gcd times, because every sum below that
 * point is taken before any above it.
 *
 * Length: sum of the weights / their greatest common divisor, for 20 paths at most 200,000; the original has room for
 * `ORIGINAL_LENGTH_MAX` and overruns it.
 */

export const ORIGINAL_LENGTH_MAX = 10_100;

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
const gcdOf = (weights: readonly number[]): number => weights.reduce(gcd, 0);

/** Entries of the vector for weights of 1 to 10,000. */
export function sendingVectorLength(weights: readonly number[]): number {
  return weights.length === 0 ? 0 : weights.reduce((sum, weight) => sum + weight, 0) / gcdOf(weights);
}

/** Indexes of paths; weights are whole numbers from 1 to 10,000, at most 255 of them. */
export function buildSendingVector(weights: readonly number[]): Uint8Array {
  const vector = new Uint8Array(sendingVectorLength(weights));
  const counts = new Uint32Array(weights.length);
  for (let position = 0; position < vector.length; position++) {
    let best = 0;
    for (let path = 1; path < weights.length; path++) {
      const sum = (counts[path]! + 1) * weights[best]!;
      const smallest = (counts[best]! + 1) * weights[path]!;
      if (sum < smallest) best = path;
    }
    counts[best]!++;
    vector[position] = best;
  }
  return vector;
}

/** The sum that all paths have at the end, with L the least common multiple; the original prints it. */
export function finalIncrement(weights: readonly number[]): bigint {
  const divide = (a: bigint, b: bigint): bigint => (b === 0n ? a : divide(b, a % b));
  let multiple = 1n;
  for (const weight of weights) multiple = (multiple * BigInt(weight)) / divide(multiple, BigInt(weight));
  return weights.length === 0 ? 0n : multiple / BigInt(gcdOf(weights));
}
