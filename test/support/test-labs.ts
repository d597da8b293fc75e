/**
 * Labs and hosts that live as long as one test: a file asks for them once, at its top, and whatever a test has made
 * is ended after it, the latest first.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterEach } from 'vitest';
import { Lab, LabNode, takeSnapshot } from '../../src/lab/index.ts';

/** Links that do not hold a test up. */
export const FAST = { rateBps: 1e9, delayMs: 1 } as const;

export interface TestLabs {
  /** What else is to be ended after the test. */
  readonly closers: (() => unknown)[];
  /** A client with two uplinks and a server. */
  readonly buildLab: (options?: Parameters<typeof Lab.twoUplinks>[0]) => Promise<Lab>;
  /** A host on its own, with loopback only. */
  readonly loneHost: () => LabNode;
  /** Downloads with curl until the test ends, to nowhere. `args`: more words for curl, such as THROUGH_TUNNEL. */
  readonly startDownload: (node: LabNode, url: string, ...args: string[]) => ChildProcess;
}

export interface TestLabsOptions {
  /** What `buildLab` takes by default. */
  readonly links?: Parameters<typeof Lab.twoUplinks>[0];
  /** Ends what the client, or the lone host, runs for nobody. */
  readonly endHost?: (node: LabNode) => Promise<void>;
}

/** @param name of the file, as its hosts' namespaces begin */
export function useTestLabs(name: string, { links = FAST, endHost }: TestLabsOptions = {}): TestLabs {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });
  const keep = (node: LabNode, close: () => Promise<void> | void) => {
    closers.push(close);
    if (endHost !== undefined) closers.push(() => endHost(node));
  };
  return {
    closers,
    buildLab: async (options = links) => {
      const lab = await Lab.twoUplinks(options);
      keep(lab.node('client'), () => lab.close());
      return lab;
    },
    loneHost: () => {
      const node = new LabNode('lone', `${name}-lone`);
      keep(node, () => node.close());
      return node;
    },
    startDownload: (node, url, ...args) => {
      const curl = node.spawn(['curl', '-sS', '-o', '/dev/null', ...args, url], { stdio: 'ignore' });
      closers.push(async () => {
        if (curl.exitCode !== null || curl.signalCode !== null) return;
        curl.kill('SIGKILL');
        await once(curl, 'exit');
      });
      return curl;
    },
  };
}

/** What the kernel holds for a host, without the processes that the test itself runs. */
export const hostState = (node: LabNode): string[] =>
  takeSnapshot({ netns: node.path }).filter((line) => !line.startsWith('process'));
