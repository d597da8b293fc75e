/** Which routes follow from tunnels, connections, paths and networks. */
import { describe, expect, it } from 'vitest';
import type { Prefix } from '../../base/index.ts';
import { wantedRoutes, type RoutedConnection, type RoutedPath } from './plan-routes.ts';

const prefix = (text: string): Prefix => {
  const [address = '', length = ''] = text.split('/');
  return { address, length: Number(length) };
};

const TUNNEL = { name: 'tun0', linkIndex: 9, ipv4: prefix('10.0.0.2/24'), ipv6: prefix('fd00::2/64') };

const path = (change: Partial<RoutedPath> = {}): RoutedPath => ({
  interfaceName: 'eth0',
  linkIndex: 2,
  remoteAddress: '203.0.113.5',
  ...change,
});

const connection = (change: Partial<RoutedConnection> = {}): RoutedConnection => ({
  localAddress: '10.0.0.2',
  remoteAddress: '10.0.0.3',
  paths: [],
  networks: [],
  ...change,
});

const texts = (...connections: RoutedConnection[]) =>
  wantedRoutes(TUNNEL, connections).map(
    ({ destination, gateway, kind, linkName, mtuBytes, preferredSource }) =>
      `${kind} ${destination.address}/${destination.length}${gateway === undefined ? '' : ` via ${gateway}`} ${linkName}` +
      `${preferredSource === undefined ? '' : ` from ${preferredSource}`}${mtuBytes === undefined ? '' : ` mtu ${mtuBytes}`}`,
  );

const network = (destination: string, source = '192.168.1.0/24') => ({
  ipVersion: destination.includes(':') ? (6 as const) : (4 as const),
  source: prefix(source),
  destination: prefix(destination),
});

describe('wanted routes', () => {
  it('are those of the paths before those into the tunnel', () => {
    const first = connection({ paths: [path()], networks: [network('192.168.2.0/24')] });
    const second = connection({
      remoteAddress: '10.0.0.4',
      paths: [path({ remoteAddress: '203.0.113.6', gateway: '10.1.1.1', resolver: '198.51.100.53' })],
    });
    expect(texts(first, second)).toEqual([
      'path 203.0.113.5/32 eth0',
      'path 203.0.113.6/32 via 10.1.1.1 eth0',
      'resolver 198.51.100.53/32 via 10.1.1.1 eth0',
      'peer 10.0.0.3/32 tun0 from 10.0.0.2',
      'network 192.168.2.0/24 tun0 from 10.0.0.2',
      'peer 10.0.0.4/32 tun0 from 10.0.0.2',
    ]);
  });

  it('leave out paths without a link or a remote address, and a peer that is not known yet', () => {
    const { linkIndex: _gone, ...unplugged } = path();
    expect(
      texts(
        connection({
          remoteAddress: '0.0.0.0',
          paths: [unplugged, path({ remoteAddress: '0.0.0.0' }), path({ remoteAddress: '::' })],
        }),
      ),
    ).toEqual([]);
  });

  it('leave alone what a peer named and the path’s socket reaches without', () => {
    const paths = [
      path({ isLeftAlone: true, resolver: '198.51.100.53' }),
      path({ remoteAddress: '203.0.113.7' }),
    ];
    expect(texts(connection({ paths })).filter((text) => !text.startsWith('peer'))).toEqual([
      'resolver 198.51.100.53/32 eth0',
      'path 203.0.113.7/32 eth0',
    ]);
  });

  it('name none twice: two connections to one peer host share the way to it', () => {
    const both = [
      connection({ paths: [path()] }),
      connection({ remoteAddress: '10.0.0.4', paths: [path()] }),
    ];
    expect(texts(...both).filter((text) => text.startsWith('path'))).toEqual(['path 203.0.113.5/32 eth0']);
  });

  it('split the whole Internet, and cut host bits off', () => {
    expect(
      texts(connection({ networks: [network('0.0.0.0/0'), network('::/0'), network('192.168.2.77/24')] })),
    ).toEqual([
      'peer 10.0.0.3/32 tun0 from 10.0.0.2',
      'network 0.0.0.0/1 tun0 from 10.0.0.2',
      'network 128.0.0.0/1 tun0 from 10.0.0.2',
      'network ::/1 tun0',
      'network 8000::/1 tun0',
      'network 192.168.2.0/24 tun0 from 10.0.0.2',
    ]);
  });

  it('name a source only where the tunnel has the connection’s address, and an MTU where it differs', () => {
    const [own, foreign] = [
      connection({ localAddress: 'fd00::2', remoteAddress: 'fd00::3', mtuBytes: 1300 }),
      connection({ localAddress: 'fd00::9', remoteAddress: 'fd00::4' }),
    ];
    expect(texts(own, foreign)).toEqual([
      'peer fd00::3/128 tun0 from fd00::2 mtu 1300',
      'peer fd00::4/128 tun0',
    ]);
  });
});
