/**
 * The page's server for tests of it: a page of two files, a secret beside it, and control calls that are made up.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { silentLogger } from '../../src/base/index.ts';
import { controlRequestListener } from '../../src/service/control-request.ts';
import { LiveFeed } from '../../src/service/observe/live-feed.ts';
import type { Overview } from '../../src/service/observe/model.ts';
import { WebServer, type WebOptions } from '../../src/web/index.ts';
import { request, sendRaw, type Fields, type RawAnswer } from './web-raw.ts';

export const SOON = { interval: 10, timeout: 20_000 };
export const JSON_BODY = { 'Content-Type': 'application/json' };

interface Api {
  look(query: { readonly name: string }): Promise<{ readonly name: string }>;
  change(argument: unknown): Promise<{ readonly done: true }>;
}

/** Sockets of this process. */
export const countSockets = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return statSync(`/proc/self/fd/${fd}`).isSocket();
    } catch {
      return false;
    }
  }).length;

/** Each test of the file has a server of its own, and may put another in its place. */
export class WebPlace {
  folder = '';
  server!: WebServer;
  /** What was asked to be changed. */
  changes: unknown[] = [];

  begin = async (): Promise<void> => {
    this.folder = mkdtempSync(join(tmpdir(), 'weft-web-'));
    mkdirSync(join(this.folder, 'page'));
    writeFileSync(join(this.folder, 'page', 'index.html'), '<!doctype html><title>the page</title>');
    writeFileSync(join(this.folder, 'page', 'page.js'), 'void 0;');
    writeFileSync(join(this.folder, 'secret'), 'a secret beside the page');
    this.changes = [];
    this.server = await this.start();
  };

  end = async (): Promise<void> => {
    await this.server.close();
    rmSync(this.folder, { recursive: true });
  };

  start = (options: Partial<WebOptions> = {}): Promise<WebServer> => {
    const live = new LiveFeed({
      overview: () => ({ apiVersion: 1, time: 0 }) as Overview,
      onSample: () => () => {},
      watch: () => () => {},
    });
    const api: Api = {
      look: ({ name }) => Promise.resolve({ name }),
      change: (argument) => {
        this.changes.push(argument);
        return Promise.resolve({ done: true });
      },
    };
    return WebServer.start({
      addresses: [{ address: '127.0.0.1', port: 0 }],
      calls: controlRequestListener<Api>({
        calls: {
          look: {
            method: 'GET',
            path: '/v1/look',
            readQuery: (query) => ({ name: query.get('name') ?? '' }),
          },
          change: { method: 'POST', path: '/v1/change', readArgument: (value) => value },
        },
        api,
        routes: new Map([
          ['/v1/live', (asked, response) => live.open(asked, response)],
          [
            '/metrics',
            (_asked, response) => {
              response.writeHead(200, { 'content-type': 'text/plain' });
              response.end('weft_up 1\n');
            },
          ],
        ]),
      }),
      pageFolder: join(this.folder, 'page'),
      program: 'up',
      logger: silentLogger,
      ...options,
    });
  };

  port = (): number => this.server.addresses[0]!.port;
  host = (): string => `127.0.0.1:${this.port()}`;
  token = (): string => new URL(this.server.url).searchParams.get('token')!;

  ask = (method: string, target: string, fields: Fields = {}, body = ''): Promise<RawAnswer> =>
    sendRaw(this.port(), request(method, target, { Host: this.host(), ...fields }, body));

  /** Opens the printed address as a browser does. @returns `weft-PORT=…` */
  signIn = async (): Promise<string> => {
    const { headers, status } = await this.ask('GET', `/?token=${this.token()}`);
    expect(status).toBe(303);
    return headers['set-cookie']!.split(';')[0]!;
  };

  changeToken = async (cookie: string): Promise<string> => {
    const { body } = await this.ask('GET', '/v1/session', { Cookie: cookie });
    return (JSON.parse(body) as { token: string }).token;
  };
}

export function useWebPlace(): WebPlace {
  const place = new WebPlace();
  beforeEach(place.begin);
  afterEach(place.end);
  return place;
}
