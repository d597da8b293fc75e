/**
 * A lab whose client runs the built `weft up`, and a browser in that client: what the tests of the page stand on.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 *   weft up, chromium, curl
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab, type LabNode, type ProgramResult } from '../../src/lab/index.ts';
import { countOf, readCounters } from '../../src/mptcp/index.ts';
import { TestBrowser, type Look, type OpenPage } from './browser.ts';
import { runWeft, startWeft, type RunningWeft } from './weft-program.ts';

const PROXY = 'http://127.0.0.1:13128';
const TEST_DEADLINE_MS = 25_000;
const STEP_MS = 20;

/** Waits until a look succeeds: it throws, or gives back `false`, until then. Rejects with its last error. */
export async function eventually<T>(look: () => Promise<T> | T, what: string): Promise<T> {
  const endMs = performance.now() + TEST_DEADLINE_MS;
  for (;;) {
    let why = '';
    try {
      const found = await look();
      if (found !== false) return found;
    } catch (error) {
      why = `: ${String(error)}`;
    }
    if (performance.now() > endMs) throw new Error(`waited in vain for ${what}${why}`);
    await new Promise((resolve) => {
      setTimeout(resolve, STEP_MS);
    });
  }
}

export interface PageHostOptions {
  readonly lab?: Parameters<typeof Lab.twoUplinks>[0];
  /** After `weft up`. */
  readonly args?: readonly string[];
  /** Before `weft`, such as a program that takes rights away. */
  readonly prefix?: readonly string[];
  readonly browserArgs?: readonly string[];
}

export class PageHost {
  readonly lab: Lab;
  readonly weft: RunningWeft;
  readonly browser: TestBrowser;
  readonly #downloads = new Set<ChildProcess>();

  private constructor(lab: Lab, weft: RunningWeft, browser: TestBrowser) {
    this.lab = lab;
    this.weft = weft;
    this.browser = browser;
  }

  static async start({
    args = [],
    browserArgs = [],
    lab: options,
    prefix = [],
  }: PageHostOptions = {}): Promise<PageHost> {
    const lab = await Lab.twoUplinks({ rateBps: 50e6, delayMs: 5, ...options });
    try {
      const client = lab.node('client');
      const [weft, browser] = await Promise.all([
        startWeft(client, args, prefix),
        TestBrowser.start(client.path, browserArgs),
      ]);
      return new PageHost(lab, weft, browser);
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get client(): LabNode {
    return this.lab.node('client');
  }

  /** The page's address with its token, as `weft web` tells it. */
  async address(): Promise<string> {
    return eventually(async () => {
      const { code, stderr, stdout } = await runWeft(this.client, 'web');
      const [url] = /http:\/\/\S+/.exec(stdout) ?? [];
      if (code !== 0 || url === undefined) throw new Error(`weft web: ${stdout}${stderr}`);
      return url;
    }, 'the address of the page');
  }

  async open(look: Look = {}): Promise<OpenPage> {
    return this.browser.open(await this.address(), look);
  }

  weftCommand(...args: string[]): Promise<ProgramResult> {
    return runWeft(this.client, ...args);
  }

  /** A download through the proxy that goes on until the host is closed. */
  async download(bytesPerSecond: number): Promise<ChildProcess> {
    const curl = this.client.spawn(
      [
        'curl',
        '-sS',
        '--proxytunnel',
        '-x',
        PROXY,
        '--limit-rate',
        String(bytesPerSecond),
        '-o',
        '/dev/null',
        this.lab.url(1_000_000_000_000),
      ],
      { stdio: 'ignore' },
    );
    this.#downloads.add(curl);
    curl.once('exit', () => this.#downloads.delete(curl));
    return curl;
  }

  async endDownload(curl: ChildProcess): Promise<void> {
    const ended = once(curl, 'exit');
    curl.kill('SIGTERM');
    await ended;
  }

  /** One of the kernel's MPTCP counters in the client, such as `MPPrioTx`. */
  counter(name: string): number {
    return countOf(readCounters({ netns: this.client.path }), name);
  }

  async close(): Promise<void> {
    await this.browser.close();
    for (const curl of this.#downloads) curl.kill('SIGTERM');
    await this.weft.stop();
    await this.lab.close();
  }
}

/** Where pictures of the page are written for a look: WEFT_SCREENSHOTS, or a folder beside other temporary files. */
export function pictureFile(name: string): string {
  const folder = process.env['WEFT_SCREENSHOTS'] ?? join(tmpdir(), 'weft-page');
  mkdirSync(folder, { recursive: true });
  return join(folder, `${name}.png`);
}
