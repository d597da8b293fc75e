/** tunnel: one interface over several paths, in MPT's formats (GRE in UDP) and beyond. */
export {
  CONFIGURATION_FOLDER,
  formatClientSettings,
  formatNoAnswer,
  parseClientArguments,
  takeFolder,
  type ClientSettings,
  type ClientStart,
} from './client/arguments.ts';
export {
  formatCommand,
  parseCommandText,
  type ClientCommand,
  type CommandReading,
} from './client/command.ts';
export { formatClientHelp, formatCommandHelp } from './client/help.ts';
export { formatPathReport, type MeasuredConnection, type PathMeasures } from './client/path-report.ts';
export * from './client/server-text.ts';
export {
  formatConnectionStatus,
  formatStatusReport,
  formatTunnelStatus,
  type ConnectionStatus,
  type TunnelStatus,
} from './client/status-report.ts';
export { parseConnectionConfig } from './config/connection-config.ts';
export { formatConnectionConfig } from './config/connection-text.ts';
export {
  makePeerConnection,
  mergeAnswer,
  parsePeerText,
  peerFileName,
  type CreateInput,
  type PeerText,
} from './config/create-connection.ts';
export {
  formatInterfaceConfig,
  INTERFACE_FILE,
  isLinkName,
  LINK_NAME_RULE,
  parseClientConfig,
  parseInterfaceConfig,
} from './config/interface-config.ts';
export { formatConfigIssue, type ConfigIssue } from './config/issue.ts';
export * from './config/model.ts';
export {
  CONNECTION_SUFFIX,
  CONNECTIONS_FOLDER,
  readConnectionFile,
  readTunnelFolder,
  TEMPLATE_FILE,
  type ConnectionFileReading,
  type TunnelFolder,
  type TunnelReading,
} from './config/tunnel-folder.ts';
export {
  DEFAULT_KEY_TEXT,
  equalBytes,
  KEY_BYTES,
  keyOf,
  ZERO_KEY,
  type Sha256,
} from './control/authentication.ts';
export { classifyCommandDatagram, type CommandDatagramKind } from './control/command-port.ts';
export { emitCreateBody, parseCreateBody } from './control/create-body.ts';
export {
  describeFailure,
  ExchangeFailure,
  type ExchangeOutcome,
  type ExchangeRequest,
} from './control/exchange.ts';
export { InitiatorDesk, type DeskOutput, type Submission } from './control/initiator-desk.ts';
export { LocalCall, type LocalOutcome } from './control/local-call.ts';
export { emitLocalEnd, emitLocalReply, parseLocalRequest } from './control/local-protocol.ts';
export {
  ControlCommand,
  ControlResult,
  formatControlMessage,
  parseControlMessage,
  type AuthType,
  type ControlMessage,
} from './control/message.ts';
export { nodeHmacSha256, nodeRandomToken, nodeSessionNumber, nodeSha256 } from './control/node-crypto.ts';
export {
  announcedStatus,
  emitPathChange,
  parsePathChange,
  PathStatus,
  type PathChange,
} from './control/path-status.ts';
export {
  DROP_REASONS,
  Responder,
  type Admission,
  type DropReason,
  type ResponderAction,
} from './control/responder.ts';
export { TunnelEngine } from './engine/engine.ts';
export * from './engine/types.ts';
export {
  EMPTY_RECORD,
  MemoryJournal,
  parseHostRecord,
  type HostJournal,
  type HostRecord,
  type OwnedRoute,
  type OwnedSetting,
} from './host/host-journal.ts';
export { CapacityEstimate, type DeliveryReport } from './paths/capacity-estimate.ts';
export { DuplicateFilter } from './paths/duplicate-filter.ts';
export { flowHash } from './paths/flow-hash.ts';
export { FlowPins } from './paths/flow-pins.ts';
export { makeScheduler } from './paths/make-scheduler.ts';
export { FIRST_DROPPED, PushResult, ReorderBuffer, type ReorderOptions } from './paths/reorder-buffer.ts';
export { PathState, type PathTimers, type PathWord } from './paths/path-state.ts';
export { firstPath, withoutFirstPath, type PathView, type Scheduler } from './paths/scheduler.ts';
export { buildSendingVector, finalIncrement, sendingVectorLength } from './paths/sending-vector.ts';
export { KEEPALIVE_ROOM_BYTES, PeerSession } from './peer/peer-session.ts';
export * from './peer/types.ts';
export {
  classifyDatagram,
  DATAGRAM_KINDS,
  DatagramKind,
  FIRST_MALFORMED,
  formatDatagramKind,
} from './wire/classify.ts';
export * from './wire/data-header.ts';
export { emitKeepalive, KEEPALIVE_BYTES, parseKeepalive, type Keepalive } from './wire/keepalive.ts';
export { RestartDetector, SequenceVerdict } from './wire/restart-detector.ts';
export { addToSequence, isBefore, nextSequence, sequenceDistance } from './wire/sequence.ts';
