import { describe, expect, it } from 'vitest';
import { notifySettings } from './notify.ts';

const env = (more: Record<string, string> = {}) => ({ NOTIFY_SOCKET: '/run/notify', ...more });

describe('what a service manager asks for', () => {
  it('nothing, without its socket or with one of another kind', () => {
    expect(notifySettings({}, 7)).toEqual({});
    expect(notifySettings({ NOTIFY_SOCKET: '', WATCHDOG_USEC: '1000000' }, 7)).toEqual({});
    expect(notifySettings({ NOTIFY_SOCKET: 'vsock:2:1234' }, 7)).toEqual({});
  });

  it('a path or an abstract name', () => {
    expect(notifySettings(env(), 7)).toEqual({ socket: '/run/notify' });
    expect(notifySettings({ NOTIFY_SOCKET: '@name' }, 7)).toEqual({ socket: '@name' });
  });

  it('the watchdog at half of its time, when it is for this process', () => {
    expect(notifySettings(env({ WATCHDOG_USEC: '30000000' }), 7)).toEqual({
      socket: '/run/notify',
      watchdogEveryMs: 15_000,
    });
    expect(notifySettings(env({ WATCHDOG_USEC: '1000', WATCHDOG_PID: '7' }), 7).watchdogEveryMs).toBe(1);
    expect(
      notifySettings(env({ WATCHDOG_USEC: '1000', WATCHDOG_PID: '8' }), 7).watchdogEveryMs,
    ).toBeUndefined();
    const longest = notifySettings(env({ WATCHDOG_USEC: '9000000000000' }), 7).watchdogEveryMs;
    expect(longest).toBe(2 ** 31 - 1);
    for (const wrong of ['', 'x', '-5', '0', '1e400']) {
      expect(notifySettings(env({ WATCHDOG_USEC: wrong }), 7).watchdogEveryMs).toBeUndefined();
    }
  });
});
