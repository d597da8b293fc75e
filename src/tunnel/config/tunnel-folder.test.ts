import { expect, it } from 'vitest';
import { parseConnectionConfig } from './connection-config.ts';
import { parseInterfaceConfig } from './interface-config.ts';
import { formatConfigIssue } from './issue.ts';
import { INTERFACE_TEXT, SAVED_TEXT } from '../../../test/support/mpt-configuration.ts';
import { readTunnelFolder } from './tunnel-folder.ts';

const folder = (files: Record<string, string>, interfaceText: string = INTERFACE_TEXT) =>
  readTunnelFolder({ interfaceText, files: new Map(Object.entries(files)) });
const whole = { 'conf.template': SAVED_TEXT, 'a.conf': SAVED_TEXT };
const edit = (from: string | RegExp, to: string) => ({ ...whole, 'a.conf': SAVED_TEXT.replace(from, to) });
const errorsOf = (files: Record<string, string>) => folder(files).errors.map(formatConfigIssue);

it('reads a folder', () => {
  const { config, errors, warnings } = folder({ ...whole, 'b.conf.disabled': 'junk', notes: 'junk' });
  expect([...errors, ...warnings]).toEqual([]);
  expect(config?.interface).toEqual({
    name: 'tun0',
    mtu: 1440,
    ipv4: { address: '10.0.0.2', length: 24 },
    ipv6: { address: 'fec0::2', length: 64 },
    acceptRemote: true,
    commandPort: 60_456,
    commandTimeoutS: 25,
  });
  expect(config?.connections.map(({ file }) => file)).toEqual(['a.conf']);
  expect(config?.connections[0]?.connection).toMatchObject({
    name: 'conn4_A',
    scheduler: 'weights',
    paths: [{ interfaceName: 'eth1', weightOut: 10, deadTimeS: 11 }, { interfaceName: 'eth2' }],
    networks: [{ destination: { address: '21.1.1.0', length: 24 } }, {}],
  });
});

it('is all or nothing, and tells everything at once', () => {
  const { config, errors } = folder(
    {
      'a.conf': SAVED_TEXT.replace('weight_out       = 10', 'weight_out = 0'),
      'b.conf': SAVED_TEXT.replace('reorder_window   = 900', 'reorder_window = 10001'),
      'c.conf': SAVED_TEXT,
    },
    INTERFACE_TEXT.replace('ipv4_addr = 10.0.0.2/24\n', ''),
  );
  expect(config).toBeUndefined();
  expect(errors.map(formatConfigIssue)).toEqual([
    'interface.conf:7: ipv4_addr in [tun_0]: the key is missing; write ADDRESS/LENGTH, or 0.0.0.0/0 for none',
    'connections/conf.template: the file is missing',
    'connections/a.conf:32: weight_out = "0" in [path_0]: allowed are 1 to 10000 (0 crashes the original)',
    'connections/b.conf:16: reorder_window = "10001" in [connection]: allowed are 0 to 10000',
  ]);
});

