/** web: the page, its guard and its sessions, over HTTP. The calls behind it are the service's. */
export {
  addressUrl,
  checkReach,
  DEFAULT_WEB_ADDRESS,
  isBeyondLoopback,
  parseWebOrigin,
  type WebAddress,
  type WebOrigin,
} from './addresses.ts';
export { WebServer, type WebOptions } from './server.ts';
export type { WebCounters } from './handler.ts';
