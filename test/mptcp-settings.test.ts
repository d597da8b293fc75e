/**
 * net.mptcp.* and the MPTcpExt counters against the kernel, in this test's own namespace and in another.
 */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectFd } from '../src/mptcp/connect.ts';
import { countOf, describeCounter, differenceOf } from '../src/mptcp/counters.ts';
import { readCounters } from '../src/mptcp/counters-read.ts';
import { createServer } from '../src/mptcp/server.ts';
import {
  MPTCP_SYSCTLS,
  readSysctl,
  readSysctls,
  readSysctlTexts,
  writeSysctl,
  type SysctlName,
} from '../src/mptcp/sysctl.ts';
import { addNamespace, closeFd, deleteNamespace, inNamespace, namespacePath } from '../src/native/index.ts';

const NAME = 'weft-settings';
const netns = namespacePath(NAME);

beforeAll(() => {
  addNamespace(NAME);
  execFileSync('ip', ['-n', NAME, 'link', 'set', 'lo', 'up']);
});
afterAll(() => deleteNamespace(NAME));

describe('sysctls', () => {
  it('are read as their types, the same as sysctl(8) has them', () => {
    const values = readSysctls({ netns });
    expect(values.enabled).toBe(true);
    expect(values.path_manager).toBe('kernel');
    expect(values.add_addr_timeout).toBe(120);
    expect(values.available_path_managers).toEqual(expect.arrayContaining(['kernel', 'userspace']));
    const texts = readSysctlTexts({ netns });
    for (const [name, text] of texts) {
      const value = values[name as SysctlName];
      const shown = Array.isArray(value) ? value.join(' ') : String(value === true ? 1 : value || 0);
      expect(shown, name).toBe(text);
    }
  });

  it('know every setting of this kernel', () => {
    expect(Object.keys(MPTCP_SYSCTLS)).toEqual(expect.arrayContaining([...readSysctlTexts().keys()]));
  });

  it('belong to a namespace', () => {
    writeSysctl('stale_loss_cnt', 7, { netns });
    writeSysctl('checksum_enabled', true, { netns });
    expect(readSysctl('stale_loss_cnt', { netns })).toBe(7);
    expect(readSysctl('checksum_enabled', { netns })).toBe(true);
    expect(readSysctl('stale_loss_cnt')).toBe(4);
    expect(readSysctl('checksum_enabled')).toBe(false);
    writeSysctl('stale_loss_cnt', 4, { netns });
    writeSysctl('checksum_enabled', false, { netns });
  });

  it('say what is allowed when the kernel refuses', () => {
    expect(() => writeSysctl('path_manager', 'nosuch', { netns })).toThrow(
      /^set net\.mptcp\.path_manager to "nosuch": refused \(ENOENT\) — available: .*kernel.*userspace/,
    );
    expect(() => writeSysctl('add_addr_timeout', Number.NaN, { netns })).toThrow(
      /^set net\.mptcp\.add_addr_timeout to "NaN": refused \(EINVAL\) — seconds/,
    );
    expect(readSysctl('path_manager', { netns })).toBe('kernel');
  });

  it('say so when this kernel has no such setting', () => {
    const missing = Object.keys(MPTCP_SYSCTLS).filter((name) => !readSysctlTexts().has(name));
    for (const name of [...missing, 'nosuch']) {
      expect(() => readSysctl(name as SysctlName)).toThrow(
        `read net.mptcp.${name}: this kernel has no such setting (ENOENT) — a newer kernel has it`,
      );
    }
  });
});

describe('counters', () => {
  it('count a connection in the namespace in which it is', async () => {
    const before = readCounters({ netns });
    const own = readCounters();
    const server = await inNamespace(netns, () => createServer({ host: '127.0.0.1' }, (s) => s.resume()));
    const { port } = server.address() as { port: number };
    const { fd } = await inNamespace(netns, () => connectFd({ address: '127.0.0.1', port }));
    const grown = differenceOf(before, readCounters({ netns }));
    expect(grown.get('MPCapableSYNTX')).toBe(1);
    expect(grown.get('MPCapableSYNRX')).toBe(1);
    expect(grown.get('MPCapableSYNACKRX')).toBe(1);
    // A gauge: both ends are in this namespace.
    expect(grown.get('MPCurrEstab')).toBe(countOf(before, 'MPCurrEstab') + 2);
    expect(differenceOf(own, readCounters()).get('MPCapableSYNTX')).toBe(0);
    closeFd(fd);
    await new Promise((resolve) => server.close(resolve));
  });

  it('have a meaning, every one of this kernel', () => {
    const counters = readCounters();
    expect(counters.size).toBeGreaterThan(20);
    const unknown = [...counters.keys()].filter((name) => describeCounter(name).group === 'other');
    expect(unknown).toEqual([]);
  });
});
