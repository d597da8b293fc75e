/** What is believed of a record, and that a refused writing changes nothing. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY_RECORD, HostLedger, MemoryJournal, parseHostRecord, type HostRecord } from './host-journal.ts';

const RECORD: HostRecord = {
  routes: [
    { destination: { address: '203.0.113.5', length: 32 }, linkIndex: 3, gateway: '10.1.0.1', metric: 0 },
    { destination: { address: 'fd02::', length: 64 }, linkIndex: 9, metric: 1024 },
  ],
  settings: [
    { name: 'ipv4/conf/eth1/forwarding', former: '0', set: '1' },
    { name: 'ipv6/conf/wlan0.5/accept_ra', former: '1', set: '2' },
  ],
};

const withRoute = (change: object) => ({ ...RECORD, routes: [{ ...RECORD.routes[0], ...change }] });
const withSetting = (change: object) => ({ ...RECORD, settings: [{ ...RECORD.settings[0], ...change }] });

describe('a record', () => {
  it('survives being written down', () => {
    expect(parseHostRecord(JSON.parse(JSON.stringify(RECORD)))).toEqual(RECORD);
    expect(parseHostRecord(EMPTY_RECORD)).toEqual(EMPTY_RECORD);
  });

  it.each([
    ['no object', []],
    ['no routes', { settings: [] }],
    ['an address that is none', withRoute({ destination: { address: '203.0.113', length: 24 } })],
    ['a length beyond the address', withRoute({ destination: { address: '203.0.113.5', length: 33 } })],
    ['a gateway that is none', withRoute({ gateway: 7 })],
    ['a metric that is none', withRoute({ metric: -1 })],
    ['a setting elsewhere', withSetting({ name: 'core/bpf_jit_enable' })],
    ['a setting that climbs', withSetting({ name: 'ipv4/conf/../forwarding' })],
    ['a setting that climbs farther', withSetting({ name: 'ipv4/conf/../../core/forwarding' })],
    ['a value that is no number', withSetting({ former: '0\n1' })],
  ])('is not believed with %s', (_what, value) => {
    expect(parseHostRecord(value)).toBeUndefined();
  });

  it('is never thrown over', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        parseHostRecord(value);
        parseHostRecord({ routes: value, settings: [value] });
      }),
    );
  });
});

describe('the ledger', () => {
  it('keeps the parts of its owners apart', () => {
    const journal = new MemoryJournal();
    const ledger = new HostLedger(journal);
    ledger.setRoutes(RECORD.routes);
    ledger.setSettings(RECORD.settings);
    expect(journal.record).toEqual(RECORD);
    ledger.setRoutes([]);
    expect(journal.record).toEqual({ ...RECORD, routes: [] });
  });

  it('is as before when the journal refuses', () => {
    const ledger = new HostLedger({
      load: () => RECORD,
      save: () => {
        throw new Error('read-only');
      },
    });
    expect(() => ledger.setRoutes([])).toThrow('read-only');
    expect(ledger.routes).toBe(RECORD.routes);
  });
});
