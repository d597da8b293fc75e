import { describe, expect, it } from 'vitest';
import type { DaemonReport } from '../service/index.ts';
import { formatDaemonStatus, formatInterfaceChange } from './daemon-text.ts';

const NOTHING = {
  connectionsOpened: 0,
  connectionsClosed: 0,
  connectionsEstablished: 0,
  subflowsOpened: 0,
  subflowsClosed: 0,
};

const EMPTY: DaemonReport = {
  apiVersion: 1,
  version: '1.2.3',
  pid: 7,
  upForMs: 3000,
  startedAtMs: 0,
  listening: true,
  plugins: [],
  interfaces: [],
  endpoints: [],
  ownEndpointIds: [],
  connections: 0,
  recovered: NOTHING,
  adopted: NOTHING,
  counters: {
    mptcpEvents: 0,
    dispatched: 0,
    unmatched: 0,
    mptcpOverruns: 0,
    networkOverruns: 0,
    resynchronisations: 0,
  },
};

const plugin = (name: string, more: Partial<DaemonReport['plugins'][number]> = {}) => ({
  name,
  description: '',
  version: '1',
  origin: 'shipped',
  priority: 0,
  state: 'running' as const,
  registered: [name],
  callbacks: { delivered: 0, failed: 0, late: 0, dropped: 0 },
  ...more,
});

const FULL: DaemonReport = {
  ...EMPTY,
  connections: 1,
  defaultPlugin: 'addr_adv',
  plugins: [
    plugin('addr_adv', { priority: -20, callbacks: { delivered: 12, failed: 0, late: 0, dropped: 0 } }),
    plugin('mine', {
      state: 'failed',
      reason: 'init: no such thing',
      callbacks: { delivered: 3, failed: 2, late: 1, dropped: 4 },
    }),
  ],
  interfaces: [
    {
      index: 2,
      name: 'wlan0',
      addresses: [
        {
          address: '10.1.0.2',
          prefixLength: 24,
          verdict: 'announced',
          endpoint: { state: 'own', id: 1 },
        },
        { address: 'fe80::1', prefixLength: 64, verdict: 'skipped because link-local' },
      ],
    },
    {
      index: 3,
      name: 'lte0',
      kind: 'wwan',
      addresses: [
        {
          address: '10.2.0.2',
          prefixLength: 24,
          verdict: 'announced',
          endpoint: { state: 'foreign', id: 9 },
        },
        {
          address: '10.2.0.3',
          prefixLength: 24,
          verdict: 'announced',
          endpoint: { state: 'waiting', why: "the kernel's table is full" },
        },
      ],
    },
    { index: 4, name: 'eth7', addresses: [] },
  ],
  endpoints: [
    { address: '10.1.0.2', port: 0, id: 1, flags: 6, linkIndex: 2 },
    { address: '10.2.0.2', port: 0, id: 9, flags: 2, linkIndex: 3 },
    { address: '10.3.0.2', port: 0, id: 4, flags: 1, linkIndex: 0 },
  ],
  ownEndpointIds: [1],
  limits: { subflows: 4, addAddrAccepted: 1 },
};

describe('formatDaemonStatus', () => {
  it('tells of plugins, interfaces, endpoints and limits', () => {
    expect(formatDaemonStatus(FULL, 100)).toBe(`\
Plugins in use: addr_adv; new connections go to addr_adv. 1 MPTCP connection followed.

Plugins
  plugin    version  priority  state    callbacks  trouble
  addr_adv  1             -20  running         12
  mine      1               0  failed           3  init: no such thing; 2 failed; 1 late; 4 not
                                                   delivered

Interfaces
  interface    address      state
  wlan0        10.1.0.2/24  id 1: subflow backup
               fe80::1/64   skipped because link-local
  lte0 (wwan)  10.2.0.2/24  id 9: subflow, another program's
               10.2.0.3/24  waiting, the kernel's table is full
  eth7                      has no address

Other endpoints: 10.3.0.2 (id 4, signal, of another program).
Limits: 4 subflows beside the first, 1 announced address accepted.
Events of MPTCP: 0; passed to plugins, with those of the network: 0.

Weft 1.2.3, process 7, running for 3.0 s.
`);
  });

  it('tells of losses, and what was there before', () => {
    const text = formatDaemonStatus(
      {
        ...EMPTY,
        listening: false,
        adopted: { ...NOTHING, connectionsOpened: 3, subflowsOpened: 4 },
        recovered: { ...NOTHING, connectionsOpened: 10, connectionsClosed: 7 },
        counters: { ...EMPTY.counters, mptcpOverruns: 2, resynchronisations: 1, unmatched: 5 },
      },
      100,
    );
    expect(text).toContain('No plugin is running; new connections go to none.');
    expect(text).toContain('Without CAP_NET_ADMIN');
    expect(text).toContain('No interface is up.');
    expect(text).toContain('Events of connections that nobody follows: 5.');
    expect(text).toContain('Found at the start: connections 3 opened; subflows 4 opened.');
    expect(text.replaceAll(/\s+/g, ' ')).toContain(
      'The kernel dropped events 2 times; everything was read anew 1 time, and found: connections 10 opened, 7 closed.',
    );
  });

  it('keeps to the width of the terminal, and never obeys what others named', () => {
    const text = formatDaemonStatus(
      { ...FULL, plugins: [plugin('a\u001b[2Jb', { reason: 'x'.repeat(200) })] },
      80,
    );
    for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(text).not.toContain('\u001b');
  });
});

describe('formatInterfaceChange', () => {
  it('tells what was changed', () => {
    const change = { interface: 'wlan0', backup: true, endpoints: [], subflows: 0 };
    expect(formatInterfaceChange(change)).toBe('wlan0 is backup: it has no endpoint or subflow now\n');
    expect(
      formatInterfaceChange({
        ...change,
        backup: false,
        endpoints: [
          { address: '10.1.0.2', id: 1 },
          { address: '2001:db8::1', id: 4 },
        ],
        subflows: 1,
      }),
    ).toBe(
      'wlan0 is normal: endpoints 10.1.0.2 (id 1), 2001:db8::1 (id 4); 1 subflow under the userspace path manager\n',
    );
  });
});
