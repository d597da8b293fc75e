import { expect, it } from 'vitest';
import { userspaceAdvice } from './userspace-advice.ts';

it('says what to do when the kernel keeps connections for itself', () => {
  expect(userspaceAdvice('fullmesh', { path_manager: 'kernel', pm_type: 0 })).toBe(
    'plugin "fullmesh" makes no subflows: new connections are under the kernel\'s own path manager — sysctl -w net.mptcp.path_manager=userspace',
  );
  expect(userspaceAdvice('policy', { path_manager: 'mine' })).toContain('under "mine" — ');
  expect(userspaceAdvice('sspi', { pm_type: 0 })).toContain('sysctl -w net.mptcp.pm_type=1');
});

it('says nothing when it leaves them, or the plugin does not need it', () => {
  expect(userspaceAdvice('fullmesh', { path_manager: 'userspace', pm_type: 1 })).toBeUndefined();
  expect(userspaceAdvice('ndiffports', { pm_type: 1 })).toBeUndefined();
  expect(userspaceAdvice('addr_adv', { path_manager: 'kernel' })).toBeUndefined();
});
