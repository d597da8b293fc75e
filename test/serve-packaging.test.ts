/** docs/serve.md and the unit say what the code does. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DEFAULT_FAR_LIMITS, parseTokenFile, parseUpstreamUrl, WEFT_SERVE_PORT } from '../src/proxy/index.ts';
import { serveCommand } from '../src/cli/commands/serve.ts';

const textOf = (name: string) => readFileSync(fileURLToPath(new URL(`../${name}`, import.meta.url)), 'utf8');
const page = textOf('docs/serve.md');

describe('docs/serve.md', () => {
  it('has the bounds of the code', () => {
    const limits = DEFAULT_FAR_LIMITS;
    for (const row of [
      `${limits.maxConnections}; ${limits.maxHandshakes}`,
      `${limits.maxTunnels}; ${limits.maxTunnelsPerClient}`,
      `${limits.handshakeTimeoutMs / 1000} s; ${limits.waitTimeoutMs / 1000} s`,
      `${limits.connectTimeoutMs / 1000} s`,
      `${limits.tunnelIdleTimeoutMs / 3_600_000} h; ${limits.halfClosedTimeoutMs / 60_000} min; ${limits.udpIdleTimeoutMs / 60_000} min`,
    ]) {
      expect(page).toContain(`| ${row} |`);
    }
  });

  it('shows URLs and token files that are understood', () => {
    const urls = [...page.matchAll(/weft:\/\/[\w.:]+/g)].map(([url]) => url);
    expect(urls.length).toBeGreaterThan(1);
    for (const url of urls)
      expect(parseUpstreamUrl(url)).toMatchObject({ kind: 'weft', port: WEFT_SERVE_PORT });
    const file = /^ann .*\nphone .*$/m.exec(page)?.[0] ?? '';
    expect(parseTokenFile(file)).toMatchObject([{ name: 'ann' }, { name: 'phone' }]);
  });
});

describe('weft-serve.service', () => {
  const unit = textOf('packaging/weft-serve.service');
  const settings = Object.fromEntries(
    [...unit.matchAll(/^([A-Za-z]+)=(.*)$/gm)].map(([, key = '', value = '']) => [key, value]),
  );

  it('waits for readiness, watches, reloads, and keeps the token where it may write', () => {
    expect(settings).toMatchObject({
      Type: 'notify',
      ExecReload: '/bin/kill -HUP $MAINPID',
      DynamicUser: 'yes',
      StateDirectory: 'weft-serve',
      StateDirectoryMode: '0700',
      UMask: '0077',
    });
    const words = settings['ExecStart']!.split(' ');
    expect(words.slice(0, 2)).toEqual(['weft', 'serve']);
    const options = new Set(serveCommand().options.map(({ long }) => long));
    for (const word of words.filter((one) => one.startsWith('--'))) expect(options).toContain(word);
  });

  it('leaves room for the descriptors of every connection and tunnel', () => {
    const { maxConnections, maxTunnels } = DEFAULT_FAR_LIMITS;
    expect(Number(settings['LimitNOFILE'])).toBeGreaterThan(maxConnections + maxTunnels + 1000);
  });
});
