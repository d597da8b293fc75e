/**
 * Kernel settings below /proc/sys/net that a program changes and puts back: which ones make links forward packets,
 * and their owner, who remembers what they were.
 *
 * IPv4 is switched on for the links that are named, and no others. IPv6 has that since Linux 6.17
 * (`force_forwarding`); before, it is a matter of the whole host (`conf/all/forwarding`), which makes links stop
 * listening to router advertisements and drop the default routes they brought, unless `accept_ra` is 2: that is set
 * first.
 *
 * Invariant: a setting is put back only while it still has the value that was set here; every change stands in the
 * ledger before it is made.
 *
 * References: Documentation/networking/ip-sysctl.rst.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorText } from '../base/errors.ts';
import { inNamespace } from './namespace.ts';

const SYS_NET = '/proc/sys/net';

/** A kernel setting that was changed. */
export interface OwnedSetting {
  /** Below /proc/sys/net, such as `ipv4/conf/eth1/forwarding`. */
  readonly name: string;
  readonly former: string;
  readonly set: string;
}

export interface WantedSetting {
  readonly name: string;
  readonly value: string;
}

/** The record of what was changed, in the order in which it was; what `setSettings` throws keeps a change from being made. */
export interface SettingsLedger {
  readonly settings: readonly OwnedSetting[];
  setSettings(settings: readonly OwnedSetting[]): void;
}

/** Settings that make links forward; a record with any other name was not written by this program. */
const SETTING = /^(ipv4|ipv6)\/conf\/(?!\.{1,2}\/)[^/\s]{1,15}\/(forwarding|force_forwarding|accept_ra)$/;

/** One entry of a record that was read from a file; `undefined` when it is none (pure). */
export function parseOwnedSetting(value: unknown): OwnedSetting | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { former, name, set } = value as Partial<Record<keyof OwnedSetting, unknown>>;
  if (typeof name !== 'string' || !SETTING.test(name)) return undefined;
  if (typeof former !== 'string' || !/^-?\d{1,10}$/.test(former)) return undefined;
  return typeof set === 'string' && /^-?\d{1,10}$/.test(set) ? { name, former, set } : undefined;
}

/** The value of a setting of this thread's network namespace; `undefined`: there is no such setting now. */
export function readNetworkSetting(name: string): string | undefined {
  try {
    return readFileSync(join(SYS_NET, name), 'utf8').trim();
  } catch {
    return undefined;
  }
}

function write(name: string, value: string): void {
  writeFileSync(join(SYS_NET, name), value);
}

function listLinks(): string[] {
  try {
    return readdirSync(join(SYS_NET, 'ipv6/conf')).filter((name) => name !== 'all' && name !== 'default');
  } catch {
    return [];
  }
}

const canForce = (link: string) => existsSync(join(SYS_NET, `ipv6/conf/${link}/force_forwarding`));

/** Links between which packets have to pass, by IP version. */
export interface ForwardingChoice {
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
}

/** Called with a setting that could not be written, and why. */
export type SettingProblem = (doing: string, error: string) => void;

export interface ForwardingSettingsOptions {
  /** File of the network namespace; default is this thread's own. */
  readonly netns?: string;
  /** `false`: IPv6 as on kernels before 6.17, whatever this one has. */
  readonly usesForce?: boolean;
}

export class ForwardingSettings {
  readonly #ledger: SettingsLedger;
  readonly #netns: string | undefined;
  readonly #usesForce: boolean;

  /** Nothing happens before `apply`. */
  constructor(ledger: SettingsLedger, options: ForwardingSettingsOptions = {}) {
    this.#ledger = ledger;
    this.#netns = options.netns;
    this.#usesForce = options.usesForce ?? true;
  }

  /**
   * Switches on what is missing and puts back what is not wanted any more, also what a killed process left.
   * @param onProblem is told what could not be written
   * @throws what the ledger throws, before anything has changed
   */
  apply(choice: ForwardingChoice, onProblem: SettingProblem): void {
    const work = () => this.#apply(choice, onProblem);
    if (this.#netns === undefined) work();
    else inNamespace(this.#netns, work);
  }

  #apply(choice: ForwardingChoice, onProblem: SettingProblem): void {
    const wanted = this.#wanted(choice);
    this.#restore(new Set(wanted.map(({ name }) => name)), onProblem);
    for (const setting of wanted) this.#set(setting, onProblem);
  }

  /** In the order in which they are to be set. */
  #wanted({ ipv4, ipv6 }: ForwardingChoice): WantedSetting[] {
    const wanted = ipv4.map((link) => ({ name: `ipv4/conf/${link}/forwarding`, value: '1' }));
    if (ipv6.length === 0) return wanted;
    const owned = new Set(this.#ledger.settings.map(({ name }) => name));
    const all = 'ipv6/conf/all/forwarding';
    // Where the whole host forwards already, and not because of this program, nothing has to be done.
    if (!owned.has(all) && readNetworkSetting(all) === '1') return wanted;
    if (this.#usesForce && ipv6.every(canForce)) {
      return [...wanted, ...ipv6.map((link) => ({ name: `ipv6/conf/${link}/force_forwarding`, value: '1' }))];
    }
    for (const link of listLinks()) {
      const name = `ipv6/conf/${link}/accept_ra`;
      if (owned.has(name) || readNetworkSetting(name) === '1') wanted.push({ name, value: '2' });
    }
    for (const link of listLinks()) {
      // Switching "all" off at the end switches every link off, so those that are on before are remembered.
      const name = `ipv6/conf/${link}/forwarding`;
      const before = this.#ledger.settings.find((setting) => setting.name === name);
      if (before === undefined ? !owned.has(all) && readNetworkSetting(name) === '1' : true) {
        wanted.push({ name, value: '1' });
      }
    }
    return [...wanted, { name: all, value: '1' }];
  }

  #set({ name, value }: WantedSetting, onProblem: SettingProblem): void {
    const former = readNetworkSetting(name);
    // No such link, or a kernel without that IP version: a change of the links brings the next try.
    if (former === undefined) return;
    const owned = this.#ledger.settings;
    const isOwned = owned.some((setting) => setting.name === name);
    const isRemembered = name.startsWith('ipv6/conf/') && name.endsWith('/forwarding');
    if (former === value && (isOwned || !isRemembered)) return;
    if (!isOwned) this.#ledger.setSettings([...owned, { name, former, set: value }]);
    try {
      if (former !== value) write(name, value);
    } catch (error) {
      if (!isOwned) this.#ledger.setSettings(owned);
      onProblem(`set net.${name.replaceAll('/', '.')} to ${value}`, errorText(error));
    }
  }

  /** Everything that is owned and not in `kept`, in the order opposite to that of setting. */
  #restore(kept: ReadonlySet<string>, onProblem: SettingProblem): void {
    const owned = this.#ledger.settings;
    const obsolete = owned.filter((setting) => !kept.has(setting.name));
    if (obsolete.length === 0) return;
    // Judged before anything is written: writing "all" changes the others.
    const mine = obsolete.filter((setting) => readNetworkSetting(setting.name) === setting.set);
    for (const setting of mine.toReversed()) {
      try {
        if (readNetworkSetting(setting.name) !== setting.former) write(setting.name, setting.former);
      } catch (error) {
        onProblem(`put net.${setting.name.replaceAll('/', '.')} back to ${setting.former}`, errorText(error));
      }
    }
    this.#ledger.setSettings(owned.filter((setting) => kept.has(setting.name)));
  }
}
