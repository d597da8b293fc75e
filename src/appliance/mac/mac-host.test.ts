/** The owner of what is made on a Mac, against a model of one that is killed at each of its commands. */
import { expect, it } from 'vitest';
import { EMPTY_MAC_RECORD, MacHost, parseMacRecord, type MacRecord } from './mac-host.ts';
import { PF_ANCHOR, planMacUplinks, type MacCommand } from './mac-plan.ts';

/** As much of a Mac as these commands see. */
class ModelMac {
  readonly aliases = new Map<string, string[]>([
    ['en0', []],
    ['en7', []],
  ]);
  forwarding = '0';
  anchor = '';
  pfReferences = new Set<string>();
  present = new Set(['en0', 'en7']);
  /** Dies with the command of this number. */
  dieAt = Infinity;
  commands = 0;
  #nextToken = 1000;

  state(): unknown {
    const { anchor, forwarding } = this;
    return [anchor, forwarding, [...this.aliases].flat(2), this.pfReferences.size];
  }

  readonly run = (command: MacCommand): Promise<string> => {
    this.commands++;
    if (this.commands > this.dieAt) return Promise.reject(new Error('killed'));
    try {
      return Promise.resolve(this.#carryOut(command));
    } catch (error) {
      return Promise.reject(error);
    }
  };

  #carryOut({ args, input = '', program }: MacCommand): string {
    const [first = '', second = '', third = ''] = args;
    switch (program) {
      case '/usr/sbin/networksetup':
        return 'Hardware Port: Wi-Fi\nDevice: en0\n\nHardware Port: USB LAN\nDevice: en7\n';
      case '/sbin/route':
        return args.includes('en7')
          ? '    gateway: 10.20.0.1\n  interface: en7\n'
          : '    gateway: 192.168.1.1\n  interface: en0\n';
      case '/usr/sbin/netstat':
        return 'default 192.168.1.1 UGSc en0\n192.168.1 link#11 UCS en0\n10.20/16 link#15 UCS en7\n';
      case '/usr/sbin/sysctl':
        if (first === '-n') return `${this.forwarding}\n`;
        this.forwarding = second.split('=')[1] ?? '';
        return '';
      case '/sbin/pfctl':
        return this.#pfctl(args, input);
      case '/sbin/ifconfig':
        if (first === '-a') return this.#ifconfig();
        return this.#alias(first, third, args.at(-1) ?? '');
      default:
        throw new Error(`no such program: ${program}`);
    }
  }

  #pfctl([option = '', value = '', ...rest]: readonly string[], input: string): string {
    if (option === '-E') {
      const token = String(this.#nextToken++);
      this.pfReferences.add(token);
      return `pf enabled\nToken : ${token}\n`;
    }
    if (option === '-X') {
      if (!this.pfReferences.delete(value)) throw new Error('pfctl: invalid token');
      return '';
    }
    expect(value).toBe(PF_ANCHOR);
    this.anchor = rest.includes('-F') ? '' : input;
    return '';
  }

  #ifconfig(): string {
    const own = { en0: '192.168.1.7 netmask 0xffffff00', en7: '10.20.0.15 netmask 0xffff0000' };
    return Object.entries(own)
      .filter(([device]) => this.present.has(device))
      .map(([device, address]) => {
        const more = (this.aliases.get(device) ?? []).map((alias) => `\tinet ${alias} netmask 0xfffffffc\n`);
        return `${device}: flags=8863<UP,RUNNING> mtu 1500\n\tinet ${address}\n${more.join('')}\tstatus: active\n`;
      })
      .join('');
  }

  #alias(device: string, address: string, deed: string): string {
    const list = this.aliases.get(device) ?? [];
    if (deed === 'alias') list.push(address);
    else if (list.includes(address)) list.splice(list.indexOf(address), 1);
    else throw new Error("ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address");
    return '';
  }
}

