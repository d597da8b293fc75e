/**
 * `weft mptcp connections [--watch [SECONDS]]`: reads every MPTCP connection of the network namespace once, or
 * again and again until SIGINT or SIGTERM; on a terminal each reading takes the place of the one before.
 */
import { nearestWord, unmapV4, WeftError } from '../../base/index.ts';
import { linkNameOf } from '../../native/index.ts';
import { RouteNetlink } from '../../netlink/index.ts';
import { listConnections } from '../../mptcp/index.ts';
import type { Output } from '../compat/output.ts';
import { outputWidth } from '../text-layout.ts';
import { connectionsJson, connectionsText, type LinkOf, type Reading } from './mptcp-connections-view.ts';
import { USAGE_ERROR, type OwnCommandLine } from './mptcp-own-line.ts';

const USAGE = 'weft mptcp connections [--watch [SECONDS]] [--json]';
const DEFAULT_INTERVAL_S = 1;
const LONGEST_INTERVAL_S = 86_400;
const SHORTEST_INTERVAL_S = 0.1;

const CLEAR_SCREEN = '\u001b[H\u001b[2J\u001b[3J';

/**
 * Seconds between readings; `undefined`: read once.
 * @throws WeftError USAGE
 */
export function parseWatch(words: readonly string[]): number | undefined {
  const [option, value, ...more] = words;
  if (option === undefined) return undefined;
  const surplus = option === '--watch' ? more[0] : option;
  if (surplus !== undefined) {
    const near = nearestWord(surplus, ['--watch', '--json']);
    throw new WeftError(`"${surplus}" is not understood`, {
      code: 'USAGE',
      hint: near === undefined ? USAGE : `did you mean "${near}"?`,
    });
  }
  const seconds = value === undefined ? DEFAULT_INTERVAL_S : Number(value);
  if (!(seconds >= SHORTEST_INTERVAL_S && seconds <= LONGEST_INTERVAL_S)) {
    throw new WeftError(`"${value}" is not a number of seconds between 0.1 and 86400`, {
      code: 'USAGE',
      hint: USAGE,
    });
  }
  return seconds;
}

/** The link that a subflow is bound to, or else the one that has its address. */
function readLinks(): LinkOf {
  const owners = new Map<string, number>();
  const route = RouteNetlink.open();
  try {
    for (const { address, linkIndex } of route.addresses()) owners.set(address, linkIndex);
  } finally {
    route.close();
  }
  return (address, linkIndex) => {
    const index = linkIndex === 0 ? owners.get(unmapV4(address)) : linkIndex;
    return index === undefined ? undefined : linkNameOf(index);
  };
}

const read = (): Reading => ({ connections: listConnections(), atMs: performance.now() });

class View {
  readonly #json: boolean;
  readonly #output: Output;
  #earlier: Reading | undefined;

  constructor(json: boolean, output: Output) {
    this.#json = json;
    this.#output = output;
  }

  /** @param before what stands before the reading, unless it is JSON */
  show(before: string): void {
    const reading = read();
    const links = readLinks();
    const text = this.#json
      ? connectionsJson(reading, links, new Date().toISOString())
      : before + connectionsText(reading, links, outputWidth(process.stdout), this.#earlier);
    this.#earlier = reading;
    this.#output.write(text);
    this.#output.flush();
  }
}

/** Redraws until a signal; resolves then. */
async function runWatch(view: View, intervalS: number): Promise<void> {
  const clear = process.stdout.isTTY ? CLEAR_SCREEN : undefined;
  view.show(clear ?? '');
  await new Promise<void>((resolve, reject) => {
    const show = () => {
      try {
        view.show(clear ?? '\n');
      } catch (error) {
        clearInterval(timer);
        reject(error);
      }
    };
    const timer = setInterval(show, intervalS * 1000);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        clearInterval(timer);
        resolve();
      });
    }
  });
}

export async function runConnections({ words, json, output }: OwnCommandLine): Promise<number> {
  try {
    const intervalS = parseWatch(words);
    const view = new View(json, output);
    if (intervalS === undefined) view.show('');
    else await runWatch(view, intervalS);
    return 0;
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    output.error(`weft: ${error.message}\n`);
    return error.code === 'USAGE' ? USAGE_ERROR : 1;
  }
}
