/**
 * What a tunnel has changed on the host and the kernel does not undo by itself when the process dies: routes on links
 * of others, and kernel settings. Written down before it is done, so that the next start finds what a killed process
 * left (types, and the check of what a file holds; pure). Who keeps the record on disk: src/service.
 *
 * Invariant: nothing is ever removed or put back that is not in the record.
 */
import { parseIp, type Prefix } from '../../base/index.ts';
import { parseOwnedSetting, type OwnedSetting } from '../../native/index.ts';

/** A route in the main table with protocol RTPROT_WEFT. */
export interface OwnedRoute {
  readonly destination: Prefix;
  readonly linkIndex: number;
  readonly gateway?: string;
  readonly metric: number;
}

export type { OwnedSetting };

export interface HostRecord {
  readonly routes: readonly OwnedRoute[];
  /** In the order in which they were set. */
  readonly settings: readonly OwnedSetting[];
}

export const EMPTY_RECORD: HostRecord = { routes: [], settings: [] };

/**
 * Where the record is kept. `load` answers `EMPTY_RECORD` when there is none, or it is another boot's or network
 * namespace's; `save` replaces it as a whole, and removes it when nothing is owned. Both synchronous; what `save`
 * throws keeps the change from being made.
 */
export interface HostJournal {
  load(): HostRecord;
  save(record: HostRecord): void;
}

/** A record for tests and for library users who keep none: it ends with the process. */
export class MemoryJournal implements HostJournal {
  record: HostRecord = EMPTY_RECORD;

  load(): HostRecord {
    return this.record;
  }

  save(record: HostRecord): void {
    this.record = record;
  }
}

/** BOUNDED: entries that are believed; a tunnel of 1024 connections with 20 paths has fewer. */
const ENTRIES_MAX = 65_536;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isNumber = (value: unknown, max: number): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;

function parseRoute(value: unknown): OwnedRoute | undefined {
  if (!isObject(value) || !isObject(value['destination'])) return undefined;
  const { gateway, linkIndex, metric } = value;
  const { address, length } = value['destination'];
  const bytes = typeof address === 'string' ? parseIp(address) : undefined;
  if (bytes === undefined || !isNumber(length, bytes.length * 8)) return undefined;
  if (!isNumber(linkIndex, 2 ** 31) || !isNumber(metric, 2 ** 32 - 1)) return undefined;
  const route = { destination: { address: address as string, length }, linkIndex, metric };
  if (gateway === undefined) return route;
  return typeof gateway === 'string' && parseIp(gateway) !== undefined ? { ...route, gateway } : undefined;
}

function parseAll<T>(value: unknown, parse: (item: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(value) || value.length > ENTRIES_MAX) return undefined;
  const items: T[] = [];
  for (const item of value as unknown[]) {
    const parsed = parse(item);
    if (parsed === undefined) return undefined;
    items.push(parsed);
  }
  return items;
}

/** The record that a file's JSON holds; `undefined` when it is none. */
export function parseHostRecord(value: unknown): HostRecord | undefined {
  if (!isObject(value)) return undefined;
  const routes = parseAll(value['routes'], parseRoute);
  const settings = parseAll(value['settings'], parseOwnedSetting);
  return routes === undefined || settings === undefined ? undefined : { routes, settings };
}

/** The record in memory, of which each owner writes its own part. */
export class HostLedger {
  readonly #journal: HostJournal;
  #record: HostRecord;

  constructor(journal: HostJournal) {
    this.#journal = journal;
    this.#record = journal.load();
  }

  get routes(): readonly OwnedRoute[] {
    return this.#record.routes;
  }

  get settings(): readonly OwnedSetting[] {
    return this.#record.settings;
  }

  /** @throws what the journal throws; the record is as before then */
  setRoutes(routes: readonly OwnedRoute[]): void {
    this.#save({ ...this.#record, routes });
  }

  /** @throws what the journal throws; the record is as before then */
  setSettings(settings: readonly OwnedSetting[]): void {
    this.#save({ ...this.#record, settings });
  }

  #save(record: HostRecord): void {
    this.#journal.save(record);
    this.#record = record;
  }
}
