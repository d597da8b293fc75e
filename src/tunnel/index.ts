/** tunnel: one interface over several paths, in MPT's formats (GRE in UDP) and beyond. */
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
