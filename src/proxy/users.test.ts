import { beforeAll, describe, expect, it } from 'vitest';
import type { UserSettings } from './policy/types.ts';
import { Users } from './users.ts';
import { formatVerifier, hashPassword, isPassword, parseVerifier, type Verifier } from './users-verifier.ts';

function verifierOf(text: string): Verifier {
  const parsed = parseVerifier(text);
  if ('reason' in parsed) throw new Error(parsed.reason);
  return parsed;
}

describe('verifiers', () => {
  it('know their password and no other', async () => {
    const [one, two] = await Promise.all([hashPassword('secret ü'), hashPassword('secret ü')]);
    expect(one).not.toBe(two);
    expect(one).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$/);
    const verifier = verifierOf(one);
    expect(formatVerifier(verifier)).toBe(one);
    expect(await isPassword(verifier, 'secret ü')).toBe(true);
    expect(await isPassword(verifier, 'secret u')).toBe(false);
    expect(await isPassword(verifier, '')).toBe(false);
  });

  it('of RFC 7914 section 12 are read', async () => {
    // N = 1024, r = 8, p = 16 is beyond what is allowed; the vector of N = 16384, r = 8, p = 1 is not.
    const digest = Buffer.from(
      '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2' +
        'd5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
      'hex',
    );
    const salt = Buffer.from('SodiumChloride');
    const text = formatVerifier({ logCost: 14, blockSize: 8, parallel: 1, salt, digest });
    expect(await isPassword(verifierOf(text), 'pleaseletmein')).toBe(true);
  });

  const form = (cost: string) => `$scrypt$${cost}$c2FsdHNhbHRzYWx0$${'A'.repeat(43)}`;
  it.each([
    'secret',
    '',
    '$2b$10$abcdefghijklmnopqrstuv',
    form('ln=9,r=8,p=1'),
    form('ln=17,r=8,p=1'),
    form('ln=14,r=0,p=1'),
    form('ln=14,r=8,p=5'),
    `${form('ln=14,r=8,p=1')}\n`,
  ])('refuses %j', (text) => {
    const parsed = parseVerifier(text);
    expect(parsed).toHaveProperty('reason');
    if (text.length > 3) expect((parsed as { reason: string }).reason).not.toContain(text);
  });
});

describe('Users', () => {
  let verifiers: ReadonlyMap<string, UserSettings>;
  let nowMs = 0;
  beforeAll(async () => {
    const cheap = async (password: string) => {
      // As costly as is allowed at least, so that the test is quick.
      const salt = Buffer.alloc(16, 1);
      const verifier = { logCost: 10, blockSize: 1, parallel: 1, salt };
      const { scryptSync } = await import('node:crypto');
      const digest = scryptSync(password, salt, 32, { N: 1024, r: 1, p: 1 });
      return { password: formatVerifier({ ...verifier, digest }) };
    };
    verifiers = new Map([
      ['ann', await cheap('right')],
      ['bob', await cheap('other')],
    ]);
  });

  const make = (users = () => verifiers) => new Users({ users, nowMs: () => nowMs });

  it('asks nobody where there are none', () => {
    expect(make(() => new Map()).required).toBe(false);
    expect(make().required).toBe(true);
  });

  it('accepts who knows the password, at once from the second time on', async () => {
    const users = make();
    expect(await users.check('127.0.0.1', 'ann', 'right')).toEqual({ kind: 'accepted', user: 'ann' });
    expect(users.check('127.0.0.1', 'ann', 'right')).toEqual({ kind: 'accepted', user: 'ann' });
    expect(await users.check('127.0.0.1', 'ann', 'other')).toEqual({ kind: 'wrong' });
    expect(await users.check('127.0.0.1', 'carl', 'right')).toEqual({ kind: 'wrong' });
    expect(await users.check('127.0.0.1', '', '')).toEqual({ kind: 'wrong' });
  });

  it('checks the same pair once for all who wait', async () => {
    const users = make();
    const checks = Array.from({ length: 100 }, () => users.check('127.0.0.1', 'ann', 'right'));
    expect(new Set(checks).size).toBe(1);
    for (const verdict of checks) expect((await verdict).kind).toBe('accepted');
  });

  it('slows who guesses, and nobody else', async () => {
    const users = make();
    const kinds: string[] = [];
    for (let i = 0; i < 15; i++) kinds.push((await users.check('10.0.0.1', 'ann', `guess ${i}`)).kind);
    expect(kinds.slice(0, 10)).toEqual(Array(10).fill('wrong'));
    expect(kinds.slice(10)).toEqual(Array(5).fill('slowed'));
    // The right one is not told from a wrong one either.
    expect(await users.check('10.0.0.1', 'ann', 'right')).toEqual({ kind: 'slowed', waitMs: 6000 });
    expect((await users.check('10.0.0.2', 'ann', 'right')).kind).toBe('accepted');
    expect((await users.check('10.0.0.1', 'bob', 'other')).kind).toBe('accepted');
    nowMs += 6000;
    expect((await users.check('10.0.0.1', 'ann', 'right')).kind).toBe('accepted');
  });

  it('slows an address that tries many users', async () => {
    const users = make();
    const kinds: string[] = [];
    for (let i = 0; i < 40; i++) kinds.push((await users.check('2001:db8::1', `user ${i}`, 'x')).kind);
    expect(kinds.filter((kind) => kind === 'wrong')).toHaveLength(30);
    // Another address of the same /64 is the same client.
    expect((await users.check('2001:db8::2', 'ann', 'right')).kind).toBe('slowed');
  });

  it('does not slow a program that repeats an old password', async () => {
    const users = make();
    for (let i = 0; i < 1000; i++) {
      expect((await users.check('127.0.0.1', 'ann', 'old')).kind).toBe('wrong');
    }
    expect((await users.check('127.0.0.1', 'ann', 'right')).kind).toBe('accepted');
  });

  it('forgets nothing wrongly when the rules change', async () => {
    let current = verifiers;
    const users = make(() => current);
    expect((await users.check('127.0.0.1', 'ann', 'right')).kind).toBe('accepted');
    current = new Map([['ann', verifiers.get('bob')!]]);
    expect((await users.check('127.0.0.1', 'ann', 'right')).kind).toBe('wrong');
    expect((await users.check('127.0.0.1', 'ann', 'other')).kind).toBe('accepted');
    current = new Map([['bob', verifiers.get('bob')!]]);
    expect((await users.check('127.0.0.1', 'ann', 'other')).kind).toBe('wrong');
  });
});
