/**
 * The page of the built programs: `weft up` and `mptcpd` serve it, `weft web` tells where, the token is in no log and in
 * no list of processes, a port that is taken harms nobody, and after the end all is as before.
 */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LabNode } from '../src/lab/index.ts';
import { Configuration, startMptcpd } from './support/mptcpd-program.ts';
import { useTestLabs } from './support/test-labs.ts';
import { RunningWeft, runtimeFiles, runWeft, startWeft, weftCommand } from './support/weft-program.ts';

const { loneHost } = useTestLabs('web');

const PLACE = 'http://127.0.0.1:13180/';
const ON_USUAL_PORT = /INFO: the page is on 127\.0\.0\.1:13180; "weft web" prints its address/;

let folder: string;
let configuration: Configuration;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-web-'));
  configuration = new Configuration();
});
afterEach(() => {
  configuration.remove();
  rmSync(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** What curl in the node gets. */
async function fetchIn(node: LabNode, url: string, ...args: string[]): Promise<Answer> {
  const { stdout } = await node.run(['curl', '-sS', '-m', '20', '-w', '\n%{http_code}', ...args, url]);
  const at = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at) };
}

async function addressOf(node: LabNode): Promise<string> {
  const { code, stderr, stdout } = await runWeft(node, 'web');
  expect([code, stderr]).toEqual([0, '']);
  return stdout.trim();
}

const tokenOf = (url: string) => new URL(url).searchParams.get('token') ?? '';

/** Opens the address as a browser does. @returns curl's arguments for the session */
async function signIn(node: LabNode, url: string): Promise<readonly string[]> {
  const jar = join(folder, 'cookies');
  expect((await fetchIn(node, url, '-c', jar)).status).toBe(303);
  return ['-b', jar];
}

describe('weft up', () => {
  it('serves the page and its calls to who has the address, and tells the address to nobody else', async () => {
    const node = loneHost();
    const weft = await startWeft(node);
    await weft.seen(ON_USUAL_PORT);
    const url = await addressOf(node);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:13180\/\?token=[\w-]{43}$/);
    expect((await fetchIn(node, PLACE)).status).toBe(401);
    const session = await signIn(node, url);
    const page = await fetchIn(node, PLACE, ...session);
    expect(page).toMatchObject({ status: 200, body: expect.stringContaining('<title>Weft</title>') });
    for (const [, path = ''] of page.body.matchAll(/(?:src|href)="\/([\w.]+)"/g)) {
      const file = await fetchIn(node, PLACE + path, ...session);
      expect([path, file.status]).toEqual([path, 200]);
      // All of the page is here.
      expect(file.body).not.toMatch(/\b(?:@import|url\()\s*['"]?(?:https?:)?\/\//);
    }
    expect((await fetchIn(node, `${PLACE}licenses.txt`, ...session)).body).toContain('uplot');
    expect(JSON.parse((await fetchIn(node, `${PLACE}v1/overview`, ...session)).body)).toMatchObject({
      apiVersion: 1,
      program: 'up',
      pid: weft.process.pid,
    });
    expect(JSON.parse((await fetchIn(node, `${PLACE}v1/openapi.json`, ...session)).body)).toHaveProperty(
      'openapi',
    );
    expect((await fetchIn(node, `${PLACE}metrics`)).body).toContain('weft_build_info{');
    // The page reaches nothing that is for the control socket alone.
    for (const call of ['v1/status', 'v1/web', 'v1/events'])
      expect((await fetchIn(node, PLACE + call, ...session)).status, call).toBe(404);
    const stop = ['-X', 'POST', '-H', 'content-type: application/json', '-d', '{}'];
    const bearer = ['-H', `authorization: Bearer ${tokenOf(url)}`];
    expect((await fetchIn(node, `${PLACE}v1/stop`, ...bearer, ...stop)).status).toBe(404);
    const status = await runWeft(node, 'status', '--json');
    for (const text of [status.stdout, readFileSync(`/proc/${weft.process.pid}/cmdline`, 'latin1')])
      expect(text).not.toContain(tokenOf(url));
    expect(await weft.stop()).toBe(0);
    expect(weft.stderr + weft.stdout).not.toContain(tokenOf(url));
    expect(runtimeFiles(node)).toEqual([]);
    const after = await runWeft(node, 'web');
    expect(after).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('not running') });
  });

  it('has another address and the token of a file, which is made, with a warning beyond loopback', async () => {
    const node = loneHost();
    const tokenFile = join(folder, 'web.token');
    const refused = await runWeft(node, 'up', '--web', '0.0.0.0:8000');
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/without a token file — add --web-token-file/),
    });
    const weft = await startWeft(node, ['--web', '0.0.0.0:8000', '--web-token-file', tokenFile]);
    // It was asked for, so it is there when Weft is ready.
    expect(weft.stderr).toMatch(/the page is on 0\.0\.0\.0:8000/);
    expect(weft.stderr).toMatch(/INFO: made the token file/);
    expect(weft.stderr).toMatch(/WARN: the page is open to other machines.*reverse proxy with TLS/);
    expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
    const token = readFileSync(tokenFile, 'utf8').trim();
    expect(await addressOf(node)).toBe(`http://127.0.0.1:8000/?token=${token}`);
    const place = 'http://127.0.0.1:8000/metrics';
    expect((await fetchIn(node, place)).status).toBe(401);
    expect((await fetchIn(node, place, '-H', `authorization: Bearer ${token}`)).status).toBe(200);
    expect(await weft.stop()).toBe(0);
    expect(weft.stderr).not.toContain(token);
  });

  it('goes on without a page when the usual port is taken, and does not when the port was named', async () => {
    const node = loneHost();
    const program = "require('http').createServer().listen(13180, '127.0.0.1', () => console.log('ready'))";
    const other = node.spawn([process.execPath, '-e', program]);
    await once(other.stdout!, 'data');
    const weft = await startWeft(node);
    await weft.seen(
      /WARN: the page is not served: listen on 127\.0\.0\.1:13180.*address already in use \(EADDRINUSE\) — another port/,
    );
    expect((await runWeft(node, 'web')).stderr).toMatch(/no page is served: listen on 127\.0\.0\.1:13180/);
    expect(await weft.stop()).toBe(0);
    const named = await runWeft(node, 'up', '--web', '13180');
    expect(named).toMatchObject({ code: 1, stderr: expect.stringContaining('EADDRINUSE') });
    expect(runtimeFiles(node)).toEqual([]);
    other.kill();
  });

  it('serves none with --no-web, and says so to who asks', async () => {
    const node = loneHost();
    const weft = await startWeft(node, ['--no-web']);
    expect((await runWeft(node, 'web')).stderr).toMatch(/no page is served: it was started with --no-web/);
    expect((await fetchIn(node, PLACE)).status).toBe(0);
    expect(await weft.stop()).toBe(0);
    expect(weft.stderr).not.toContain('the page');
  });

  it('shows the address with its token on a terminal', async () => {
    const node = loneHost();
    // script(1) of util-linux is the terminal.
    const [program = '', ...args] = weftCommand('up');
    const line = [program, ...args].map((word) => `'${word}'`).join(' ');
    const weft = new RunningWeft(
      node.spawn(['script', '-qec', `exec ${line}`, '/dev/null'], { stdio: ['pipe', 'pipe', 'pipe'] }),
    );
    await weft.seen(/the page: http:\/\/127\.0\.0\.1:13180\/\?token=[\w-]{43}/);
    expect(await addressOf(node)).toBe(/http:\S+token=[\w-]+/.exec(weft.stdout)?.[0]);
    await runWeft(node, 'down');
    await weft.ended;
  });
});

