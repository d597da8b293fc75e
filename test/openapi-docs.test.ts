/**
 * docs/openapi.json says what the tables of calls and the types say. WEFT_UPDATE_DOCS=1 writes it anew. Real answers are
 * held against it in openapi.test.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { format } from 'prettier';
import { FAILURE_STATUS } from '../src/service/control-failure.ts';
import { allCalls, openApiDocument, ROUTES } from './support/openapi.ts';

const file = fileURLToPath(new URL('../docs/openapi.json', import.meta.url));

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

it('is as the calls and the types are', async () => {
  const wanted = openApiDocument();
  if (process.env['WEFT_UPDATE_DOCS'] === '1') {
    writeFileSync(file, await format(JSON.stringify(wanted), { parser: 'json', printWidth: 110 }));
  }
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(wanted)));
});

it('has every call, and nothing that is none', () => {
  const { paths } = JSON.parse(readFileSync(file, 'utf8')) as Document;
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const calls = allCalls().map(({ call }) => `${call.method} ${call.path}`);
  const routes = ROUTES.map((path) => `GET ${path}`);
  expect(described.sort()).toEqual([...new Set([...calls, ...routes])].sort());
});

const readPage = () =>
  readFileSync(fileURLToPath(new URL('../docs/control-api.md', import.meta.url)), 'utf8');

it('the page about the control API has every call and every way to fail', () => {
  const page = readPage();
  for (const { call } of allCalls()) expect(page, call.path).toContain(call.path);
  for (const path of ROUTES) expect(page).toContain(`\`GET ${path}`);
  const codes = [...page.matchAll(/^\| (\d{3}) \| (.*) \|$/gm)].flatMap(([, status, list = '']) =>
    [...list.matchAll(/`(\w+)`/g)].map(([, code]) => [code, Number(status)] as const),
  );
  expect(Object.fromEntries(codes)).toEqual(FAILURE_STATUS);
});
