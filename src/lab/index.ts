/**
 * lab: an internet in a box, for demos and tests. Stands beside the layers; nothing below cli imports it.
 */
export { runDemo, type DemoOptions } from './demo.ts';
export { DemoReporter, type ReporterOptions } from './demo-reporter.ts';
export * from './demo-state.ts';
export { SHOW_CURSOR } from './terminal.ts';
export { enterCommand, findRunningLab, recordRunningLab } from './running-lab.ts';
export { transfer, type TransferOptions, type TransferResult } from './transfer.ts';
export { BuiltTopology } from './builder.ts';
export { BLOCK_BYTES, ContentSource } from './content.ts';
export { Lab, Uplink, type TwoUplinksOptions } from './lab.ts';
export type { LinkCounters } from './link-control.ts';
export { LabNode, type ProgramResult } from './node.ts';
export * from './sandbox.ts';
export { diffSnapshots, takeSnapshot, type Snapshot, type SnapshotOptions } from './snapshot.ts';
export * from './topology.ts';
export { contentSha256, WebServer } from './web-server.ts';
export { PROXY, WeftProcess, type WeftProcessOptions } from './weft-process.ts';
