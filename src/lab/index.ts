/**
 * lab: an internet in a box, for demos and tests. Stands beside the layers; nothing below cli imports it.
 */
export { BuiltTopology } from './builder.ts';
export { BLOCK_BYTES, ContentSource } from './content.ts';
export { Lab, Uplink, type TwoUplinksOptions } from './lab.ts';
export type { LinkCounters } from './link-control.ts';
export { LabNode, type ProgramResult } from './node.ts';
export * from './sandbox.ts';
export { diffSnapshots, takeSnapshot, type Snapshot, type SnapshotOptions } from './snapshot.ts';
export * from './topology.ts';
export { contentSha256, WebServer } from './web-server.ts';
