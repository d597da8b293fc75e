/** Runs tunnels and lets them be asked: configuration on disk, the server's life, control calls, the `mpt` client. */
export { readClientSettings, type ClientSettingsReading } from './client-settings.ts';
export { ConfigurationFolder, isConnectionFileName } from './configuration-folder.ts';
export { askTunnelServer, type LocalQuestion } from './local-client.ts';
