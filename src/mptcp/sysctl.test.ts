import { expect, it } from 'vitest';
import { MPTCP_SYSCTLS, parseSysctl } from './sysctl.ts';

it('reads each type from the text of /proc', () => {
  expect(parseSysctl('boolean', '1\n')).toBe(true);
  expect(parseSysctl('boolean', '0\n')).toBe(false);
  expect(parseSysctl('number', '120\n')).toBe(120);
  expect(parseSysctl('text', 'kernel\n')).toBe('kernel');
  expect(parseSysctl('list', 'kernel userspace\n')).toEqual(['kernel', 'userspace']);
  expect(parseSysctl('list', '\n')).toEqual([]);
});

it('explains every setting in one line', () => {
  for (const { meaning } of Object.values(MPTCP_SYSCTLS)) expect(meaning).toMatch(/^[^\n]{10,120}$/);
});
