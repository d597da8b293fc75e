/**
 * service: what makes a running Weft out of the layers below, and lets itself be asked: log, supervisor, proxy,
 * control calls, the sentences about multipath, and the doctor.
 */
export { buildApplianceImage, type ImageBuildOptions } from './appliance/image-build.ts';
export {
  exportImage,
  importImage,
  tryStoredImage,
  upgradeImage,
  type ImportOptions,
} from './appliance/image-import.ts';
export { ImageStore, storeFolder, type StoreUser } from './appliance/image-store.ts';
export * from './control-api.ts';
export { ControlClient } from './control-client.ts';
export * from './daemon/control-api.ts';
export type { ControlFailure } from './control-face.ts';
export { ControlLineStream } from './control-line-stream.ts';
export { DaemonControlClient } from './daemon/control-client.ts';
export { DaemonControl, type ControlledDaemon, type DaemonControlOptions } from './daemon/control-listen.ts';
export { MacWeft, type MacWeftOptions } from './appliance/mac-weft.ts';
export { startInBackground, type BackgroundOutcome } from './background.ts';
export { BACKEND_WISHES, type BackendWish } from './backend-choice.ts';
export { findQemu, mptcpSocketProblem } from './backend-facts.ts';
export { explainMultipath } from './explain.ts';
export { watchHostChanges } from './host-changes.ts';
export { surveyLinks, type LinkSurvey } from './link-survey.ts';
export { openLog, wantsColor, type LogOptions } from './log.ts';
export * from './doctor/index.ts';
export { DaemonLog, type DaemonLogOptions } from './daemon/daemon-log.ts';
export { DaemonService, type DaemonServiceOptions } from './daemon/daemon-service.ts';
export { ConfigError, configPath, loadOptions, type ConfigPath } from './daemon/load-options.ts';
export { ServiceManager } from './daemon/notify.ts';
export * from './daemon/option-values.ts';
export type { CommandLineOptions, DaemonOptions } from './daemon/options.ts';
export { hasCrashed, isProcessOf } from './process-record.ts';
export { ensureTokenFile } from './far/far-files.ts';
export * from './far/index.ts';
export { readNamedFile } from './named-file.ts';
export * from './observe/index.ts';
export * from './programs/index.ts';
export { bestProxyAddress, isProxyAlive, USUAL_PROXY } from './proxy-probe.ts';
export * from './tunnel/index.ts';
export { Readiness } from './readiness.ts';
export { describePolicy, type PolicyReport, type ReloadReport } from './proxy-policy.ts';
export type { PolicySources } from './proxy-rules.ts';
export { takeDown, type DownReport } from './take-down.ts';
export { askWebReports } from './web-client.ts';
export { WeftService, type WeftOptions } from './weft-service.ts';
export { writeLine } from './write-line.ts';
