import { describe, expect, it } from 'vitest';
import { deriveTokenKey, makeToken, parseTokenFile } from './token.ts';

describe('tokens', () => {
  it('make a key and an identity that do not contain one another, always the same', () => {
    const token = 'an-example-of-a-token-of-some-length';
    const { identity, key } = deriveTokenKey(token);
    // Computed with Python's hmac: RFC 5869, salt "weft serve 1", infos "identity" and "key".
    expect(identity).toBe(EXAMPLE.identity);
    expect(key.toString('hex')).toBe(EXAMPLE.key);
    expect(deriveTokenKey(`${token}x`).identity).not.toBe(identity);
  });

  it('are made long and different', () => {
    const tokens = new Set(Array.from({ length: 100 }, makeToken));
    expect(tokens.size).toBe(100);
    for (const token of tokens) expect(token).toMatch(/^[\w-]{43}$/);
  });

  it('stand one a line in a file', () => {
    const [a, b] = [makeToken(), makeToken()];
    expect(parseTokenFile(`${a}\n`)).toEqual([{ name: 'token 1', token: a }]);
    expect(parseTokenFile(`# whose\r\nlaptop  ${a} # Ann's\n\n${b}`)).toEqual([
      { name: 'laptop', token: a },
      { name: 'token 2', token: b },
    ]);
  });

  it.each([
    ['', /no token/],
    ['# nothing', /no token/],
    ['short', /line 1: the token is too short/],
    [`a b ${'x'.repeat(30)}`, /line 1: expected/],
    [`na/me ${'x'.repeat(30)}`, /line 1: a name/],
    [`${'x'.repeat(30)}\n${'x'.repeat(30)}`, /line 2: this name or token was there/],
    ['ü'.repeat(30), /letters, digits and signs/],
    ['x'.repeat(600), /at most 512/],
  ])('%j is refused', (text, why) => {
    const problem = parseTokenFile(text);
    expect(problem).toMatch(why);
    expect(problem).not.toMatch(/xxxx/);
  });
});

const EXAMPLE = {
  identity: '9d852ef0bcbd03fa8892ccaded3928be',
  key: 'be16d051cad4233d802d8bf70332b4c4efe7f73c25da47112032d3480e89fd59',
} as const;
