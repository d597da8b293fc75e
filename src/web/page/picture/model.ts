/**
 * What the picture shows, made from an overview: the machine, its links with their ways out (addresses, and the paths
 * of tunnels), the other ends, and what goes from which to which. Pure. BOUNDED: `ROWS_MAX` ways out and `PEERS_MAX`
 * other ends; how many are left out is told.
 */
import type { LinkReading, Overview, PathState } from '../../../service/observe/model.ts';

export const ROWS_MAX = 16;
export const PEERS_MAX = 14;

/** One way out of the machine. */
export interface PictureRow {
  readonly id: string;
  readonly kind: 'path' | 'tunnel';
  readonly link: string;
  readonly address: string;
  /** Of a tunnel's path. */
  readonly name?: string;
  readonly gateway?: string;
  readonly state: PathState;
  readonly why?: string;
  readonly backup: boolean;
  readonly subflows?: number;
  readonly sentBitsPerSecond: number;
  readonly receivedBitsPerSecond: number;
  readonly rttUs?: number;
  readonly lossShare?: number;
}

export interface PictureLink {
  readonly link: string;
  readonly kind?: string;
  readonly up: boolean;
  readonly rows: readonly PictureRow[];
}

export interface PicturePeer {
  readonly id: string;
  /** `more`: the other ends that are left out; `none`: there is none, which is drawn too. */
  readonly kind: 'peer' | 'tunnel' | 'more' | 'none';
  readonly name: string;
  /** The address where `name` is not the address. */
  readonly address?: string;
  readonly connections: number;
  readonly sentBitsPerSecond: number;
  readonly receivedBitsPerSecond: number;
}

/** What goes over one way out to one other end. */
export interface PictureWay {
  readonly id: string;
  readonly row: string;
  readonly peer: string;
  readonly state: PathState;
  readonly bitsPerSecond: number;
}

type Rates = Pick<PictureRow, 'sentBitsPerSecond' | 'receivedBitsPerSecond'>;

export interface Picture {
  readonly hostname: string;
  readonly links: readonly PictureLink[];
  readonly rows: readonly PictureRow[];
  readonly rowsOmitted: number;
  readonly peers: readonly PicturePeer[];
  readonly ways: readonly PictureWay[];
  /** Over all links: what the totals have, and tunnels. */
  readonly sentBitsPerSecond: number;
  readonly receivedBitsPerSecond: number;
}

/**
 * The order in which things stood stays, and what is new comes last: a picture whose boxes change places with each
 * look cannot be read.
 */
export function keepOrder<Item>(
  before: readonly string[],
  items: readonly Item[],
  key: (item: Item) => string,
): Item[] {
  const place = new Map(before.map((id, index) => [id, index]));
  const at = (item: Item) => place.get(key(item)) ?? before.length;
  return items.toSorted((a, b) => at(a) - at(b));
}

function pathRows(overview: Overview): PictureRow[] {
  return overview.paths.map((path) => ({ ...path, kind: 'path' }));
}

function tunnelRows(overview: Overview): (PictureRow & { readonly peer: string })[] {
  return overview.tunnels.flatMap(({ tunnel, connections }) =>
    connections.flatMap((connection) =>
      connection.paths.map((path) => ({
        ...path,
        id: `${tunnel}/${connection.name}/${path.name}`,
        kind: 'tunnel' as const,
        link: path.link ?? '(no link)',
        address: path.localAddress,
        backup: path.state === 'backup',
        peer: tunnelPeerId(tunnel, connection.name),
      })),
    ),
  );
}

const tunnelPeerId = (tunnel: string, connection: string) => `tunnel ${tunnel}/${connection}`;

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function tunnelPeers(overview: Overview): PicturePeer[] {
  return overview.tunnels.flatMap(({ tunnel, connections }) =>
    connections.map(({ name, paths }) => ({
      id: tunnelPeerId(tunnel, name),
      kind: 'tunnel' as const,
      name: `${tunnel}: ${name}`,
      connections: 1,
      sentBitsPerSecond: sum(paths.map((path) => path.sentBitsPerSecond)),
      receivedBitsPerSecond: sum(paths.map((path) => path.receivedBitsPerSecond)),
      ...(paths[0] && { address: paths[0].remoteAddress }),
    })),
  );
}

function hostPeers(overview: Overview): PicturePeer[] {
  return overview.peers.map((peer) => ({
    id: `peer ${peer.address}`,
    kind: 'peer',
    name: peer.name ?? peer.address,
    ...(peer.name !== undefined && { address: peer.address }),
    connections: peer.connections,
    sentBitsPerSecond: peer.sentBitsPerSecond,
    receivedBitsPerSecond: peer.receivedBitsPerSecond,
  }));
}

