import { describe, expect, it } from 'vitest';
import { optionWords, parseBackend, withoutSecrets } from './up-options.ts';

describe('the words of the command line', () => {
  it('are handed on without what only says how to start', () => {
    expect(optionWords(['--background', '--backup', 'lte0'])).toEqual(['--backup', 'lte0']);
  });

  it.each([
    ['http://ann:secret@proxy:3128', 'http://ann:…@proxy:3128'],
    ['--upstream=socks5://ann:s:e@proxy:1', '--upstream=socks5://ann:…@proxy:1'],
    ['weft://vps.example:443', 'weft://vps.example:443'],
    ['127.0.0.1:13128', '127.0.0.1:13128'],
    ['http://[::1]:3128/a@b', 'http://[::1]:3128/a@b'],
  ])('are recorded without passwords: %s', (word, recorded) => {
    expect(withoutSecrets([word])).toEqual([recorded]);
  });
});

it('a backend that there is none of is a mistake, with the nearest', () => {
  expect(parseBackend('appliance')).toBe('appliance');
  expect(() => parseBackend('natve')).toThrow(/auto, native, appliance \(did you mean "native"\?\)/);
});
