/**
 * Tells the data plane of a connection: all that it is, which the data plane answers, and how its paths are at the moment
 * (views), which it does not. Not here: what paths are like (path-link.ts), which sockets they have (connection-sockets.ts),
 * what the peer is told (path-teller.ts).
 *
 * Invariants: one description is under way at a time, and calls meanwhile are served by one more; nothing is told before
 * `start`, and between `pause` and `resume`; sockets that no path has any more are closed when the data plane has answered
 * to a description without them.
 */
import { parseIp } from '../../base/index.ts';
import { monotonicMs, monotonicUs } from '../../native/index.ts';
import { DEFAULT_BUFFER_DELAY_MS, type ConnectionConfig } from '../config/model.ts';
import type { DataPlane } from '../data/data-plane.ts';
import type { DataConnection } from '../data/protocol.ts';
import { TokenBucket } from '../data/token-bucket.ts';
import { PLAIN_HEADER_BYTES, SEQUENCED_HEADER_BYTES } from '../wire/data-header.ts';
import type { ConnectionSockets } from './connection-sockets.ts';
import { describePaths, viewPaths } from './path-description.ts';
import type { PathLink } from './path-link.ts';

export interface PlaneTellerOptions {
  readonly id: number;
  readonly order: number;
  readonly config: ConnectionConfig;
  readonly links: readonly PathLink[];
  readonly sockets: ConnectionSockets;
  readonly outboundCounters: SharedArrayBuffer;
  readonly inboundCounters: SharedArrayBuffer;
  readonly plane: DataPlane;
}

const VIEWS_INTERVAL_MS = 100;
/** BOUNDED: descriptions a second and at once, because a peer, and without a key anybody, can be the reason. */
const PUSHES = { perSecond: 20, burst: 100 } as const;
/** Room that is left for inner packets whatever the paths say (RFC 8200 less a bit, RFC 791). */
const INNER_BYTES_MIN = 576;

export class PlaneTeller {
  readonly #options: PlaneTellerOptions;
  readonly #isSequenced: boolean;
  #isRunning = false;
  #viewsAtMs = Infinity;
  #pushing: Promise<void> | undefined;
  #isPushWanted = false;
  readonly #pushes = new TokenBucket(PUSHES.perSecond, PUSHES.burst);

  constructor(options: PlaneTellerOptions) {
    this.#options = options;
    const { reorderWindow, scheduler } = options.config;
    this.#isSequenced = reorderWindow > 0 || scheduler === 'redundant';
  }

  /** Whether the connection is the data plane's, and not about to leave it or to be another's there. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Largest inner packet that goes through each path in use. */
  get innerMtu(): number {
    const { links } = this.#options;
    const usable = links.filter((link) => link.isUsable);
    const of = usable.length > 0 ? usable : links;
    const room = Math.min(...of.map((link) => link.datagramBytesMax), 65_535);
    const header = this.#isSequenced ? SEQUENCED_HEADER_BYTES : PLAIN_HEADER_BYTES;
    return Math.max(INNER_BYTES_MIN, room - header);
  }

  /**
   * The paths have sockets.
   * @throws WeftError DATA_PLANE_ENDED
   */
  start(): Promise<void> {
    this.#isRunning = true;
    return this.push();
  }

  /** Another connection with the same number is to take the place of this one. */
  async pause(): Promise<void> {
    this.#isRunning = false;
    await this.#pushing?.catch(() => {});
  }

  /** After `pause`, when nothing came of it. */
  resume(): void {
    this.#isRunning = true;
    void this.push().catch(() => {});
  }

  /**
   * Takes the connection out of the data plane.
   * @throws WeftError DATA_PLANE_ENDED
   */
  async remove(): Promise<void> {
    this.#isRunning = false;
    await this.#pushing;
    await this.#options.plane.removeConnection(this.#options.id);
  }

  /** Tells everything anew. */
  push(): Promise<void> {
    this.#isPushWanted = true;
    this.#pushing ??= this.#runPushes();
    return this.#pushing;
  }

  async #runPushes(): Promise<void> {
    const { plane, sockets } = this.#options;
    try {
      while (this.#isPushWanted && this.#isRunning) {
        if (!this.#pushes.take(monotonicUs())) {
          await new Promise((resolve) => setTimeout(resolve, 1000 / PUSHES.perSecond));
          continue;
        }
        this.#isPushWanted = false;
        const retired = sockets.takeRetired();
        try {
          await plane.setConnection(this.#describe());
        } catch (error) {
          sockets.putBack(retired);
          throw error;
        }
        for (const socket of retired) socket.close();
      }
    } finally {
      this.#pushing = undefined;
    }
  }

  #describe(): DataConnection {
    const { config, id, inboundCounters, links, order, outboundCounters } = this.#options;
    const { networks } = config;
    return {
      id,
      order,
      ipVersion: config.ipVersion,
      localAddress: parseIp(config.localAddress) ?? new Uint8Array(4),
      remoteAddress: parseIp(config.remoteAddress) ?? new Uint8Array(4),
      sources: networks.map(({ source }) => source),
      destinations: networks.map(({ destination }) => destination),
      isSequenced: this.#isSequenced,
      reorderWindow: config.reorderWindow,
      maxDelayMs: config.maxBufferDelayMs || DEFAULT_BUFFER_DELAY_MS,
      scheduler: config.scheduler,
      // Whether the peer sends copies is its own choice; the original never does.
      dropsCopies: config.scheduler === 'redundant' || links.some((link) => link.isWeft),
      innerBytesMax: this.innerMtu,
      paths: describePaths(links),
      outboundCounters,
      inboundCounters,
    };
  }

  /** A path's usability changed (at once), or its measures did, which only some schedulers look at. */
  handleView(isAtOnce: boolean): void {
    if (isAtOnce) {
      this.#sendViews();
      return;
    }
    const { scheduler } = this.#options.config;
    if (scheduler !== 'adaptive' && scheduler !== 'lowest-rtt') return;
    if (this.#viewsAtMs === Infinity) this.#viewsAtMs = monotonicMs() + VIEWS_INTERVAL_MS;
  }

  /** When `tick` has something to do; Infinity for never. */
  get nextMs(): number {
    return this.#viewsAtMs;
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#viewsAtMs) this.#sendViews();
  }

  #sendViews(): void {
    this.#viewsAtMs = Infinity;
    if (!this.#isRunning) return;
    const { id, links, plane } = this.#options;
    plane.setViews(id, viewPaths(links));
  }
}
