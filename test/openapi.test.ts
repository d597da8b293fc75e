/**
 * Every answer of a `weft up`, of a daemon and of what they refuse is as docs/openapi.json says, to the field: nothing
 * is there that the file does not know. That the file is as the types are is openapi-docs.test.ts's business.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { expect, it } from 'vitest';
import type { ConnectionPage } from '../src/service/index.ts';
import { THROUGH_TUNNEL } from './support/download.ts';
import { LiveReader, ObservedNode, startObservedDaemon } from './support/observed.ts';
import { allCalls, CALL_EXAMPLES } from './support/openapi.ts';
import { useTestLabs } from './support/test-labs.ts';
import { startWeft } from './support/weft-program.ts';

const SOON = { interval: 20, timeout: 20_000 };

const { buildLab, closers, startDownload } = useTestLabs('openapi', { links: { rateBps: 50e6, delayMs: 2 } });

type Json = Readonly<Record<string, unknown>>;

const document = JSON.parse(
  readFileSync(fileURLToPath(new URL('../docs/openapi.json', import.meta.url)), 'utf8'),
) as Json & {
  readonly components: { readonly schemas: Json };
  readonly 'x-weft-failures': Readonly<Record<string, string>>;
};

/** An object has no more than the file names, where the file does not say otherwise. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  const isOpen = !('properties' in inner) || 'additionalProperties' in inner;
  return isOpen ? inner : { ...inner, additionalProperties: false };
}

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true });
ajv.addVocabulary(['components', 'example']);
ajv.addSchema({ $id: 'file:openapi', components: { schemas: closed(document.components.schemas) } });

const validators = new Map<string, ValidateFunction>();

function expectValid(name: string, value: unknown): void {
  const validate = validators.get(name) ?? ajv.compile({ $ref: `file:openapi#/components/schemas/${name}` });
  validators.set(name, validate);
  const text = JSON.stringify(value).slice(0, 400);
  expect(validate(value) ? [] : validate.errors, `${name}: ${text}`).toEqual([]);
}

/** Of a call: what it is asked with in this test, and which schema its answer has. */
async function askAll(observed: ObservedNode, program: 'up' | 'daemon', connection: string): Promise<void> {
  for (const { call, name, programs } of allCalls()) {
    const example = CALL_EXAMPLES[name];
    if (!programs.includes(program) || example === undefined) continue;
    const { answers, body, query = '' } = example;
    const answer = await observed.ask(
      `${call.path}${query.replace('CONNECTION', connection)}`,
      call.readArgument === undefined ? undefined : (body ?? {}),
    );
    const schema = answer.status === 200 ? answers[program] : 'ControlFailure';
    if (example.fails !== true) expect(answer.status, `${name}: ${JSON.stringify(answer.body)}`).toBe(200);
    expectValid(schema ?? '', answer.body);
  }
}

it('of weft up, with connections, events and failures', async () => {
  const lab = await buildLab();
  const client = lab.node('client');
  await startWeft(client, ['--backup', 'lte0']);
  startDownload(client, lab.url(1e12), ...THROUGH_TUNNEL);
  // One without MPTCP, of a program of this host.
  startDownload(client, lab.url(1e12), '-x', 'http://127.0.0.1:13128');
  const observed = new ObservedNode(client);
  const rows = async () => (await observed.get<ConnectionPage>('/v1/connections')).rows;
  await expect
    .poll(async () => (await rows()).find(({ subflowCount }) => subflowCount > 1)?.id, SOON)
    .toBeDefined();
  const id = (await rows()).find(({ subflowCount }) => subflowCount > 1)!.id;
  const live = await LiveReader.open(observed.socketPath);
  closers.push(() => live.close());
  await askAll(observed, 'up', id);
  lab.uplink(1).unplug();
  await expect.poll(() => live.of('event').length, SOON).toBeGreaterThan(0);
  await expect.poll(() => live.of('overview').length, SOON).toBeGreaterThan(1);
  for (const message of live.messages.slice(0, 50)) expectValid('LiveMessage', message);
  await askAll(observed, 'up', id);
});

it('of the daemon', async () => {
  const lab = await buildLab();
  const client = lab.node('client');
  const observed = await startObservedDaemon(client, closers);
  await expect.poll(async () => (await observed.overview()).endpoints.length, SOON).toBeGreaterThan(1);
  await askAll(observed, 'daemon', 'nobody');
});

it('failures have codes and statuses that the file names', async () => {
  const lab = await buildLab();
  await startWeft(lab.node('client'));
  const observed = new ObservedNode(lab.node('client'));
  const codes = new Map(
    Object.entries(document['x-weft-failures']).flatMap(([status, names]) =>
      names.split(', ').map((code) => [code, Number(status)] as const),
    ),
  );
  for (const [path, body] of [
    ['/v1/nothing', undefined],
    ['/v1/history?minutes=x', undefined],
    ['/v1/connection?id=m1', undefined],
    ['/v1/endpoint/remove', { id: 1 }],
    ['/v1/endpoint/remove', { id: 200 }],
    ['/v1/path', { link: 'nolink0', backup: true }],
    ['/v1/tunnel-path', { tunnel: 'tun0', connection: 'a', path: 'b', up: true }],
    ['/v1/path', 'x'.repeat(100_000)],
  ] as const) {
    const answer = await observed.ask(path, body);
    expectValid('ControlFailure', answer.body);
    const { code } = answer.body as { code: string };
    expect(codes.get(code), `${path}: ${code}`).toBe(answer.status);
  }
});
