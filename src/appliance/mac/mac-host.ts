/**
 * Owner of what an appliance has on a Mac: aliases, the anchor of pf, pf's reference, the forwarding switch. Commands
 * are run by whoever is given (a real Mac, or a model of one in tests).
 *
 * Invariants: each thing is recorded before it is made; `undo` takes back exactly what the record names, of this
 * process or of one that was killed, and may be called again.
 */
import { errorText } from '../../base/index.ts';
import {
  aliasCommand,
  enablePfCommand,
  flushPfCommand,
  loadPfCommand,
  pfRules,
  readForwardingCommand,
  releasePfCommand,
  setForwardingCommand,
  unaliasCommand,
  type MacCommand,
  type MacSituation,
  type MacUplink,
} from './mac-plan.ts';
import {
  parseHardwarePorts,
  parseIfconfig,
  parsePfToken,
  parseRouteGet,
  parseRoutes,
  type HardwarePort,
} from './outputs.ts';

/** @returns what the command wrote, on both streams. @throws when it ended otherwise than with 0 */
export type RunMacCommand = (command: MacCommand) => Promise<string>;

export interface MacRecord {
  readonly aliases: readonly { readonly device: string; readonly host: string }[];
  /** The anchor was loaded, or was about to be. */
  readonly anchor: boolean;
  /** pf's references to give back. */
  readonly pfTokens: readonly string[];
  /** Forwarding was off, and was switched on. */
  readonly forwarding: boolean;
}

export const EMPTY_MAC_RECORD: MacRecord = { aliases: [], anchor: false, pfTokens: [], forwarding: false };

export interface MacJournal {
  load(): MacRecord;
  /** Returns when it is safe. */
  save(record: MacRecord): void;
}

const isText = (value: unknown): value is string => typeof value === 'string';

function isAlias(item: unknown): boolean {
  const { device, host } = (item ?? {}) as Record<string, unknown>;
  return isText(device) && /^en\d{1,3}$/.test(device) && isText(host) && /^[\d.]{7,15}$/.test(host);
}

/** Pure. `undefined`: not such a record. What it holds goes into commands, so its form is held to what they take. */
export function parseMacRecord(value: unknown): MacRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { aliases, anchor, forwarding, pfTokens } = value as Record<string, unknown>;
  const valid =
    Array.isArray(aliases) &&
    aliases.every(isAlias) &&
    Array.isArray(pfTokens) &&
    pfTokens.every((token) => isText(token) && /^\d+$/.test(token)) &&
    typeof anchor === 'boolean' &&
    typeof forwarding === 'boolean';
  return valid ? (value as MacRecord) : undefined;
}

const isEmpty = ({ aliases, anchor, forwarding, pfTokens }: MacRecord) =>
  aliases.length === 0 && !anchor && !forwarding && pfTokens.length === 0;

export interface MacChoice {
  readonly wanted: readonly string[];
  readonly exclude: readonly string[];
}

export class MacHost {
  readonly #run: RunMacCommand;
  readonly #journal: MacJournal;
  #record: MacRecord;

  constructor(run: RunMacCommand, journal: MacJournal) {
    this.#run = run;
    this.#journal = journal;
    this.#record = journal.load();
  }

  get ownsSomething(): boolean {
    return !isEmpty(this.#record);
  }

  #save(change: Partial<MacRecord>): void {
    const record = { ...this.#record, ...change };
    this.#journal.save(record);
    this.#record = record;
  }

  /** What a command says; nothing when it fails, as `route` does where there is no route. */
  async #read(program: string, ...args: string[]): Promise<string> {
    try {
      return await this.#run({ program, args });
    } catch {
      return '';
    }
  }

  async #gatewayOf({ device }: HardwarePort): Promise<readonly [string, string] | undefined> {
    const route = parseRouteGet(await this.#read('/sbin/route', '-n', 'get', '-ifscope', device, 'default'));
    return route?.gateway === undefined || route.device !== device ? undefined : [device, route.gateway];
  }

  /** Changes nothing. */
  async readSituation({ exclude, wanted }: MacChoice): Promise<MacSituation> {
    const [ports, interfaces, route, routes] = await Promise.all([
      this.#read('/usr/sbin/networksetup', '-listallhardwareports'),
      this.#read('/sbin/ifconfig', '-a'),
      this.#read('/sbin/route', '-n', 'get', 'default'),
      this.#read('/usr/sbin/netstat', '-rn', '-f', 'inet'),
    ]);
    const hardware = parseHardwarePorts(ports);
    const gateways = await Promise.all(hardware.map((port) => this.#gatewayOf(port)));
    const preferred = parseRouteGet(route);
    return {
      ports: hardware,
      interfaces: parseIfconfig(interfaces),
      gateways: new Map(gateways.filter((found) => found !== undefined)),
      routes: parseRoutes(routes),
      wanted,
      exclude,
      ...(preferred === undefined ? {} : { preferred }),
    };
  }

  /** Makes the host's side of these uplinks, and takes back that of others. @throws what a command says */
  async apply(uplinks: readonly MacUplink[]): Promise<void> {
    const hosts = new Set(uplinks.map(({ host }) => host));
    const gone = this.#record.aliases.filter(({ host }) => !hosts.has(host));
    const known = new Set(this.#record.aliases.map(({ host }) => host));
    const added = uplinks.filter(({ host }) => !known.has(host));
    this.#save({
      aliases: [...this.#record.aliases, ...added.map(({ device, host }) => ({ device, host }))],
    });
    for (const uplink of added) await this.#run(aliasCommand(uplink));
    await this.#forward();
    if (!this.#record.anchor) this.#save({ anchor: true });
    await this.#run(loadPfCommand(pfRules(uplinks, this.#record.forwarding)));
    if (this.#record.pfTokens.length === 0) {
      const token = parsePfToken(await this.#run(enablePfCommand));
      if (token !== undefined) this.#save({ pfTokens: [token] });
    }
    for (const alias of gone) await this.#run(unaliasCommand(alias)).catch(() => '');
    if (gone.length > 0) {
      this.#save({ aliases: this.#record.aliases.filter(({ host }) => hosts.has(host)) });
    }
  }

  async #forward(): Promise<void> {
    if (this.#record.forwarding || (await this.#run(readForwardingCommand)).trim() !== '0') return;
    this.#save({ forwarding: true });
    await this.#run(setForwardingCommand('1'));
  }

  /** @returns what could not be taken back, for the user */
  async undo(): Promise<string[]> {
    const failures: string[] = [];
    const attempt = async (command: MacCommand, done: () => void) => {
      try {
        await this.#run(command);
        done();
      } catch (error) {
        failures.push(`${command.program} ${command.args.join(' ')}: ${errorText(error)}`);
      }
    };
    if (this.#record.anchor) await attempt(flushPfCommand, () => this.#save({ anchor: false }));
    for (const token of this.#record.pfTokens) {
      const rest = () => this.#record.pfTokens.filter((other) => other !== token);
      await attempt(releasePfCommand(token), () => this.#save({ pfTokens: rest() }));
    }
    if (this.#record.forwarding) {
      await attempt(setForwardingCommand('0'), () => this.#save({ forwarding: false }));
    }
    for (const alias of this.#record.aliases) {
      const forget = () =>
        this.#save({ aliases: this.#record.aliases.filter(({ host }) => host !== alias.host) });
      try {
        await this.#run(unaliasCommand(alias));
        forget();
      } catch {
        // It was about to be made, or its link has gone with it.
        forget();
      }
    }
    return failures;
  }
}
