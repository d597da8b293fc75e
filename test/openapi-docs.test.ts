/**
 * docs/openapi.json says what the tables of calls and the types say. WEFT_UPDATE_DOCS=1 writes it anew. Real answers are
 * held against it in openapi.test.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { format } from 'prettier';
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
