import { describe, expect, it } from 'vitest';
import { route } from '../../../test/support/model-host.ts';
import { AF_INET, AF_INET6 } from '../../base/index.ts';
import { isDefaultRouteOf, probeOf } from './default-route.ts';

const viaGateway = { gateway: '10.0.0.254' };
const bothLinks = { nextHops: [{ linkIndex: 2 }, { linkIndex: 3 }] };

describe('isDefaultRouteOf', () => {
  it.each([
    ['through a gateway', route('default', 2, viaGateway), true],
    ['on the link itself', route('default', 2), true],
    ['written as a prefix of no length', route('0.0.0.0/0', 2), true],
    ['of another link, which routes of no link give', route('default', 3, viaGateway), false],
    ['half of all addresses', route('128.0.0.0/1', 2, viaGateway), false],
    ['unreachable', route('default', 2, { type: 7 }), false],
  ])('%s', (_, found, expected) => {
    expect(isDefaultRouteOf(found, 2)).toBe(expected);
  });

  it('of several links at once', () => {
    const { linkIndex: _, ...found } = route('default', 0, bothLinks);
    expect(isDefaultRouteOf(found, 3)).toBe(true);
    expect(isDefaultRouteOf(found, 4)).toBe(false);
  });
});

it('asks for documentation addresses, as mptcpd', () => {
  expect([probeOf(AF_INET), probeOf(AF_INET6)]).toEqual(['192.0.2.1', '2001:db8::']);
});
