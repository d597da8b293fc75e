/**
 * `--web`, `--no-web`, `--web-token-file` and `--web-origin` of `weft up` and the daemon: how they are read, and what they
 * come to (pure). The daemon starts with this, so it loads nothing.
 */
import { DEFAULT_WEB_ADDRESS, type WebAddress, type WebOrigin } from '../web/index.ts';
import { addListen, parseListen } from './listen-address.ts';

/** As a command line gives them. */
export interface WebOptionValues {
  /** `false`: --no-web. */
  readonly web?: readonly WebAddress[] | boolean;
  readonly webTokenFile?: string;
  readonly webOrigin?: readonly WebOrigin[];
}

/** What is wanted of the page. */
export interface WebWish {
  readonly addresses: readonly WebAddress[];
  /** Somebody named the addresses: to fail to listen there is an error, not a warning. */
  readonly explicit: boolean;
  readonly tokenFile?: string;
  readonly origins: readonly WebOrigin[];
}

type Before = readonly WebAddress[] | boolean | undefined;

/** @returns what is wrong, as text */
export function addWebAddress(text: string, before: Before): readonly WebAddress[] | string {
  const parsed = parseListen(text, { what: 'page', port: DEFAULT_WEB_ADDRESS.port });
  return typeof parsed === 'string' ? parsed : addListen(Array.isArray(before) ? before : [], parsed);
}

/** @returns `undefined`: no page */
export function webWish({ web, webOrigin = [], webTokenFile }: WebOptionValues): WebWish | undefined {
  if (web === false) return undefined;
  const named = Array.isArray(web) ? (web as readonly WebAddress[]) : undefined;
  return {
    addresses: named ?? [DEFAULT_WEB_ADDRESS],
    explicit: named !== undefined,
    origins: webOrigin,
    ...(webTokenFile === undefined ? {} : { tokenFile: webTokenFile }),
  };
}
