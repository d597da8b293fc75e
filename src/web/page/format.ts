/** Quantities and times as the page's reader sees them. Pure; the units of src/base, and what the page needs beside them. */
import { formatBitsPerSecond, formatDurationMs } from '../../base/index.ts';

export { formatBitsPerSecond, formatBytes, formatDurationMs } from '../../base/index.ts';

/** What stands where a value is not known. */
export const NOT_KNOWN = '–';

/** `12.4 ms` */
export function formatUs(us: number | undefined): string {
  return us === undefined ? NOT_KNOWN : formatDurationMs(us / 1000);
}

/** `0.3 %`; `0 %` is exactly none. */
export function formatShare(share: number | undefined): string {
  if (share === undefined) return NOT_KNOWN;
  const percent = share * 100;
  if (percent === 0) return '0 %';
  if (percent < 0.1) return '< 0.1 %';
  return `${percent.toFixed(percent < 9.95 ? 1 : 0)} %`;
}

/** As `formatBitsPerSecond`, and a quiet `0` for nothing. */
export function formatRate(bitsPerSecond: number | undefined): string {
  if (bitsPerSecond === undefined) return NOT_KNOWN;
  return bitsPerSecond < 0.5 ? '0 bit/s' : formatBitsPerSecond(bitsPerSecond);
}

/** `1 path`, `3 paths`; `many` for words that do not just take an s. */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

/** `14:03:25`, in the reader's time zone. */
export function formatClock(timeMs: number): string {
  const time = new Date(timeMs);
  return [time.getHours(), time.getMinutes(), time.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}

/** `just now`, `12 s ago`, `3 min ago`, `2 h ago`, `4 days ago` */
export function formatAgo(timeMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - timeMs) / 1000));
  if (seconds < 2) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

/** How long something lasts, in the two greatest units: `42 s`, `3 min 5 s`, `2 h 4 min`, `3 d 7 h`. */
export function formatAge(ageMs: number): string {
  const seconds = Math.max(0, Math.floor(ageMs / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

/** `[2001:db8::1]:443`, `192.0.2.1:443` */
export function formatAddressPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
