/** From overview to picture: order, bounds, tunnels, and what leads where. */
import { expect, it } from 'vitest';
import { aPath, aPeer, anOverview } from '../../../service/observe/test-readings.ts';
import { PEERS_MAX, pictureOf, ROWS_MAX } from './model.ts';

const WLAN = 'wlan0 192.0.2.7';
const LTE = 'lte0 198.51.100.7';

it('groups ways out by link and leads them to the other ends', () => {
  const picture = pictureOf(
    anOverview({
      paths: [aPath(WLAN), aPath(LTE, { state: 'backup' }), aPath('wlan0 2001:db8::7')],
      peers: [aPeer('203.0.113.1', [WLAN, LTE], 8e6)],
    }),
  );
  expect(picture.links.map(({ link, rows }) => [link, rows.map((row) => row.address)])).toEqual([
    ['wlan0', ['192.0.2.7', '2001:db8::7']],
    ['lte0', ['198.51.100.7']],
  ]);
  expect(picture.ways).toMatchObject([
    { row: WLAN, peer: 'peer 203.0.113.1', state: 'active', bitsPerSecond: 8e6 },
    { row: LTE, peer: 'peer 203.0.113.1', state: 'backup', bitsPerSecond: 8e6 },
  ]);
});

it('what stood somewhere stays there when the busiest change', () => {
  const first = pictureOf(anOverview({ peers: [aPeer('a', []), aPeer('b', []), aPeer('c', [])] }));
  const second = pictureOf(anOverview({ peers: [aPeer('d', []), aPeer('c', []), aPeer('a', [])] }), first);
  expect(second.peers.map((peer) => peer.name)).toEqual(['a', 'c', 'd']);
  const paths = [aPath(LTE), aPath(WLAN)];
  expect(pictureOf(anOverview({ paths }), first).rows.map((row) => row.id)).toEqual([WLAN, LTE]);
});

it('draws a bounded number, those that are used first, and tells how many are left out', () => {
  const paths = Array.from({ length: 40 }, (_, number) =>
    aPath(`eth${number} 10.0.0.${number}`, { subflows: number > 30 ? 1 : 0 }),
  );
  const peers = Array.from({ length: 40 }, (_, number) => aPeer(`192.0.2.${number}`, ['eth39 10.0.0.39']));
  const picture = pictureOf(anOverview({ paths, peers, peersOmitted: 60 }));
  expect(picture.rows).toHaveLength(ROWS_MAX);
  expect(picture.rows.filter((row) => row.subflows === 1)).toHaveLength(9);
  expect(picture.rowsOmitted).toBe(40 - ROWS_MAX);
  expect(picture.peers).toHaveLength(PEERS_MAX + 1);
  expect(picture.peers.at(-1)).toMatchObject({ kind: 'more', name: `and ${40 - PEERS_MAX + 60} more` });
  // No way leads from or to what is not drawn.
  expect(picture.ways).toHaveLength(PEERS_MAX);
});

it('a tunnel is another end, and its paths are ways out', () => {
  const way = { weight: 1, state: 'active' as const, sentBitsPerSecond: 1e6, receivedBitsPerSecond: 2e6 };
  const inside = { sentBitsPerSecond: 3e5, receivedBitsPerSecond: 5e5 };
  const quiet = anOverview();
  const picture = pictureOf(
    anOverview({
      // A connection of 7 Mbit/s beside the tunnel, and one of 0.5 Mbit/s through it.
      totals: { ...quiet.totals, sentBitsPerSecond: 3e5, receivedBitsPerSecond: 7.5e6 },
      paths: [aPath('tun0 10.0.0.1', inside)],
      tunnels: [
        {
          tunnel: 'tun0',
          connections: [
            {
              name: 'office',
              paths: [
                {
                  ...way,
                  name: 'p1',
                  link: 'wlan0',
                  localAddress: '192.0.2.7',
                  remoteAddress: '203.0.113.5',
                },
                {
                  ...way,
                  name: 'p2',
                  localAddress: '198.51.100.7',
                  remoteAddress: '203.0.113.6',
                  state: 'down',
                },
              ],
            },
          ],
        },
      ],
    }),
  );
  expect(picture.links.map(({ link, up }) => [link, up])).toEqual([
    ['tun0', true],
    ['wlan0', true],
    ['(no link)', false],
  ]);
  expect(picture).toMatchObject({ sentBitsPerSecond: 2e6, receivedBitsPerSecond: 11e6 });
  expect(pictureOf(anOverview()).peers).toMatchObject([{ kind: 'none' }]);
  expect(picture.peers).toMatchObject([{ kind: 'tunnel', name: 'tun0: office', receivedBitsPerSecond: 4e6 }]);
  expect(picture.ways.map(({ bitsPerSecond, state }) => [bitsPerSecond, state])).toEqual([
    [3e6, 'active'],
    [3e6, 'down'],
  ]);
});
