/** Which gateway and which own address a path has, from a host's links. */
import { describe, expect, it } from 'vitest';
import { AF_INET, AF_INET6, isIpv6 } from '../../base/index.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_TEMPORARY,
  IFA_F_TENTATIVE,
  IFF_POINTOPOINT,
  IFF_RUNNING,
  IFF_UP,
} from '../../netlink/index.ts';
import { findGateway, findsWayAlone } from './gateway.ts';
import { LinkView } from './link-view.ts';
import { pathLocalAddress } from './local-address.ts';

const link = (index: number, name: string, flags = IFF_UP | IFF_RUNNING) => ({
  index,
  name,
  flags,
  hardwareType: 1,
  mtuBytes: 1500,
  operationalState: 6,
});

const address = (linkIndex: number, text: string, flags = 0) => {
  const [own = '', length = ''] = text.split('/');
  const family: 2 | 10 = isIpv6(own) ? AF_INET6 : AF_INET;
  return { linkIndex, family, address: own, prefixLength: Number(length), scope: 0, flags };
};

const view = new LinkView(
  [
    link(1, 'lo'),
    link(2, 'eth0'),
    link(3, 'ppp0', IFF_UP | IFF_RUNNING | IFF_POINTOPOINT),
    link(4, 'eth1', IFF_UP),
    link(5, 'eth2', IFF_RUNNING),
  ],
  [
    address(1, '127.0.0.1/8'),
    address(2, '10.1.1.2/24'),
    address(2, '10.1.1.3/24', 1),
    address(2, 'fe80::2/64'),
    address(2, '2001:db8::7/64', IFA_F_TENTATIVE),
    address(2, '2001:db8::8/64', IFA_F_DADFAILED),
    address(2, '2001:db8::9/64', IFA_F_DEPRECATED),
    address(2, '2001:db8::a/64', IFA_F_TEMPORARY),
    address(2, '2001:db8::b/64'),
    address(3, '100.64.0.9/32'),
    address(4, 'fe80::4/64'),
  ],
);

const path = (change: object = {}) => ({
  ipVersion: 4 as const,
  interfaceName: 'eth0',
  gatewayAddress: '0.0.0.0',
  privateAddress: '0.0.0.0',
  remoteAddress: '203.0.113.5',
  ...change,
});

describe('links', () => {
  it('are up, and run, as their flags say', () => {
    expect(view.links.map(({ isRunning, isUp, name }) => [name, isUp, isRunning])).toEqual([
      ['lo', true, true],
      ['eth0', true, true],
      ['ppp0', true, true],
      ['eth1', true, false],
      // Some drivers leave the bit when the link is switched off.
      ['eth2', false, false],
    ]);
    expect(view.link('eth9')).toBeUndefined();
    expect(view.linkOfAddress('10.1.1.3')?.name).toBe('eth0');
  });
});

describe('the own address', () => {
  it.each([
    ['the configured one', { privateAddress: '10.1.1.3' }, '10.1.1.3', true],
    ['a configured one that is not there', { privateAddress: '10.1.1.4' }, '10.1.1.4', false],
    ['the first of the interface', {}, '10.1.1.2', true],
    ['none of a link without', { interfaceName: 'eth1' }, '0.0.0.0', false],
    ['none without the link', { interfaceName: 'eth9' }, '0.0.0.0', false],
    ['the stable global IPv6 one', { ipVersion: 6, privateAddress: '::' }, '2001:db8::b', true],
    ['a link-local one', { ipVersion: 6, privateAddress: '::', interfaceName: 'eth1' }, 'fe80::4', true],
  ])('is %s', (_what, change, text, isPresent) => {
    expect(pathLocalAddress(path(change), view)).toEqual({ address: text, isPresent });
  });
});

describe('the gateway', () => {
  it.each([
    ['configured', { gatewayAddress: '10.1.1.1' }, '10.9.9.9', '10.1.1.1', 'configured'],
    [
      'none: the own address is configured',
      { gatewayAddress: '10.1.1.2' },
      '10.9.9.9',
      undefined,
      'configured',
    ],
    ['none: another own one is', { gatewayAddress: '10.1.1.3' }, undefined, undefined, 'configured'],
    ['none: the remote is on the link', { remoteAddress: '10.1.1.77' }, '10.1.1.1', undefined, 'on-link'],
    ['the default route’s', {}, '10.1.1.254', '10.1.1.254', 'default-route'],
    ['none of a point-to-point link', { interfaceName: 'ppp0' }, undefined, undefined, 'point-to-point'],
    ['the first host of the subnet', {}, undefined, '10.1.1.1', 'subnet'],
    ['not known of a link without addresses', { interfaceName: 'eth1' }, undefined, undefined, 'none'],
    ['not known without the link', { interfaceName: 'eth9' }, undefined, undefined, 'none'],
  ])('is %s', (_what, change, defaultGateway, gateway, source) => {
    const chosen = path(change);
    const found = findGateway(chosen, view.link(chosen.interfaceName), '10.1.1.2', defaultGateway);
    expect([found.gateway, found.source]).toEqual([gateway, source]);
    expect(found.shown).toBe(gateway ?? ('gatewayAddress' in change ? change.gatewayAddress : '10.1.1.2'));
  });

  it.each([
    ['directly', undefined, undefined, true],
    ['directly, though there is a default route', undefined, '10.1.1.1', true],
    ['by the gateway of the default route', '10.1.1.1', '10.1.1.1', true],
    ['not by another one', '10.1.1.9', '10.1.1.1', false],
    ['not by one where there is no default route', '10.1.1.9', undefined, false],
  ])('is found without a route %s: %s', (_what, gateway, defaultGateway, expected) => {
    const found = { source: 'configured', shown: '', ...(gateway !== undefined && { gateway }) } as const;
    expect(findsWayAlone(found, defaultGateway)).toBe(expected);
  });

  it('is not the host itself where that is the first of its subnet', () => {
    const first = new LinkView([link(2, 'eth0')], [address(2, '10.1.1.1/24')]);
    expect(findGateway(path(), first.link('eth0'), '10.1.1.1', undefined).source).toBe('none');
  });
});
