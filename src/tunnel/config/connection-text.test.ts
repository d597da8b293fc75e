import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatIp, networkOf, type Prefix } from '../../base/index.ts';
import { parseConnectionConfig } from './connection-config.ts';
import { formatConnectionConfig } from './connection-text.ts';
import { formatInterfaceConfig, parseInterfaceConfig } from './interface-config.ts';
import { SCHEDULERS, type ConnectionConfig, type InterfaceConfig } from './model.ts';
import { readRecording } from '../../../test/support/mpt-recordings.ts';
import { SAVED_TEXT } from '../../../test/support/mpt-configuration.ts';
import { DEFAULT_KEY_TEXT } from '../control/authentication.ts';

it('writes what the original writes, byte for byte', () => {
  const { connection, errors, warnings } = parseConnectionConfig(SAVED_TEXT, 'a.conf');
  expect([...errors, ...warnings]).toEqual([]);
  expect(formatConnectionConfig(connection!, 'message')).toBe(SAVED_TEXT);
  expect(formatConnectionConfig(connection!, 'file')).toBe(SAVED_TEXT);
});

it('reads and writes the recorded messages', () => {
  let count = 0;
  for (const name of ['ctl-create.eth1', 'ctl-create-nets2.eth1']) {
    for (const { payload } of readRecording(name)) {
      const text = new TextDecoder('latin1').decode(payload);
      const body = text.slice(text.indexOf(';;;;;;;'));
      // The original cuts its answers by 36 bytes.
      if (!text.includes(';;;;;;;') || payload[40] !== 3) continue;
      const { connection } = parseConnectionConfig(body.slice(4), 'peer');
      expect(formatConnectionConfig(connection!, 'message')).toBe(body);
      count++;
    }
  }
  expect(count).toBeGreaterThan(1);
});

it('keeps the key out of messages and in files', () => {
  const authKey = 'x'.repeat(32);
  const { connection } = parseConnectionConfig(SAVED_TEXT, 'a.conf');
  const mine = { ...connection!, authKey };
  expect(formatConnectionConfig(mine, 'message')).toBe(SAVED_TEXT);
  expect(formatConnectionConfig(mine, 'file')).toContain(`\nauth_key         = ${authKey}\n`);
});

type Version = 4 | 6;
const address = (version: Version) =>
  fc
    .uint8Array({ minLength: version === 6 ? 16 : 4, maxLength: version === 6 ? 16 : 4 })
    .map((bytes) => formatIp(bytes));
const given = (version: Version) =>
  address(version).filter(
    (text) => text !== '::' && text !== '0.0.0.0' && text.includes(':') === (version === 6),
  );
const network = (version: Version): fc.Arbitrary<Prefix> =>
  fc
    .tuple(address(version), fc.integer({ min: 0, max: version === 6 ? 128 : 32 }))
    .map(([text, length]) => ({ address: networkOf(text, length), length }));
const version = fc.constantFrom<Version>(4, 6);
const port = fc.integer({ min: 1, max: 65_535 });
const ports = fc.array(port, { maxLength: 3 });

const path = version.chain((ipVersion) =>
  fc
    .record({
      interfaceName: fc.stringMatching(/^[a-z][a-z0-9.@-]{0,14}$/),
      ipVersion: fc.constant(ipVersion),
      publicAddress: address(ipVersion),
      publicIsPrivate: fc.boolean(),
      privateAddress: address(ipVersion),
      remoteAddress: address(ipVersion),
      gatewayAddress: address(ipVersion),
      keepaliveTimeS: fc.integer({ min: 0, max: 255 }),
      deadTimeS: fc.integer({ min: 0, max: 65_535 }),
      weightIn: fc.integer({ min: 1, max: 10_000 }),
      weightOut: fc.integer({ min: 1, max: 10_000 }),
      status: fc.constantFrom(0, 0x80, 0x81, 0x83),
      isCommandDefault: fc.boolean(),
      pinned: fc.record({ tcpSource: ports, tcpDestination: ports, udpSource: ports, udpDestination: ports }),
    })
    .map((made) => {
      if (made.publicIsPrivate) made.publicAddress = made.privateAddress;
      return made;
    }),
);

const label = fc.stringMatching(/^[ -~]{0,40}$/).map((text) => text.trim());

