/** The PAC file and `weft env`, as clients get them from a running proxy. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { DEFAULT_POLICY } from '../src/proxy/index.ts';
import { cleanUp, exchange, startProxy } from './proxy-support.ts';

afterEach(cleanUp);

const run = promisify(execFile);

it('the PAC file names the proxy by the address that was used, also where users are asked for', async () => {
  const users = new Map([
    ['ann', { password: '$scrypt$ln=10,r=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAA' }],
  ]);
  const proxy = await startProxy({}, { policy: { ...DEFAULT_POLICY, users } });
  const url = `http://127.0.0.1:${proxy.port}/proxy.pac`;
  const { stdout } = await run('curl', ['-sSi', '--noproxy', '*', url]);
  expect(stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(stdout).toContain('\r\nContent-Type: application/x-ns-proxy-autoconfig\r\n');
  expect(stdout).toContain('\r\nX-Content-Type-Options: nosniff\r\n');
  expect(stdout).toContain(`"PROXY 127.0.0.1:${proxy.port}"`);
  const { stdout: head } = await run('curl', ['-sSI', '--noproxy', '*', url]);
  expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(proxy.server.counters()).toMatchObject({ refused: 0, requests: 0 });
});

it('is not given to a page whose name leads here, and the connection goes on', async () => {
  const proxy = await startProxy();
  const ask = (host: string, more = '') => `GET /proxy.pac HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
  const answer = await exchange(
    proxy.port,
    ask(`evil.example:${proxy.port}`) + ask(`127.0.0.1:${proxy.port}`, 'Connection: close\r\n'),
  );
  expect(answer.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 421', 'HTTP/1.1 200']);
});

it('every other path is still told that this is a proxy', async () => {
  const proxy = await startProxy();
  const answer = await exchange(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*\r\n\r\nweft: /);
});
