import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AF_INET, AF_INET6 } from '../../base/index.ts';
import {
  judgeByRules,
  matchesPattern,
  needMetrics,
  parseMetricTest,
  type InterfaceRule,
  type RuleSubject,
} from './interface-rules.ts';

describe('matchesPattern', () => {
  it.each([
    ['eth0', 'eth0', true],
    ['eth0', 'eth01', false],
    ['eth*', 'eth', true],
    ['eth*', 'eth0.100', true],
    ['*', '', true],
    ['*0', 'eth10', true],
    ['*0*1', 'a0b0c1', true],
    ['wl?', 'wl0', true],
    ['wl?', 'wl', false],
    ['en[op]*', 'eno1', true],
    ['en[op]*', 'ens1', false],
    ['en[!op]*', 'ens1', true],
    ['en[a-f]0', 'end0', true],
    ['a[]]b', 'a]b', true],
    ['a[b', 'a[b', true],
    ['docker.', 'docker0', false],
    ['(x)+', '(x)+', true],
  ])('%s and "%s": %s', (pattern, name, expected) => {
    expect(matchesPattern(pattern, name)).toBe(expected);
  });

  it('is what a regular expression says, for stars and question marks', () => {
    const letters = (...signs: readonly string[]) =>
      fc.array(fc.constantFrom(...signs), { maxLength: 12 }).map((list) => list.join(''));
    fc.assert(
      fc.property(letters('a', 'b', '*', '?'), letters('a', 'b'), (pattern, name) => {
        const body = pattern.replaceAll('*', '.*').replaceAll('?', '.');
        expect(matchesPattern(pattern, name)).toBe(new RegExp(`^${body}$`).test(name));
      }),
    );
  });

  it('takes no long time over any pattern', () => {
    expect(matchesPattern(`${'*a'.repeat(5000)}b`, 'a'.repeat(5000))).toBe(false);
  });
});

describe('parseMetricTest', () => {
  it.each([
    ['>600', { is: '>', value: 600 }],
    [' <= 100 ', { is: '<=', value: 100 }],
    ['>=0', { is: '>=', value: 0 }],
    ['600', { is: '=', value: 600 }],
    ['4294967295', { is: '=', value: 4294967295 }],
    ['4294967296', undefined],
    ['> -1', undefined],
    ['=>5', undefined],
    ['', undefined],
    ['1.5', undefined],
  ])('"%s"', (text, expected) => {
    expect(parseMetricTest(text)).toEqual(expected);
  });
});

const about = (name: string, more: Partial<RuleSubject> = {}): RuleSubject => ({
  name,
  family: AF_INET,
  ...more,
});

describe('judgeByRules', () => {
  it('uses everything, with no flags of its own, without rules', () => {
    expect(judgeByRules([], about('eth0'))).toEqual({ use: true });
  });

  it('the first rule that matches and answers decides, for each question alone', () => {
    const rules: InterfaceRule[] = [
      { interface: 'wl*', flags: 6 },
      { interface: 'wlan1', use: false },
      { interface: 'w*', use: true, flags: 2 },
      { interface: '*', use: false },
    ];
    expect(judgeByRules(rules, about('wlan0'))).toEqual({ use: true, flags: 6, by: '[interface w*]' });
    expect(judgeByRules(rules, about('wlan1'))).toEqual({ use: false, flags: 6, by: '[interface wlan1]' });
    expect(judgeByRules(rules, about('eth0'))).toEqual({ use: false, by: '[interface *]' });
  });

  it('has flags for each family before flags for both, within one rule', () => {
    const rules: InterfaceRule[] = [
      { interface: 'a', flags: 2, flags6: 0 },
      { interface: 'b', flags4: 3 },
      { interface: '*', flags: 7 },
    ];
    const flags = (name: string, family: typeof AF_INET | typeof AF_INET6) =>
      judgeByRules(rules, about(name, { family })).flags;
    expect([flags('a', AF_INET), flags('a', AF_INET6)]).toEqual([2, 0]);
    expect([flags('b', AF_INET), flags('b', AF_INET6)]).toEqual([3, 7]);
  });

  it('knows kinds, and hardware as the kind of what has none', () => {
    const rules: InterfaceRule[] = [
      { kind: 'veth', use: false },
      { kind: 'hardware', flags: 4 },
    ];
    expect(judgeByRules(rules, about('x', { kind: 'veth' })).use).toBe(false);
    expect(judgeByRules(rules, about('x', { kind: 'bridge' }))).toEqual({ use: true });
    expect(judgeByRules(rules, about('x')).flags).toBe(4);
  });

  it.each([
    ['>600', [600, false], [601, true]],
    ['>=600', [599, false], [600, true]],
    ['<600', [600, false], [599, true]],
    ['<=600', [601, false], [600, true]],
    ['=600', [601, false], [600, true]],
  ] as const)('metric %s', (text, [no], [yes]) => {
    const rules: InterfaceRule[] = [{ metric: parseMetricTest(text)!, flags: 4 }];
    expect(judgeByRules(rules, about('x', { metric: no })).flags).toBeUndefined();
    expect(judgeByRules(rules, about('x', { metric: yes })).flags).toBe(4);
    // Without a default route there is no metric to compare.
    expect(judgeByRules(rules, about('x')).flags).toBeUndefined();
  });

  it('takes all conditions of one rule together', () => {
    const rules: InterfaceRule[] = [{ interface: 'e*', kind: 'veth', use: false }];
    expect(judgeByRules(rules, about('e1', { kind: 'veth' })).use).toBe(false);
    expect(judgeByRules(rules, about('e1')).use).toBe(true);
    expect(judgeByRules(rules, about('x1', { kind: 'veth' })).use).toBe(true);
  });

  it('asks for metrics only where a rule does', () => {
    expect(needMetrics([{ interface: '*', use: false }])).toBe(false);
    expect(needMetrics([{ metric: { is: '>', value: 1 }, use: false }])).toBe(true);
  });
});