const connection: fc.Arbitrary<ConnectionConfig> = version.chain((ipVersion) =>
  fc.record({
    name: label,
    permission: fc.integer({ min: 0, max: 3 }),
    ipVersion: fc.constant(ipVersion),
    localAddress: address(ipVersion),
    localPort: fc.integer({ min: 0, max: 65_535 }),
    localCommandPort: port,
    remoteAddress: given(ipVersion),
    remotePort: port,
    remoteCommandPort: port,
    status: fc.integer({ min: 0, max: 255 }),
    reorderWindow: fc.integer({ min: 0, max: 10_000 }),
    maxBufferDelayMs: fc.integer({ min: 0, max: 60_000 }),
    authType: fc.constantFrom(0 as const, 1 as const, 2 as const),
    authKey: fc.oneof(fc.constant(DEFAULT_KEY_TEXT), fc.stringMatching(/^[0-9A-F]{64}$/)),
    scheduler: fc.constantFrom(...SCHEDULERS),
    paths: fc.array(path, { maxLength: 3 }),
    networks: fc.array(
      version.chain((net) =>
        fc.record({ ipVersion: fc.constant(net), source: network(net), destination: network(net) }),
      ),
      { maxLength: 3 },
    ),
  }),
);

/** A label with both kinds of quotes and a comment sign cannot be said in this dialect, so no file has it. */
const sayable = (text: string) => !(/["']/.test(text) && /[;#\\]/.test(text)) && !/^["']/.test(text);

it('reads what it writes, for any configuration', () => {
  fc.assert(
    fc.property(connection, (config) => {
      fc.pre(sayable(config.name));
      const text = formatConnectionConfig(config, 'file');
      const reading = parseConnectionConfig(text, 'a.conf');
      expect(reading.errors).toEqual([]);
      expect(reading.connection).toEqual(config);
      expect(formatConnectionConfig(reading.connection!, 'file')).toBe(text);
    }),
    { numRuns: 100 },
  );
});

it('whatever can be read is read the same again after it was written', () => {
  const line = fc
    .tuple(
      fc.constantFrom(
        'name',
        'interface_name',
        'ip_ver',
        'weight_out',
        'public_ipaddr',
        'scheduler',
        'reorder_window',
      ),
      fc.oneof(
        fc.constantFrom('1', '6', '0x10', 'flow', '"a;b"', '\'"x"\'', '"\'y\'"', 'private_ipaddr'),
        label,
      ),
    )
    .map(([key, value]) => `${key} = ${value}`);
  const extra = fc.array(line, { maxLength: 4 }).map((lines) => lines.join('\n'));
  fc.assert(
    fc.property(extra, extra, (inConnection, inPath) => {
      const text = SAVED_TEXT.replace('[connection]', `[connection]\n${inConnection}`).replace(
        '[path_1]',
        `[path_1]\n${inPath}`,
      );
      const first = parseConnectionConfig(text, 'a.conf').connection;
      if (first === undefined) return;
      expect(parseConnectionConfig(formatConnectionConfig(first, 'file'), 'a.conf').connection).toEqual(
        first,
      );
    }),
    { numRuns: 500 },
  );
});

const interfaceConfig: fc.Arbitrary<InterfaceConfig> = fc
  .record(
    {
      name: fc.stringMatching(/^[a-z]{1,8}[0-9]?$/),
      mtu: fc.integer({ min: 1280, max: 9000 }),
      acceptRemote: fc.boolean(),
      commandPort: fc.integer({ min: 0, max: 65_535 }),
      commandTimeoutS: fc.integer({ min: 1, max: 3600 }),
      ipv4: fc.record({ address: given(4), length: fc.integer({ min: 1, max: 32 }) }),
      ipv6: fc.record({ address: given(6), length: fc.integer({ min: 1, max: 128 }) }),
    },
    { requiredKeys: ['name', 'mtu', 'acceptRemote', 'commandTimeoutS'] },
  )
  .map((made) => made as InterfaceConfig);

it('reads the interface.conf that it writes', () => {
  fc.assert(
    fc.property(interfaceConfig, (config) => {
      const reading = parseInterfaceConfig(formatInterfaceConfig(config));
      expect([...reading.errors, ...reading.warnings]).toEqual([]);
      expect(reading.config).toEqual(config);
    }),
  );
});
