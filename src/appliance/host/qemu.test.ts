import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EMPTY_APPLIANCE_RECORD, parseApplianceRecord } from './journal.ts';
import { qemuArguments, type QemuMachine } from './qemu-command.ts';
import { chooseUser, mayUseKvm, type UserFacts } from './qemu-user.ts';

const UUID = '2f5e7a5c-2592-4a99-bf76-0afd4454b87c';

const MACHINE: QemuMachine = {
  uuid: UUID,
  accelerator: 'tcg',
  memoryMiB: 512,
  processors: 2,
  boot: { kind: 'kernel', kernel: '/proc/self/fd/5', initramfs: '/proc/self/fd/6' },
  monitorFd: 3,
  agentFd: 4,
  nics: [{ slot: 0, mac: '02:00:00:00:00:00', fd: 7 }],
  sandbox: true,
};

const valueOf = (args: readonly string[], name: string) => args[args.indexOf(name) + 1];

describe('QEMU', () => {
  it('opens nothing for writing, and no network but what it is given', () => {
    const args = qemuArguments(MACHINE);
    for (const name of ['-nodefaults', '-no-user-config', '-no-reboot']) expect(args).toContain(name);
    expect(valueOf(args, '-sandbox')).toMatch(/^on,.*elevateprivileges=deny,spawn=deny/);
    expect(valueOf(args, '-uuid')).toBe(UUID);
    expect(args.filter((arg) => /^(user|tap|socket|bridge),/.test(arg))).toEqual([
      'socket,id=monitor,fd=3',
      'socket,id=agent,fd=4',
      'tap,id=net0,fd=7',
    ]);
    expect(args.filter((arg) => arg.startsWith('pcie-root-port'))).toHaveLength(8);
    expect(args).not.toContain('-drive');
  });

  it('boots a disk without writing to it, whatever its name', () => {
    const args = qemuArguments({ ...MACHINE, boot: { kind: 'disk', path: '/a,b', format: 'qcow2' } });
    expect(valueOf(args, '-drive')).toMatch(/file=\/a,,b,format=qcow2,snapshot=on/);
    expect(args).not.toContain('-kernel');
  });

  it('with KVM has the host’s own idea of a processor', () => {
    const args = qemuArguments({ ...MACHINE, accelerator: 'kvm', sandbox: false });
    expect(valueOf(args, '-accel')).toBe('kvm');
    expect(args).not.toContain('-cpu');
    expect(args).not.toContain('-sandbox');
  });
});

const ALL_USERS = '         0          0 4294967295\n';
const ONE_USER = '         0       1000          1\n';
const ROOT: UserFacts = { uid: 0, uidMap: ALL_USERS, gidMap: ALL_USERS };

describe('its user', () => {
  it('is nobody where root starts it, and who starts it otherwise', () => {
    expect(chooseUser(ROOT)).toEqual({ uid: 65_534, gid: 65_534 });
    expect(chooseUser({ ...ROOT, uid: 1000 })).toEqual({});
  });

  it('is root of a user namespace that has nobody else, and that is told', () => {
    const { trouble, uid } = chooseUser({ uid: 0, uidMap: ONE_USER, gidMap: ONE_USER });
    expect(uid).toBeUndefined();
    expect(trouble).toMatch(/no other user/);
  });

  it.each([
    ['for root alone', { uid: 0, gid: 0, mode: 0o600 }, false],
    ['for its group', { uid: 0, gid: 104, mode: 0o660 }, true],
    ['for all', { uid: 0, gid: 104, mode: 0o666 }, true],
    ['for the group of root', { uid: 0, gid: 0, mode: 0o660 }, false],
  ])('may use a /dev/kvm %s', (_what, kvm, may) => {
    const facts = { ...ROOT, kvm };
    expect(mayUseKvm(facts, chooseUser(facts))).toBe(may);
  });

  it('cannot use what is not there', () => {
    expect(mayUseKvm(ROOT, chooseUser(ROOT))).toBe(false);
  });
});

describe('the record', () => {
  const record = {
    machines: [UUID],
    settings: [{ name: 'ipv4/conf/eth0/forwarding', former: '0', set: '1' }],
    firewall: true,
  };

  it('is read as it was written', () => {
    expect(parseApplianceRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
    expect(parseApplianceRecord(EMPTY_APPLIANCE_RECORD)).toEqual(EMPTY_APPLIANCE_RECORD);
  });

  it.each([
    { ...record, machines: ['weft-appliance'] },
    { ...record, settings: [{ name: 'ipv4/conf/../../../kernel/x/forwarding', former: '0', set: '1' }] },
    { ...record, settings: [{ name: 'ipv4/ip_forward', former: '0', set: '1' }] },
    { ...record, firewall: 'yes' },
    { machines: [], settings: [] },
    [],
    'x',
  ])('is none when it is %j', (value) => {
    expect(parseApplianceRecord(value)).toBeUndefined();
  });

  it('survives whatever a file holds', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        parseApplianceRecord(value);
        parseApplianceRecord({ ...record, machines: [value], settings: [value] });
      }),
    );
  });
});
