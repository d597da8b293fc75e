/**
 * Ending at a bad moment: the engine in this process, because from outside it cannot be caught in the middle of a
 * restart.
 */
import { afterEach, expect, it } from 'vitest';
import { silentLogger } from '../src/base/index.ts';
import { RouteNetlink } from '../src/netlink/index.ts';

import {
  MemoryJournal,
  readTunnelFolder,
  TunnelEngine,
  type TunnelFiles,
  type TunnelReading,
} from '../src/tunnel/index.ts';

const LINK = 'tunstop';

const netlink = RouteNetlink.open();

afterEach(() => {
  expect(netlink.links().some(({ name }) => name === LINK)).toBe(false);
});

const interfaceText = (last: number) =>
  `[general]\ntunnel_num = 1\ncmdport_local = 0\n[tun_0]\nname = ${LINK}\nipv4_addr = 10.77.0.${last}/24\nipv6_addr = ::/0\n`;

const files = new Map([['conf.template', '[connection]\nip_ver = 4\n']]);

const reading = (last: number): TunnelReading =>
  readTunnelFolder({ interfaceText: interfaceText(last), files });

async function start(first: TunnelReading, next: TunnelReading): Promise<TunnelEngine> {
  const folder: TunnelFiles = {
    readFolder: () => next,
    readConnection: () => ({ errors: [], warnings: [] }),
    save: () => {},
    disable: () => {},
  };
  const journal = new MemoryJournal();
  if (first.config === undefined) throw new Error(JSON.stringify(first.errors));
  return TunnelEngine.start({ config: first.config, files: folder, logger: silentLogger, journal });
}

it('in the middle of a restart ends that, and nothing is made anew behind it', async () => {
  for (let turns = 0; turns <= 8; turns++) {
    const engine = await start(reading(1), reading(2));
    const reload = engine.execute({ kind: 'reload' });
    // From the first moment of the taking down to the last of the making.
    for (let turn = 0; turn < turns ** 2; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    await Promise.all([engine.stop(), engine.stop()]);
    expect(
      netlink.links().some(({ name }) => name === LINK),
      `after ${turns}`,
    ).toBe(false);
    await reload;
    expect(
      netlink.links().some(({ name }) => name === LINK),
      `later, after ${turns}`,
    ).toBe(false);
  }
});