describe('the daemon', () => {
  it('serves the page too; of two on one machine the second says who has it', async () => {
    const node = loneHost();
    const daemon = await startMptcpd(node, { environment: configuration.environment() });
    await daemon.seen(/the page is on 127\.0\.0\.1:13180/);
    const url = await addressOf(node);
    const session = await signIn(node, url);
    expect(JSON.parse((await fetchIn(node, `${PLACE}v1/overview`, ...session)).body)).toMatchObject({
      program: 'daemon',
      pid: daemon.process.pid,
    });
    const weft = await startWeft(node);
    await weft.seen(
      /WARN: the page is not served: .*EADDRINUSE\) by another Weft \("weft daemon"\), whose page it has/,
    );
    expect(await addressOf(node)).toBe(url);
    expect(await weft.stop()).toBe(0);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.stderr).not.toContain(tokenOf(url));
  });

  it('has the same options, which are never cut short', async () => {
    const node = loneHost();
    const environment = configuration.environment();
    const run = (...args: string[]) => node.run([...weftCommand('daemon'), ...args], { env: environment });
    expect((await run('--web', '0.0.0.0:1')).stderr).toMatch(/without a token file/);
    expect(await run('--web', 'x')).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(/--web: expected ADDRESS:PORT/),
    });
    expect((await run('--no-we')).stderr).toMatch(/unrecognized option '--no-we'/);
    const daemon = await startMptcpd(node, {
      environment,
      args: ['--web', '127.0.0.1:8001', '--web-origin=https://a.example'],
    });
    await daemon.seen(/the page is on 127\.0\.0\.1:8001/);
    expect(await addressOf(node)).toMatch(/^https:\/\/a\.example\/\?token=/);
    expect(await daemon.stop()).toBe(0);
    const without = await startMptcpd(node, { environment, args: ['--no-web'] });
    expect((await runWeft(node, 'web')).stderr).toMatch(/--no-web/);
    expect(await without.stop()).toBe(0);
  });
});
