/** Downloads with curl through the proxy of the Weft that runs in a node. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { LabNode } from '../../src/lab/index.ts';

const PROXY = 'http://127.0.0.1:13128';
const DEADLINE_S = 50;

/** More words for curl: a tunnel of the proxy. */
export const THROUGH_TUNNEL = ['-x', PROXY, '--proxytunnel'] as const;

/**
 * Downloads, and returns the SHA-256 of what came, in hexadecimal.
 * @param args more words for curl, such as `--proxytunnel`
 * @throws when curl fails
 */
export async function download(node: LabNode, url: string, ...args: string[]): Promise<string> {
  const curl = node.spawn(
    ['curl', '-sS', '--fail', '--max-time', String(DEADLINE_S), '-x', PROXY, ...args, url],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const hash = createHash('sha256');
  for await (const chunk of curl.stdout as AsyncIterable<Buffer>) hash.update(chunk);
  const [code] = curl.exitCode === null ? ((await once(curl, 'exit')) as [number | null]) : [curl.exitCode];
  if (code !== 0) throw new Error(`curl ended with ${code} when it fetched ${url}`);
  return hash.digest('hex');
}
