/**
 * Whether a proxy really answers: asked over TCP as any client would, not concluded from a process that runs. Weft's
 * proxy calls itself so when it is asked as if it were a web server.
 */
import { request } from 'node:http';

/** Where a Weft's proxy is that was not told otherwise. */
export const USUAL_PROXY = '127.0.0.1:13128';

const PROBE_TIMEOUT_MS = 3000;
/** A proxy is not asked for a path; one that has users asks for them first. */
const SAID_BY_WEFT: ReadonlySet<number> = new Set([400, 407]);
/** BOUNDED: how much of an answer is looked at. */
const ANSWER_MAX_BYTES = 4096;

/** What a program of this machine says: an address for all, `0.0.0.0:1` or `[::]:1`, is reached by loopback. Pure. */
const reachable = (address: string) =>
  address.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');

/** The address to recommend to programs of this machine: IPv4 loopback first, because every one can write it. Pure. */
export function bestProxyAddress(addresses: readonly string[]): string | undefined {
  const all = addresses.map(reachable);
  return all.find((address) => address.startsWith('127.')) ?? all[0];
}

/** As statuses and texts name it: `127.0.0.1:13128`, `[::1]:13128`. */
function targetOf(address: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(reachable(address));
  if (match === null) return undefined;
  const host = match[1] ?? match[2] ?? '';
  return { host, port: Number(match[3]) };
}

/** @param address `127.0.0.1:13128` */
export function isProxyAlive(address: string): Promise<boolean> {
  const at = targetOf(address);
  if (at === undefined) return Promise.resolve(false);
  return new Promise((resolve) => {
    const asked = request({ ...at, path: '/', agent: false, timeout: PROBE_TIMEOUT_MS });
    const end = (answer: boolean) => {
      resolve(answer);
      asked.destroy();
    };
    asked.on('timeout', () => end(false));
    asked.on('error', () => end(false));
    asked.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
        if (text.length > ANSWER_MAX_BYTES) end(false);
      });
      response.on('end', () => end(SAID_BY_WEFT.has(response.statusCode ?? 0) && text.startsWith('weft: ')));
      response.on('error', () => end(false));
    });
    asked.end();
  });
}
