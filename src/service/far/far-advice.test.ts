import { describe, expect, it } from 'vitest';
import { laptopAdvice, publicAddress } from './far-advice.ts';
import { usualTokenFile } from './far-files.ts';

const FACTS = { address: '203.0.113.10', port: 13443, user: 'root', tokenFile: '/etc/weft/serve.token' };

describe('what to type at the laptop', () => {
  it('shows a new token on a terminal, and nowhere else', () => {
    const shown = laptopAdvice({ ...FACTS, newToken: 'SECRET', isTerminal: true }).join('\n');
    expect(shown).toContain('(umask 077; echo SECRET > weft.token)');
    expect(shown).toContain('sudo weft up --upstream weft://203.0.113.10:13443 --token-file weft.token');
    for (const facts of [
      { ...FACTS, newToken: 'SECRET', isTerminal: false },
      { ...FACTS, isTerminal: true },
    ]) {
      const text = laptopAdvice(facts).join('\n');
      expect(text).not.toContain('SECRET');
      expect(text).toContain('scp root@203.0.113.10:/etc/weft/serve.token weft.token && sudo weft up');
    }
  });

  it('names the address that others can reach', () => {
    const any = [{ address: '::', port: 1 }];
    const own = ['127.0.0.1', '::1', 'fe80::1', '10.0.0.5', '2001:db8::7', '203.0.113.10'];
    expect(publicAddress(any, own, 'vps')).toBe('203.0.113.10');
    expect(publicAddress(any, own.slice(0, 5), 'vps')).toBe('2001:db8::7');
    expect(publicAddress(any, own.slice(0, 4), 'vps')).toBe('vps');
    expect(publicAddress([{ address: '192.0.2.1', port: 1 }], own, 'vps')).toBe('192.0.2.1');
    expect(laptopAdvice({ ...FACTS, address: '2001:db8::7', isTerminal: false })[0]).toContain(
      'scp root@[2001:db8::7]:/etc/weft/serve.token weft.token && sudo weft up --upstream weft://[2001:db8::7]:13443',
    );
  });
});

it('tokens are where configuration is', () => {
  expect(usualTokenFile(0, {}, '/root')).toBe('/etc/weft/serve.token');
  expect(usualTokenFile(1000, {}, '/home/ann')).toBe('/home/ann/.config/weft/serve.token');
  expect(usualTokenFile(1000, { XDG_CONFIG_HOME: '/c' }, '/home/ann')).toBe('/c/weft/serve.token');
});
