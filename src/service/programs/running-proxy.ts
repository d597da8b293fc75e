/**
 * The proxy of the Weft that runs here, as programs name it in http_proxy. Asked of the running Weft itself, or, where
 * that belongs to another user and may not be asked, seen at the usual address.
 */
import { ControlClient } from '../control-client.ts';
import { bestProxyAddress, isProxyAlive, USUAL_PROXY } from '../proxy-probe.ts';

async function askedAddress(): Promise<string | undefined> {
  try {
    const { proxy } = await new ControlClient().status();
    return bestProxyAddress(proxy.addresses);
  } catch {
    // None runs, or it is not ours to ask.
    return undefined;
  }
}

/** `http://127.0.0.1:13128`, or `undefined` when there is none. */
export async function findProxyUrl(usual = USUAL_PROXY): Promise<string | undefined> {
  const address = (await askedAddress()) ?? ((await isProxyAlive(usual)) ? usual : undefined);
  return address === undefined ? undefined : `http://${address}`;
}