it.each<[string, string | RegExp, string, RegExp]>([
  ['path_count above 20', 'path_count       = 2', 'path_count = 21', /:13: path_count = "21".*0 to 20/],
  ['more paths than sections', 'path_count       = 2', 'path_count = 3', /\[path_2\] is missing/],
  ['more networks than sections', 'network_count    = 2', 'network_count = 20', /\[net_19\] is missing/],
  ['negative path_count', 'path_count       = 2', 'path_count = -1', /"-1"/],
  ['a malformed address', 'remote_ipaddr    = 10.1.1.3', 'remote_ipaddr = 10.1.1', /:28: .*IPv4 address/],
  ['another version', 'gw_ipaddr        = 10.1.1.2', 'gw_ipaddr = fe80::1', /IPv4 address is wanted/],
  [
    'no peer',
    'remote_ipaddr    = 10.1.1.3\n',
    '',
    /remote_ipaddr in \[path_0\]: the peer's address is missing/,
  ],
  ['no tunnel peer', 'ip_remote        = 10.0.0.3\n', '', /ip_remote/],
  ['itself as peer', 'ip_remote        = 10.0.0.3', 'ip_remote = 10.0.0.2', /own tunnel address/],
  ['a network without length', '21.1.1.0/24', '21.1.1.0', /:53: dst_addr = "21.1.1.0"/],
  ['auth_type 3', 'auth_type        = 0', 'auth_type = 3', /0 to 2/],
  ['a link name with a command', 'eth1', 'eth1; reboot', /^$/],
  ['a quoted command', '= eth1', '= "e;reboot now"', /interface_name = "e;reboot now"/],
  ['an unknown scheduler', 'auth_type ', 'scheduler = weihgts\nauth_type ', /did you mean "weights"/],
  ['a key of other letters', 'auth_type ', 'auth_key = schlüssel\nauth_type ', /auth_key has characters/],
  ['keepalive_time above 255', 'keepalive_time   = 5', 'keepalive_time = 256', /0 to 255/],
  ['an unknown status', /status {11}= 0\n\n\[path_1/, 'status = 7\n\n[path_1', /allowed are 0, 128/],
  ['a malformed line', '[path_1]', '[path_1', /:35: "\[path_1" is neither/],
  ['an IPv6 tunnel with IPv4 addresses', 'ip_ver           = 4\nip_local', 'ip_local', /an IPv6 address/],
])('refuses %s', (_name, from, to, expected) => {
  const errors = errorsOf(edit(from, to));
  if (expected.source === '^$') expect(errors).toEqual([]);
  else expect(errors.join('\n')).toMatch(expected);
});

it('never tells a key', () => {
  const secret = 'thisisthesecret';
  for (const lines of [
    `auth_key = ${secret}`,
    `auth_kye = ${secret}`,
    `auth_key = ${secret}\nauth_key = ${secret}2`,
    `auth_key : ${secret}`,
  ]) {
    const { errors, warnings } = folder(edit('auth_type ', `${lines}\nauth_type `));
    expect(errors.length + warnings.length).toBeGreaterThan(0);
    expect([...errors, ...warnings].map(formatConfigIssue).join()).not.toContain(secret);
  }
});

it('warns of what the original passes over or takes otherwise', () => {
  const text = SAVED_TEXT.replace('reorder_window   = 900', 'reorder_window = 0900\nreorder_windw = 3')
    .replace('keepalive_time   = 5', 'keepalive_time = 5s')
    .replace('local_cmd_port   = 60456', 'local_cmd_port = 1')
    .replace('21.1.1.0/24', '21.1.1.7/24')
    .replace('ip_local         = 10.0.0.2', 'ip_local = 10.0.0.9')
    .replace('name             = conn4_A', 'name = x\nname = y')
    .concat('[path_7]\nweight_out = 2\n');
  const { config, warnings } = folder({ ...whole, 'a.conf': text });
  expect(warnings.map(formatConfigIssue)).toEqual([
    'connections/a.conf:5: name = "y" in [connection] replaces that of line 4',
    'connections/a.conf:17: reorder_window = "0900" in [connection]: has more than a number; it counts as 0',
    'connections/a.conf:18: reorder_windw = "3" in [connection] is unknown and counts for nothing' +
      ' (did you mean "reorder_window"?)',
    'connections/a.conf:31: keepalive_time = "5s" in [path_0]: has more than a number; it counts as 5',
    'connections/a.conf:55: dst_addr = "21.1.1.7/24" in [net_0]: has bits after its length; it counts as 21.1.1.0/24',
    'connections/a.conf:61: [path_7] counts for nothing',
    'connections/a.conf: local_cmd_port is taken from interface.conf (60456)',
    'connections/a.conf: ip_local is taken from interface.conf (10.0.0.2)',
  ]);
  expect(config?.connections[0]?.connection).toMatchObject({
    name: 'y',
    reorderWindow: 0,
    localAddress: '10.0.0.2',
    localCommandPort: 60_456,
  });
});

it('takes a file with weight_in = 0, which the original starts with', () => {
  const { config, warnings } = folder(edit('weight_in        = 1', 'weight_in = 0'));
  expect(config?.connections[0]?.connection.paths[0]?.weightIn).toBe(1);
  expect(warnings.map(formatConfigIssue)).toEqual([
    expect.stringMatching(/a\.conf:\d+: weight_in = "0" in \[path_0\]: counts as 1/),
  ]);
});

it('warns of two paths that have the same addresses', () => {
  const text = SAVED_TEXT.replaceAll('eth2', 'eth1').replaceAll('10.2.2.', '10.1.1.');
  const { config, warnings } = folder({ ...whole, 'a.conf': text });
  expect(config).toBeDefined();
  expect(warnings.map(formatConfigIssue)).toEqual([
    expect.stringMatching(/a\.conf:\d+: remote_ipaddr = .* in \[path_1\]: \[path_0\] has the same addresses/),
  ]);
});

it('fills in the defaults', () => {
  const text =
    '[connection]\nip_remote = fec0::3\npath_count = 1\n[path_0]\nremote_ipaddr = 10.1.1.3\nkeepalive_time = 4\n';
  const { config, warnings } = folder({ ...whole, 'a.conf': text });
  expect(warnings).toHaveLength(1);
  expect(config?.connections[0]?.connection).toMatchObject({
    name: 'connection',
    permission: 0,
    ipVersion: 6,
    localAddress: 'fec0::2',
    localPort: 0,
    remotePort: 65_000,
    remoteCommandPort: 65_050,
    status: 0x80,
    reorderWindow: 0,
    maxBufferDelayMs: 0,
    authType: 0,
    paths: [
      {
        interfaceName: 'unnamed_path',
        ipVersion: 4,
        publicAddress: '0.0.0.0',
        deadTimeS: 12,
        weightIn: 1,
        weightOut: 1,
      },
    ],
  });
});

it('knows both spellings of the gateway, and the word for the private address', () => {
  const text = SAVED_TEXT.replace('gw_ipaddr        = 10.1.1.2', 'gateway_ipaddr = 10.1.1.1').replace(
    'public_ipaddr    = 10.2.2.2',
    'public_ipaddr = private_ipaddr',
  );
  const { connection, warnings } = parseConnectionConfig(text, 'a.conf');
  expect(warnings).toEqual([]);
  expect(connection?.paths[0]?.gatewayAddress).toBe('10.1.1.1');
  expect(connection?.paths[1]).toMatchObject({ publicAddress: '10.2.2.2', publicIsPrivate: true });
});

it('refuses connections that clash', () => {
  const errors = errorsOf({ ...whole, 'b.conf': SAVED_TEXT });
  expect(errors[0]).toBe(
    'connections/b.conf: the connection from 10.0.0.2 to 10.0.0.3 stands in a.conf already',
  );
  expect(errors[1]).toMatch(/local_port = 23456: 10.1.1.2 port 23456 is taken by a.conf/);
  const other = SAVED_TEXT.replace('10.0.0.3', '10.0.0.4').replace('23456', '23457');
  expect(errorsOf({ ...whole, 'b.conf': other })).toEqual([]);
});

it('needs the tunnel to have an address of the connection', () => {
  const { errors } = folder(whole, INTERFACE_TEXT.replace('10.0.0.2/24', '0.0.0.0/0'));
  expect(errors.map(({ text }) => text)).toEqual(['ip_ver = 4, but ipv4_addr of interface.conf is none']);
});

it('judges interface.conf', () => {
  const errorsIn = (from: string, to: string) =>
    parseInterfaceConfig(INTERFACE_TEXT.replace(from, to)).errors.map(formatConfigIssue).join('\n');
  expect(errorsIn('tunnel_num = 1', 'tunnel_num = 0')).toMatch(/:2: tunnel_num = "0".*1 to 64/);
  expect(errorsIn('tunnel_num = 1', '')).toMatch(/tunnel_num in \[general\]: the key is missing/);
  expect(errorsIn('10.0.0.2/24', '10.0.0.2')).toMatch(/:10: ipv4_addr = "10.0.0.2".*ADDRESS\/LENGTH/);
  expect(errorsIn('10.0.0.2/24', '10.0.0.2/33')).toMatch(/0 to 32/);
  expect(errorsIn('= tun0', '= a/b')).toMatch(/name = "a\/b"/);
  for (const name of ['t%d', 'üüüüüüüü', 'a:b'])
    expect(errorsIn('= tun0', `= ${name}`)).toContain(`name = "${name}"`);
  expect(errorsIn('mtu = 1440', 'mtu = 1000')).toMatch(/IPv6 needs at least 1280/);
  const several = `${INTERFACE_TEXT.replace('tunnel_num = 1', 'tunnel_num = 2')}[tun_1]\nname = tun9\nipv4_addr = 10.9.0.1/24\nipv6_addr = ::/0\n`;
  const { config, warnings } = parseInterfaceConfig(several);
  expect(config).toMatchObject({ name: 'tun9', ipv4: { address: '10.9.0.1', length: 24 } });
  expect(config?.ipv6).toBeUndefined();
  expect(warnings.map(({ text }) => text)).toEqual([
    '[tun_0] counts for nothing: of several tunnels only the last exists',
  ]);
});