class MemoryJournal {
  record: MacRecord = EMPTY_MAC_RECORD;
  load(): MacRecord {
    return this.record;
  }
  save(record: MacRecord): void {
    this.record = parseMacRecord(JSON.parse(JSON.stringify(record)))!;
  }
}

const CHOICE = { wanted: [], exclude: [] };

async function setUp(host: MacHost) {
  const uplinks = planMacUplinks(await host.readSituation(CHOICE), 'm');
  await host.apply(uplinks);
  return uplinks;
}

it('makes the host’s side, and takes all of it back', async () => {
  const mac = new ModelMac();
  const before = JSON.stringify(mac.state());
  const journal = new MemoryJournal();
  const host = new MacHost(mac.run, journal);
  const uplinks = await setUp(host);
  expect(uplinks.map(({ device, gateway }) => [device, gateway])).toEqual([
    ['en0', '192.168.1.1'],
    ['en7', '10.20.0.1'],
  ]);
  expect(mac.aliases.get('en7')).toEqual([uplinks[1]!.host]);
  expect(mac.forwarding).toBe('1');
  expect(mac.anchor).toMatch(/^nat on en0 /);
  expect(mac.pfReferences.size).toBe(1);
  expect(await host.undo()).toEqual([]);
  expect(JSON.stringify(mac.state())).toBe(before);
  expect(journal.record).toEqual(EMPTY_MAC_RECORD);
  expect(await host.undo()).toEqual([]);
});

it('killed at any command, the next one takes back what there is', async () => {
  const count = await (async () => {
    const mac = new ModelMac();
    await setUp(new MacHost(mac.run, new MemoryJournal()));
    return mac.commands;
  })();
  expect(count).toBeGreaterThan(8);
  for (let dieAt = 0; dieAt <= count; dieAt++) {
    const mac = new ModelMac();
    const before = JSON.stringify(mac.state());
    const journal = new MemoryJournal();
    mac.dieAt = dieAt;
    // oxlint-disable-next-line no-await-in-loop -- one life after another
    await setUp(new MacHost(mac.run, journal)).catch(() => {});
    mac.dieAt = Infinity;
    // oxlint-disable-next-line no-await-in-loop
    expect(await new MacHost(mac.run, journal).undo(), `killed at command ${dieAt}`).toEqual([]);
    expect(JSON.stringify(mac.state()), `killed at command ${dieAt}`).toBe(before);
    expect(journal.record).toEqual(EMPTY_MAC_RECORD);
  }
});

it('a link that goes takes its alias along; the others stay as they are', async () => {
  const mac = new ModelMac();
  const host = new MacHost(mac.run, new MemoryJournal());
  const first = await setUp(host);
  mac.present.delete('en7');
  const second = planMacUplinks(await host.readSituation(CHOICE), 'm', first);
  expect(second).toEqual([first[0]]);
  await host.apply(second);
  expect(mac.aliases.get('en7')).toEqual([]);
  expect(mac.anchor).not.toContain('en7');
  expect(mac.pfReferences.size).toBe(1);
});

it('leaves forwarding that was on, and its user’s traffic', async () => {
  const mac = new ModelMac();
  mac.forwarding = '1';
  const host = new MacHost(mac.run, new MemoryJournal());
  await setUp(host);
  expect(mac.anchor).not.toContain('block');
  await host.undo();
  expect(mac.forwarding).toBe('1');
});

it('believes no record that is none: what it holds goes into commands of root', () => {
  for (const bad of [
    null,
    'x',
    {},
    { ...EMPTY_MAC_RECORD, aliases: [{ device: '-a', host: '10.0.0.1' }] },
    { ...EMPTY_MAC_RECORD, aliases: [{ device: 'en0', host: '10.0.0.1; reboot' }] },
    { ...EMPTY_MAC_RECORD, pfTokens: ['-F'] },
  ])
    expect(parseMacRecord(bad)).toBeUndefined();
  expect(parseMacRecord(EMPTY_MAC_RECORD)).toEqual(EMPTY_MAC_RECORD);
});
