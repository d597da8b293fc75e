/**
 * What the appliance has on the host that the kernel does not take away with the process (types, and the check of what
 * a file holds; pure). Written down before it is made, so that the next start or stop finds what a killed process
 * left. Who keeps the record on disk: src/service/appliance.
 *
 * Not in the record: TAP links, which end with QEMU, and rules and routes, which are known by their numbers.
 */
import { parseOwnedSetting, type OwnedSetting } from '../../native/index.ts';

export interface ApplianceRecord {
  /** UUIDs of QEMU processes that were started, or were about to be. */
  readonly machines: readonly string[];
  /** In the order in which they were set. */
  readonly settings: readonly OwnedSetting[];
  /** The table of nftables was made, or was about to be. */
  readonly firewall: boolean;
}

export const EMPTY_APPLIANCE_RECORD: ApplianceRecord = { machines: [], settings: [], firewall: false };

/**
 * Where the record is kept. `save` replaces it as a whole, and removes it when nothing is owned; what it throws keeps
 * the change from being made.
 */
export interface ApplianceJournal {
  load(): ApplianceRecord;
  save(record: ApplianceRecord): void;
}

/** BOUNDED: entries that are believed. */
const ENTRIES_MAX = 1000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function allOf<T>(value: unknown, parse: (item: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(value) || value.length > ENTRIES_MAX) return undefined;
  const items = (value as unknown[]).map(parse);
  return items.every((item) => item !== undefined) ? items : undefined;
}

/** The record that a file's JSON holds; `undefined` when it is none. */
export function parseApplianceRecord(value: unknown): ApplianceRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { firewall, machines, settings } = value as Partial<Record<keyof ApplianceRecord, unknown>>;
  const uuids = allOf(machines, (item) => (typeof item === 'string' && UUID.test(item) ? item : undefined));
  const owned = allOf(settings, parseOwnedSetting);
  if (uuids === undefined || owned === undefined || typeof firewall !== 'boolean') return undefined;
  return { machines: uuids, settings: owned, firewall };
}

/** The record in memory, of which each owner writes its own part. */
export class ApplianceLedger {
  readonly #journal: ApplianceJournal;
  #record: ApplianceRecord;

  constructor(journal: ApplianceJournal) {
    this.#journal = journal;
    this.#record = journal.load();
  }

  get machines(): readonly string[] {
    return this.#record.machines;
  }

  get settings(): readonly OwnedSetting[] {
    return this.#record.settings;
  }

  get firewall(): boolean {
    return this.#record.firewall;
  }

  /** @throws what the journal throws; the record is as before then. So for all of these. */
  setSettings(settings: readonly OwnedSetting[]): void {
    this.#save({ ...this.#record, settings });
  }

  setMachines(machines: readonly string[]): void {
    this.#save({ ...this.#record, machines });
  }

  setFirewall(firewall: boolean): void {
    if (firewall !== this.#record.firewall) this.#save({ ...this.#record, firewall });
  }

  #save(record: ApplianceRecord): void {
    this.#journal.save(record);
    this.#record = record;
  }
}
