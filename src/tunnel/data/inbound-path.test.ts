import { expect, it } from 'vitest';
import { testContent } from '../../../test/support/inner-packets.ts';
import { emitExtension, type Extension } from '../peer/peer-extension.ts';
import { InboundPath } from './inbound-path.ts';
import { PacketMemory } from './packet-memory.ts';
import { InboundPathCounter, newCounterBlock, pathField } from './protocol.ts';

const SESSION = 0xabcd_1234_5678;
const AT = 1001;

const memory = new PacketMemory(65_536);

function extension(senderSession: number): Extension {
  return {
    isProbe: false,
    wantsShortIntervals: true,
    senderSession,
    receiverSession: 1,
    number: 1,
    sentUs: 0,
    sentPackets: 0,
    sentBytes: 0,
    probeArrived: 0,
    intervalMs: 50,
    wordNumber: 0,
    word: 0,
    heardWordNumber: 0,
    observed: { address: new Uint8Array(16), port: 0 },
  };
}

function makePath(peerSession?: number) {
  const counters = new Float64Array(newCounterBlock());
  const path = new InboundPath(
    {
      fd: -1,
      remoteSockaddr: new Uint8Array(16),
      remoteAddress: new Uint8Array(16),
      datagramBytesMax: 1400,
      segmentation: true,
      pinned: { tcpSource: [], tcpDestination: [], udpSource: [], udpDestination: [] },
      view: { isUsable: true, weight: 1 },
      ...(peerSession !== undefined && { peerSession }),
    },
    0,
    0,
    counters,
  );
  /** How many of so many keepalives are passed on. */
  const pass = (count: number, session: number | undefined, isFromPeer: boolean, nowMs: number) => {
    memory.bytes.fill(0, AT, AT + 300);
    let length = 44;
    if (session !== undefined) length = emitExtension(memory.bytes.subarray(AT), extension(session), false);
    let passed = 0;
    for (let i = 0; i < count; i++) if (path.mayPass(memory, AT, length, isFromPeer, nowMs)) passed++;
    return passed;
  };
  const dropped = () => counters[pathField(0, InboundPathCounter.keepalivesDropped)];
  return { pass, dropped };
}

it('keeps room for the keepalives of the session that counts, whatever comes in the name of the peer', () => {
  const { pass, dropped } = makePath(SESSION);
  expect(pass(5000, undefined, true, 0)).toBe(100);
  expect(pass(5000, SESSION + 1, true, 1)).toBe(0);
  expect(pass(5000, SESSION - 2 ** 32, true, 1)).toBe(0);
  expect(pass(5000, SESSION + 1, false, 2)).toBe(10);
  // A peer that has moved is a stranger by its address.
  expect(pass(100, SESSION, false, 3)).toBe(100);
  expect(pass(200, SESSION, true, 4)).toBe(150);
  expect(dropped()).toBe(20_000 - 110 + 50);
  expect(pass(1, SESSION, true, 1004)).toBe(1);
});

it('takes none for the session before it is known, and looks at nothing beyond the datagram', () => {
  const { pass } = makePath();
  expect(pass(300, SESSION, true, 0)).toBe(100);
  const known = makePath(SESSION);
  memory.bytes.set(testContent(200), AT);
  expect(known.pass(5, SESSION, false, 0)).toBe(5);
  // What lies behind a short one is not its own.
  const view = new DataView(memory.bytes.buffer);
  known.pass(10, undefined, false, 0);
  view.setUint16(AT + 48, Math.floor(SESSION / 2 ** 32));
  view.setUint32(AT + 50, SESSION % 2 ** 32);
  expect(known.pass(1, undefined, false, 0)).toBe(0);
});
