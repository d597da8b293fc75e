/** What must never become an attribute. The rest of dom.ts needs a document and is held by the tests of the page. */
import { expect, it } from 'vitest';
import { setAttribute } from './dom.ts';

class FakeElement {
  readonly attributes = new Map<string, string>();

  getAttribute(name: string): string | null {
    return this.attributes.get(name) ?? null;
  }

  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }

  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }
}

function set(name: string, value: Parameters<typeof setAttribute>[2]): string | undefined {
  const element = new FakeElement();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  setAttribute(element as unknown as Element, name, value);
  return element.attributes.get(name);
}

it('refuses what could run something, style something or lead elsewhere', () => {
  for (const [name, value] of [
    ['onclick', 'alert(1)'],
    ['OnError', 'alert(1)'],
    ['style', 'color: red'],
    ['srcdoc', '<script>'],
    ['href', 'javascript:alert(1)'],
    ['href', 'https://example.org/'],
    ['href', '//example.org/'],
    ['href', '/\\example.org/'],
    ['href', '/\t/example.org/'],
    ['xlink:href', 'https://example.org/'],
    ['formaction', 'https://example.org/'],
    ['src', 'data:text/html,x'],
    ['action', ''],
  ] as const) {
    expect(() => set(name, value), `${name}=${value}`).toThrow(`attribute "${name}" is not set here`);
  }
  expect(set('href', '#why')).toBe('#why');
  expect(set('href', '/v1/openapi.json')).toBe('/v1/openapi.json');
});

it('true and false are words for assistive technology, and presence for the rest', () => {
  expect([set('aria-pressed', false), set('aria-pressed', true)]).toEqual(['false', 'true']);
  expect([set('disabled', false), set('disabled', true), set('hidden', undefined)]).toEqual([
    undefined,
    '',
    undefined,
  ]);
});
