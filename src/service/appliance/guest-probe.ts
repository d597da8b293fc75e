/**
 * Asks the guest's proxy whether it is alive: a request for nothing, over a connection of its own. Any answer in HTTP will do.
 */
import { Socket } from 'node:net';
import { inNamespace } from '../../native/index.ts';
import { connectFd } from '../../mptcp/index.ts';

const TIMEOUT_MS = 3000;
const QUESTION = 'GET / HTTP/1.1\r\nHost: weft.invalid\r\nConnection: close\r\n\r\n';

/**
 * @param netns file of the network namespace to ask from; default is this thread's own
 * @returns never rejects
 */
export async function isGuestProxyAlive(
  proxy: { readonly address: string; readonly port: number },
  netns?: string,
): Promise<boolean> {
  try {
    const connect = () =>
      connectFd({ address: proxy.address, port: proxy.port, multipath: false, timeoutMs: TIMEOUT_MS });
    // The socket is opened within the call, before anything is awaited.
    const { fd } = await (netns === undefined ? connect() : inNamespace(netns, connect));
    const socket = new Socket({ fd });
    return await new Promise<boolean>((resolve) => {
      let text = '';
      const timer = setTimeout(() => resolve(false), TIMEOUT_MS);
      socket.setEncoding('latin1');
      socket.on('data', (chunk: string) => {
        text += chunk;
        if (text.length >= 5) resolve(text.startsWith('HTTP/'));
      });
      socket.on('error', () => resolve(false));
      socket.on('close', () => {
        clearTimeout(timer);
        resolve(false);
      });
      socket.end(QUESTION);
    }).finally(() => socket.destroy());
  } catch {
    return false;
  }
}
