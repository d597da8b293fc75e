import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { setLines, shellOf, unsetLines } from './proxy-environment.ts';

const ADDRESS = '127.0.0.1:13128';

describe('the proxy environment', () => {
  it('is what a shell understands', () => {
    const script = `${setLines('sh', ADDRESS)} env; ${unsetLines('sh')} echo --; env`;
    const text = execFileSync('sh', ['-c', script], { encoding: 'utf8', env: { PATH: process.env['PATH'] } });
    const [set = '', unset = ''] = text.split('--\n');
    const proxies = (part: string) => part.split('\n').filter((line) => /^\w+_proxy=/i.test(line));
    expect(proxies(set).sort()).toEqual(
      [
        'ALL_PROXY=socks5h://127.0.0.1:13128',
        'HTTPS_PROXY=http://127.0.0.1:13128',
        'HTTP_PROXY=http://127.0.0.1:13128',
        'NO_PROXY=localhost,.localhost,127.0.0.1,127.0.0.0/8,::1',
        'all_proxy=socks5h://127.0.0.1:13128',
        'http_proxy=http://127.0.0.1:13128',
        'https_proxy=http://127.0.0.1:13128',
        'no_proxy=localhost,.localhost,127.0.0.1,127.0.0.0/8,::1',
      ].sort(),
    );
    expect(proxies(unset)).toEqual([]);
  });

  it('has the words of each shell', () => {
    expect(setLines('fish', '[::1]:3128')).toContain("set -gx https_proxy 'http://[::1]:3128';\n");
    expect(setLines('csh', ADDRESS)).toContain("setenv HTTP_PROXY 'http://127.0.0.1:13128';\n");
    expect(setLines('powershell', ADDRESS)).toContain("$Env:no_proxy = 'localhost");
    expect(unsetLines('fish').split('\n')).toHaveLength(9);
  });

  it.each([
    ['/bin/bash', 'sh'],
    ['/usr/bin/fish', 'fish'],
    ['/bin/tcsh', 'csh'],
    ['/usr/bin/pwsh', 'powershell'],
    ['zsh', 'sh'],
    [undefined, 'sh'],
  ])('%s', (path, shell) => expect(shellOf(path)).toBe(shell));
});
