/** Quantities as people read them. Decimal prefixes, as networks count. */

function scaled(value: number, unit: string): string {
  const prefixes = ['', 'k', 'M', 'G', 'T'];
  let scale = 0;
  let rest = value;
  while (rest >= 999.5 && scale < prefixes.length - 1) {
    rest /= 1000;
    scale++;
  }
  const digits = scale === 0 || rest >= 99.5 ? 0 : 1;
  return `${rest.toFixed(digits)} ${prefixes[scale]}${unit}`;
}

/** `94.3 Mbit/s` */
export function formatBitsPerSecond(bps: number): string {
  return scaled(bps, 'bit/s');
}

/** `1.2 MB` */
export function formatBytes(bytes: number): string {
  return scaled(bytes, 'B');
}

/** `350 µs`, `12.4 ms`, `3.0 s`, `2 min 5 s` */
export function formatDurationMs(durationMs: number): string {
  if (durationMs < 1) return `${Math.round(durationMs * 1000)} µs`;
  if (durationMs < 1000) return `${durationMs.toFixed(durationMs < 100 ? 1 : 0)} ms`;
  if (durationMs < 60_000) return `${(durationMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
