import { expect, it } from 'vitest';
import { needsProxy, planRun, type RunRequest } from './run-plan.ts';

const URL = 'http://127.0.0.1:13128';
const REGISTER = '--require /r.cjs';

const request = (more: Partial<RunRequest> = {}): RunRequest => ({
  name: 'x',
  verdict: { mechanism: 'library' },
  mechanisms: { registerPath: '/r.cjs', libraryPath: '/w.so' },
  via: undefined,
  environment: { HOME: '/h', LD_PRELOAD: '/a.so' },
  proxyUrl: undefined,
  kernelProblem: undefined,
  ...more,
});

const PRELOADED = {
  HOME: '/h',
  LD_PRELOAD: '/a.so:/w.so',
  GODEBUG: 'multipathtcp=1',
  NODE_OPTIONS: REGISTER,
};
const PROXIED = { http_proxy: URL, https_proxy: URL, all_proxy: URL };
const unreached = (more: Partial<RunRequest> = {}) =>
  request({ verdict: { mechanism: undefined, reason: 'it is static' }, ...more });

it('preloads without a word where something reaches the program', () => {
  expect(planRun(request())).toEqual({ environment: PRELOADED });
  expect(planRun(request({ proxyUrl: URL })).environment).toEqual(PRELOADED);
});

it('says that only the proxy is left, and sets it where one runs', () => {
  expect(planRun(unreached({ proxyUrl: URL }))).toEqual({
    environment: { ...PRELOADED, ...PROXIED },
    notice: `"x" itself stays TCP: it is static — it must go through the proxy: http_proxy, https_proxy, all_proxy are ${URL}`,
  });
  expect(planRun(unreached())).toEqual({
    environment: PRELOADED,
    notice:
      '"x" itself stays TCP: it is static — it must go through the proxy, and none runs here: start it with "weft up"',
  });
});

it('says what else would help', () => {
  const verdict = { mechanism: undefined, reason: 'no library', remedy: 'install it' };
  expect(planRun(request({ verdict })).notice).toMatch(/start it with "weft up" \(or: install it\)$/);
  expect(planRun(request({ verdict, via: 'preload' })).notice).toBe(
    '"x" itself stays TCP: no library — install it',
  );
});

it('keeps a proxy that the environment names, and says so', () => {
  const environment = { http_proxy: 'http://company' };
  const plan = planRun(unreached({ proxyUrl: URL, environment }));
  expect(plan.environment).toMatchObject({ ...PROXIED, http_proxy: 'http://company' });
  expect(plan.notice).toMatch(/but http_proxy of its environment stay; "--via proxy" replaces them$/);
});

it('via preload: no proxy is looked for or set', () => {
  const plan = planRun(unreached({ via: 'preload', proxyUrl: URL }));
  expect(plan).toEqual({ environment: PRELOADED, notice: '"x" itself stays TCP: it is static' });
});

it('via proxy: only the proxy, in the place of any other', () => {
  const environment = { http_proxy: 'http://company', LD_PRELOAD: '/a.so' };
  const plan = planRun(request({ via: 'proxy', proxyUrl: URL, environment }));
  expect(plan).toEqual({ environment: { LD_PRELOAD: '/a.so', ...PROXIED } });
});

it('leaves the library out where the kernel has no MPTCP, because it has no way back to TCP', () => {
  expect(planRun(request({ kernelProblem: 'MPTCP is off' }))).toEqual({
    environment: { ...PRELOADED, LD_PRELOAD: '/a.so' },
    notice: '"x" runs over TCP, and libmptcpwrap.so is left out: MPTCP is off',
  });
});

it.each([
  [request(), false],
  [unreached(), true],
  [unreached({ via: 'preload' }), false],
  [request({ via: 'proxy' }), true],
  [unreached({ kernelProblem: 'off' }), false],
])('looks for the proxy only when it counts (%#)', (asked, expected) =>
  expect(needsProxy(asked)).toBe(expected),
);
