/**
 * The proxy of the Weft that runs here, as programs name it in http_proxy. Asked of the running Weft itself, or, where
 * that belongs to another user and may not be asked, seen at the usual address.
 */
import { request } from 'node:http';
import { ControlClient } from '../control-client.ts';

const USUAL = { host: '127.0.0.1', port: 13_128 } as const;
const PROBE_TIMEOUT_MS = 1000;
/** A proxy is not asked for a path; one that has users asks for them first. */
const SAID_BY_WEFT: ReadonlySet<number> = new Set([400, 407]);
/** BOUNDED: how much of an answer is looked at. */
const ANSWER_MAX_BYTES = 4096;

async function askedAddress(): Promise<string | undefined> {
  try {
    const { proxy } = await new ControlClient().status();
    return proxy.addresses.find((address) => address.startsWith('127.')) ?? proxy.addresses[0];
  } catch {
    // None runs, or it is not ours to ask.
    return undefined;
  }
}

/** Whether it is Weft that answers: it calls itself so when it is asked as if it were a web server. */
function isWeft(at: { readonly host: string; readonly port: number }): Promise<boolean> {
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

/** `http://127.0.0.1:13128`, or `undefined` when there is none. */
export async function findProxyUrl(usual = USUAL): Promise<string | undefined> {
  const address =
    (await askedAddress()) ?? ((await isWeft(usual)) ? `${usual.host}:${usual.port}` : undefined);
  return address === undefined ? undefined : `http://${address}`;
}
