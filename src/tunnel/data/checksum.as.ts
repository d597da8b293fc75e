/**
 * The Internet checksum's sums (RFC 1071) with SIMD, in AssemblyScript: not TypeScript, and not compiled with the rest.
 * `node scripts/build-checksum.mjs` makes checksum-code.ts of it, which is checked in; a test compares the two. The
 * contract and the same in TypeScript: checksum-twin.ts.
 *
 * Words are added as little-endian, which gives the sum with its two bytes swapped (RFC 1071 section 2 B), swapped back at
 * the end. Four lanes of 32 bits, four times: each step adds at most 2 * 0xffff to a lane, so 2 MiB do not overflow.
 */

export function sum(at: usize, length: usize): u32 {
  let a = i32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  let rest = length;
  for (; rest >= 64; rest -= 64) {
    a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    b = i32x4.add(b, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 16)));
    c = i32x4.add(c, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 32)));
    d = i32x4.add(d, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 48)));
    at += 64;
  }
  for (; rest >= 16; rest -= 16) {
    a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    at += 16;
  }
  a = i32x4.add(i32x4.add(a, b), i32x4.add(c, d));
  let s: u64 = <u64>(<u32>i32x4.extract_lane(a, 0));
  s += <u64>(<u32>i32x4.extract_lane(a, 1));
  s += <u64>(<u32>i32x4.extract_lane(a, 2));
  s += <u64>(<u32>i32x4.extract_lane(a, 3));
  for (; rest >= 4; rest -= 4) {
    s += <u64>load<u32>(at);
    at += 4;
  }
  if (rest >= 2) {
    s += <u64>load<u16>(at);
    at += 2;
    rest -= 2;
  }
  if (rest != 0) s += <u64>load<u8>(at);
  s = (s & 0xffffffff) + (s >> 32);
  s = (s & 0xffff) + ((s >> 16) & 0xffff) + (s >> 32);
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  return ((<u32>s) >> 8) | (((<u32>s) & 0xff) << 8);
}

export function sumPieces(at: usize, length: usize, stride: usize, table: usize): void {
  if (stride == 0) return;
  while (length > stride) {
    store<u32>(table, sum(at, stride));
    at += stride;
    length -= stride;
    table += 4;
  }
  if (length != 0) store<u32>(table, sum(at, length));
}

export function copy(to: usize, from: usize, length: usize): void {
  memory.copy(to, from, length);
}
