/**
 * The user-space links of a lab, as a worker thread: frames read from one packet socket wait their delay and are
 * written to the other, both ways. What the links do now stands in memory shared with the owner (link-control.ts).
 *
 * Invariants: a frame of a blocked link vanishes, also one that waits already; order is kept; a frame is never
 * early, and late only by the granularity of epoll (1 ms) and the scheduler.
 */
import { workerData } from 'node:worker_threads';
import { EPOLLIN, libc, startWorkerLoop, WAKE_KEY, type EpollWorkerData } from '../native/index.ts';
import { DelayLine } from './delay-line.ts';
import { LinkControl } from './link-control.ts';
import { LARGEST_FRAME_BYTES, VIRTIO_HEADER_BYTES } from './packet-socket.ts';

/** Packet sockets of the two ends; the owner opened them and closes them after the thread has ended. */
export interface UserSpaceLink {
  readonly fds: readonly [number, number];
  readonly control: SharedArrayBuffer;
  /** BOUNDED: bytes of frames that wait, for each direction. */
  readonly queueBytes: number;
}

export interface LinkWorkerOptions {
  readonly links: readonly UserSpaceLink[];
}

/** Frames read from one socket before the others get their turn. */
const FRAMES_A_TURN = 64;
/** A frame is 60 bytes at least, but queues of tiny ones need not be that long. */
const BYTES_PER_FRAME_AT_LEAST = 256;

interface Direction {
  readonly from: number;
  readonly to: number;
  readonly line: DelayLine;
  readonly control: LinkControl;
  readonly number: number;
}

const data = workerData as EpollWorkerData<LinkWorkerOptions>;
const loop = startWorkerLoop(data);
const overflow = new Uint8Array(new ArrayBuffer(LARGEST_FRAME_BYTES));
const directions: Direction[] = [];

for (const link of data.options.links) {
  const control = new LinkControl(link.control);
  const [a, b] = link.fds;
  for (const [number, from, to] of [
    [0, a, b],
    [1, b, a],
  ] as const) {
    const capacityBytes = link.queueBytes + LARGEST_FRAME_BYTES;
    const line = new DelayLine({
      capacityBytes,
      capacityFrames: Math.ceil(capacityBytes / BYTES_PER_FRAME_AT_LEAST),
      largestFrameBytes: LARGEST_FRAME_BYTES,
    });
    loop.add(from, EPOLLIN, directions.length);
    directions.push({ from, to, line, control, number });
  }
}

/** An error on the socket (its link went down) ends the turn as an empty queue does; it is reported once. */
function readFrames(direction: Direction, nowMs: number): void {
  const { line, control, from, number } = direction;
  for (let i = 0; i < FRAMES_A_TURN; i++) {
    const room = line.reserve();
    const length = libc.read(from, room ?? overflow, LARGEST_FRAME_BYTES);
    if (length <= 0) return;
    if (control.blocked) control.countFault(number);
    else if (room === undefined) control.countFull(number);
    else line.commit(length, nowMs + control.delayMs);
  }
}

function writeDueFrames(direction: Direction, nowMs: number): void {
  const { line, control, to, number } = direction;
  while (line.nextDueMs() <= nowMs) {
    const frame = line.oldest();
    if (control.blocked || libc.write(to, frame, frame.length) < 0) control.countFault(number);
    else control.countFrame(number, frame.length - VIRTIO_HEADER_BYTES);
    line.release();
  }
}

function run(): never {
  for (;;) {
    let dueMs = Infinity;
    for (const direction of directions) dueMs = Math.min(dueMs, direction.line.nextDueMs());
    const waitMs = dueMs === Infinity ? -1 : Math.max(0, Math.ceil(dueMs - performance.now()));
    const count = loop.wait(waitMs);
    const nowMs = performance.now();
    for (let i = 0; i < count; i++) {
      const key = loop.keyAt(i);
      if (key === WAKE_KEY) loop.wakeFd.clear();
      else readFrames(directions[key]!, nowMs);
    }
    for (const direction of directions) writeDueFrames(direction, performance.now());
  }
}

run();
