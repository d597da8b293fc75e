/** packaging/ for the tunnel: manual pages are sound and name what there is; the unit gives the server what it needs. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MPTSRV_HELP } from '../src/cli/compat/mptsrv-options.ts';
import { formatClientHelp, formatConnectionConfig, SCHEDULERS, SERVER_EXIT } from '../src/tunnel/index.ts';
import { parseConnectionConfig } from '../src/tunnel/index.ts';
import { INTERFACE_TEXT, SAVED_TEXT } from './support/mpt-configuration.ts';

const pathOf = (name: string) => fileURLToPath(new URL(`../packaging/${name}`, import.meta.url));
const textOf = (name: string) => readFileSync(pathOf(name), 'utf8');

/** A page for terminals makes letters bold or underlined with a backspace between two of them. */
function rendered(name: string): string {
  const { stdout } = spawnSync('mandoc', ['-T', 'ascii', pathOf(name)], { encoding: 'utf8' });
  return stdout
    .split('\b')
    .map((part, index, parts) => (index < parts.length - 1 ? part.slice(0, -1) : part))
    .join('');
}

describe.each(['mptsrv.8', 'mpt.8'])('%s', (name) => {
  it('has nothing that mandoc complains of', () => {
    const lint = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', pathOf(name)], { encoding: 'utf8' });
    expect(lint).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });
});

it('mptsrv.8 names every option, exit code, key and scheduler', () => {
  const page = rendered('mptsrv.8');
  const options = [...MPTSRV_HELP.matchAll(/^ {2}(-d|--\w+)/gm)].map(([, option = '']) => option);
  expect(options.length).toBeGreaterThan(3);
  const { connection } = parseConnectionConfig(SAVED_TEXT, 'x');
  const file = formatConnectionConfig({ ...connection!, scheduler: 'flow', authKey: 'k' }, 'file');
  const keys = [...`${INTERFACE_TEXT}${file}`.matchAll(/^(\w+) *= /gm)].map(([, key = '']) => key);
  const shown = new Set(keys.filter((key) => !['tunnel_num', 'local_cmd_port'].includes(key)));
  expect(shown.size).toBeGreaterThan(25);
  for (const word of [...options, ...shown, ...SCHEDULERS]) expect(page).toContain(word);
  for (const code of Object.values(SERVER_EXIT)) expect(page).toMatch(new RegExp(`^ +${code}\\b`, 'm'));
});

it('mpt.8 names every command and option of the help', () => {
  const page = rendered('mpt.8').replaceAll(/\s+/g, ' ');
  const commands = [...formatClientHelp().matchAll(/^([a-z|]+)( |$)/gm)].map(([, word = '']) => word);
  expect(new Set(commands).size).toBe(9);
  for (const word of [...commands, '-6', '-PORT', '--conf']) expect(page).toContain(word);
});

describe('mptsrv.service', () => {
  const settings = Object.fromEntries(
    [...textOf('mptsrv.service').matchAll(/^([A-Za-z]+)=(.*)$/gm)].map(([, key = '', value = '']) => [
      key,
      value,
    ]),
  );

  it('waits for readiness, watches, reloads, has the device and the rights that it needs', () => {
    expect(settings).toMatchObject({
      Type: 'notify',
      ExecStart: 'mptsrv -d --conf /etc/mpt/conf',
      ExecReload: '/bin/kill -HUP $MAINPID',
      CapabilityBoundingSet: 'CAP_NET_ADMIN CAP_NET_BIND_SERVICE',
      DeviceAllow: '/dev/net/tun rw',
      ReadWritePaths: '-/etc/mpt/conf',
      RuntimeDirectory: 'mptsrv',
      RuntimeDirectoryMode: '0700',
      WatchdogSec: '30',
      RestartPreventExitStatus: '3 4 64',
    });
    // What would take the device, forwarding, or Node's compiler away.
    for (const never of [
      'PrivateDevices',
      'ProtectKernelTunables',
      'MemoryDenyWriteExecute',
      'DynamicUser',
    ]) {
      expect(Object.keys(settings)).not.toContain(never);
    }
  });
});
