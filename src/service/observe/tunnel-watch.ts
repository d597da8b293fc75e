/**
 * The tunnels of this network namespace, asked over their control sockets: they are processes of their own, so this is
 * the one reading that takes a while, and it never holds a look up.
 *
 * Invariant: one question at a time; an answer that is too old is not told.
 * BOUNDED: TUNNELS_MAX tunnels, PATHS_MAX paths of each connection.
 */
import { WeftError } from '../../base/index.ts';
import type { TunnelConnectionStatus, TunnelPathStatus } from '../../tunnel/index.ts';
import { readTunnelReports, type TunnelReport } from '../tunnel/index.ts';
import type {
  ObservedEvent,
  PathState,
  TunnelConnectionReading,
  TunnelPathReading,
  TunnelReading,
} from './model.ts';
import { tunnelPathNames } from './tunnel-path-name.ts';

const TUNNELS_MAX = 32;
const CONNECTIONS_MAX = 64;
const PATHS_MAX = 32;
const ASK_EVERY_MS = 1000;
const ASK_EVERY_IDLE_MS = 5000;
const OLD_MS = 10_000;

const SET_DOWN_BY_HAND = 131;

function stateOf(path: TunnelPathStatus): { readonly state: PathState; readonly why?: string } {
  const { isLinkUp, isUsable, lacks, status } = path;
  if (lacks === 'link') return { state: 'down', why: 'there is no such link' };
  if (lacks === 'address') return { state: 'waiting', why: 'its link has no such address' };
  if (!isLinkUp) return { state: 'down', why: 'the link is down' };
  if (status === SET_DOWN_BY_HAND) return { state: 'down', why: 'it was set down by hand' };
  if (isUsable) return { state: 'active' };
  return { state: 'stale', why: 'nothing is heard of the other end over it' };
}

function readPath(path: TunnelPathStatus, name: string): TunnelPathReading {
  const { jitterUs, lossRatio, rttUs } = path;
  return {
    name,
    link: path.interfaceName,
    localAddress: path.privateAddress,
    remoteAddress: path.remoteAddress,
    weight: path.weightOut,
    ...stateOf(path),
    sentBytes: path.sentBytes,
    receivedBytes: path.receivedBytes,
    sentBitsPerSecond: path.sentBps,
    receivedBitsPerSecond: path.receivedBps,
    ...(rttUs === undefined ? {} : { rttUs }),
    ...(jitterUs === undefined ? {} : { jitterUs }),
    ...(lossRatio === undefined ? {} : { lossShare: lossRatio }),
  };
}

function readConnection({ name, paths }: TunnelConnectionStatus): TunnelConnectionReading {
  const names = tunnelPathNames(paths);
  return {
    name,
    paths: paths.slice(0, PATHS_MAX).map((path, index) => readPath(path, names[index] ?? String(index))),
  };
}

/** Pure. */
export function readTunnel({ connections, tunnel }: TunnelReport): TunnelReading {
  return {
    tunnel: tunnel.interfaceName,
    connections: connections.slice(0, CONNECTIONS_MAX).map(readConnection),
  };
}

const describe = ({ name, state, why }: TunnelPathReading) =>
  `path ${name} is ${state}${why === undefined ? '' : `: ${why}`}`;

/** What of the tunnels' paths has changed its state (pure). */
export function compareTunnels(
  before: readonly TunnelReading[],
  after: readonly TunnelReading[],
  time: number,
): ObservedEvent[] {
  const events: ObservedEvent[] = [];
  for (const { connections, tunnel } of after) {
    const known = before.find((item) => item.tunnel === tunnel);
    for (const connection of connections) {
      const paths = known?.connections.find(({ name }) => name === connection.name)?.paths;
      for (const path of connection.paths) {
        const past = paths?.find(({ name }) => name === path.name);
        if (past === undefined || past.state === path.state) continue;
        events.push({
          time,
          kind: 'tunnel',
          event: path.state,
          text: `tunnel ${tunnel}, connection ${connection.name}: ${describe(path)}`,
          fields: { tunnel, connection: connection.name, path: path.name, before: past.state },
        });
      }
    }
  }
  return events;
}

export class TunnelWatch {
  readonly #onEvent: (event: ObservedEvent) => void;
  readonly #ask: () => Promise<readonly TunnelReport[]>;
  #tunnels: readonly TunnelReading[] = [];
  #readMs = -Infinity;
  #askedMs = -Infinity;
  #isAsking = false;

  constructor(onEvent: (event: ObservedEvent) => void, ask = () => readTunnelReports()) {
    this.#onEvent = onEvent;
    this.#ask = ask;
  }

  tunnels(nowMs: number): readonly TunnelReading[] {
    return nowMs - this.#readMs > OLD_MS ? [] : this.#tunnels;
  }

  /** Asks, if it is time. @param isWatched somebody looks on */
  look(nowMs: number, isWatched: boolean): void {
    if (this.#isAsking || nowMs - this.#askedMs < (isWatched ? ASK_EVERY_MS : ASK_EVERY_IDLE_MS)) return;
    this.#askedMs = nowMs;
    this.#isAsking = true;
    void this.#take().finally(() => {
      this.#isAsking = false;
    });
  }

  async #take(): Promise<void> {
    let reports: readonly TunnelReport[];
    try {
      reports = await this.#ask();
    } catch (error) {
      // Most hosts have none; one that does not answer may do so the next time.
      if (error instanceof WeftError && error.code === 'NOT_RUNNING') this.#tunnels = [];
      return;
    }
    const tunnels = reports.slice(0, TUNNELS_MAX).map(readTunnel);
    for (const event of compareTunnels(this.#tunnels, tunnels, Date.now())) this.#onEvent(event);
    this.#tunnels = tunnels;
    this.#readMs = performance.now();
  }
}
