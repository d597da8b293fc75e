/** Runs tunnels and lets them be asked: configuration on disk, the server's life, control calls, the `mpt` client. */
export { readClientSettings, type ClientSettingsReading } from './client-settings.ts';
export { ConfigurationFolder, isConnectionFileName } from './configuration-folder.ts';
export {
  TUNNEL_API_VERSION,
  TUNNEL_EVENT_KINDS,
  type TunnelControlApi,
  type TunnelReport,
  type TunnelStreamEvent,
} from './control-api.ts';
export { findTunnels, readTunnelReports, TunnelControlClient } from './control-client.ts';
export { askTunnelServer, type LocalQuestion } from './local-client.ts';
export { makeTunnelKey, writePair } from './pair-files.ts';
export { planPair, type EndFiles, type PairPath, type PairRequest, type PathEnd } from './pair-plan.ts';
export { TunnelService, type TunnelServiceOptions } from './tunnel-service.ts';