const placeholder = (kind: 'more' | 'none', name: string): PicturePeer => ({
  id: kind,
  kind,
  name,
  connections: 0,
  sentBitsPerSecond: 0,
  receivedBitsPerSecond: 0,
});

/** When there are too many, those that need a look come before those that are idle. */
function choose(rows: readonly PictureRow[]): PictureRow[] {
  if (rows.length <= ROWS_MAX) return [...rows];
  const weight = (row: PictureRow) =>
    (row.subflows ?? 1) > 0 || row.sentBitsPerSecond + row.receivedBitsPerSecond > 0 ? 0 : 1;
  const kept = new Set(rows.toSorted((a, b) => weight(a) - weight(b)).slice(0, ROWS_MAX));
  return rows.filter((row) => kept.has(row));
}

function groupByLink(rows: readonly PictureRow[], links: readonly LinkReading[]): PictureLink[] {
  const groups = new Map<string, PictureRow[]>();
  for (const row of rows) {
    const group = groups.get(row.link);
    if (group) group.push(row);
    else groups.set(row.link, [row]);
  }
  const readings = new Map(links.map((link) => [link.link, link]));
  return [...groups].map(([link, grouped]) => {
    const reading = readings.get(link);
    const up = reading?.up ?? grouped.some((row) => row.state !== 'down');
    return reading?.kind === undefined
      ? { link, up, rows: grouped }
      : { link, kind: reading.kind, up, rows: grouped };
  });
}

/**
 * The paths of tunnels, less what the totals have of it: connections through a tunnel leave by its own link, and then
 * once more by its paths.
 */
function carriedBeside(overview: Overview, tunnels: readonly PictureRow[]): Rates[] {
  const devices = new Set(overview.tunnels.map(({ tunnel }) => tunnel));
  const inside = overview.paths.filter(({ link }) => devices.has(link));
  return [
    ...tunnels,
    ...inside.map(({ receivedBitsPerSecond, sentBitsPerSecond }) => ({
      receivedBitsPerSecond: -receivedBitsPerSecond,
      sentBitsPerSecond: -sentBitsPerSecond,
    })),
  ];
}

/** @param before the picture that is shown now, whose order is kept */
export function pictureOf(overview: Overview, before?: Picture): Picture {
  const tunnels = tunnelRows(overview);
  const chosen = choose([...pathRows(overview), ...tunnels]);
  const rows = keepOrder(before?.rows.map((row) => row.id) ?? [], chosen, (row) => row.id);
  const links = groupByLink(rows, overview.links);
  const outside = carriedBeside(overview, tunnels);

  const all = [...tunnelPeers(overview), ...hostPeers(overview)];
  const shown = all.slice(0, PEERS_MAX);
  const peers = keepOrder(before?.peers.map((peer) => peer.id) ?? [], shown, (peer) => peer.id);
  const omitted = all.length - shown.length + overview.peersOmitted;
  const placeholders: PicturePeer[] = [];
  if (omitted > 0) placeholders.push(placeholder('more', `and ${omitted.toLocaleString('en')} more`));
  if (all.length === 0 && omitted === 0) placeholders.push(placeholder('none', 'Nobody now'));

  const states = new Map(rows.map((row) => [row.id, row.state]));
  const isPeer = new Set(peers.map((peer) => peer.id));
  const way = (row: string, peer: string, bitsPerSecond: number): PictureWay[] => {
    const state = states.get(row);
    if (state === undefined || !isPeer.has(peer)) return [];
    return [{ id: `${row} > ${peer}`, row, peer, state, bitsPerSecond }];
  };
  return {
    hostname: overview.hostname,
    links,
    rows: links.flatMap((link) => link.rows),
    rowsOmitted: overview.paths.length + overview.pathsOmitted + tunnels.length - rows.length,
    peers: [...peers, ...placeholders],
    ways: [
      ...overview.peers.flatMap((peer) =>
        peer.ways.flatMap((reading) =>
          way(
            reading.path,
            `peer ${peer.address}`,
            reading.sentBitsPerSecond + reading.receivedBitsPerSecond,
          ),
        ),
      ),
      ...tunnels.flatMap((row) => way(row.id, row.peer, row.sentBitsPerSecond + row.receivedBitsPerSecond)),
    ],
    sentBitsPerSecond: overview.totals.sentBitsPerSecond + sum(outside.map((row) => row.sentBitsPerSecond)),
    receivedBitsPerSecond:
      overview.totals.receivedBitsPerSecond + sum(outside.map((row) => row.receivedBitsPerSecond)),
  };
}
