import fc from 'fast-check';
import { expect, it } from 'vitest';
import { INTERFACE_TEXT, SAVED_TEXT } from '../../../test/support/mpt-configuration.ts';
import { readRecording } from '../../../test/support/mpt-recordings.ts';
import { parseConnectionConfig } from '../config/connection-config.ts';
import { parseInterfaceConfig } from '../config/interface-config.ts';
import { emitLocalReply } from '../control/local-protocol.ts';
import { buildSendingVector } from '../paths/sending-vector.ts';
import { formatNoAnswer, parseClientArguments, type ClientStart } from './arguments.ts';
import { formatCommand, parseCommandText, parseCommandWords, type ClientCommand } from './command.ts';
import { formatClientHelp, formatCommandHelp } from './help.ts';
import { createFailed, fileNotFound, formatPathChanged, formatSendingVector } from './server-text.ts';
import { formatStatusReport } from './status-report.ts';

const SETTINGS = { commandPort: 60_456, timeoutS: 25 };
const start = (line: string): ClientStart =>
  parseClientArguments(line === '' ? [] : line.split(' '), SETTINGS);
const HEAD = 'mpt configuration:\n\tLocal cmd port: 60456\n\tcmd timeout: 25\n';

it.each<[string, ClientCommand]>([
  [
    'addr add 10.0.0.1 dev eth0',
    { kind: 'address', action: 'add', address: '10.0.0.1', length: 24, interfaceName: 'eth0' },
  ],
  [
    'address del 2001:DB8::1/48 dev eth0',
    { kind: 'address', action: 'del', address: '2001:db8::1', length: 48, interfaceName: 'eth0' },
  ],
  [
    'addr add fe80::1 dev eth0',
    { kind: 'address', action: 'add', address: 'fe80::1', length: 64, interfaceName: 'eth0' },
  ],
  ['int eth0 up', { kind: 'interface', interfaceName: 'eth0', isUp: true }],
  ['interface eth0.7 down', { kind: 'interface', interfaceName: 'eth0.7', isUp: false }],
  [
    'path down 10.1.1.2 10.1.1.3',
    { kind: 'path', isUp: false, publicAddress: '10.1.1.2', remoteAddress: '10.1.1.3' },
  ],
  ['show status', { kind: 'status' }],
  ['reload', { kind: 'reload' }],
  ['reload a.conf', { kind: 'reload', file: 'a.conf' }],
  ['restart', { kind: 'restart' }],
  ['delete a.conf', { kind: 'delete', file: 'a.conf' }],
  ['save', { kind: 'save' }],
  ['create a.conf', { kind: 'create', file: 'a.conf' }],
])('reads: %s', (line, command) => {
  expect(start(line)).toEqual({
    kind: 'command',
    isIpv6: false,
    port: 60_456,
    command,
    text: line,
    output: HEAD,
  });
  expect(parseCommandText(formatCommand(command))).toEqual({ command });
});

it.each<[string, number, string]>([
  ['', 1, formatClientHelp()],
  ['-h', 1, formatClientHelp()],
  ['-hello', 1, formatClientHelp()],
  ['--help', 1, formatClientHelp()],
  ['frobnicate', 1, `ERROR: Illegal command\n${formatClientHelp()}`],
  ['constructor', 1, `ERROR: Illegal command\n${formatClientHelp()}`],
  ['-x show status', 1, `ERROR: Illegal command\n${formatClientHelp()}`],
  ['int eth0 sideways', 1, `ERROR: Illegal command\n${formatClientHelp()}`],
  ['int x;reboot/ down', 1, `ERROR: Illegal command\n${formatClientHelp()}`],
  ['addr add 10.0.0.256 dev eth0', 3, 'ERROR: Invalid IP specified\n'],
  ['path up 10.0.0.1 nowhere', 3, 'ERROR: Invalid IP specified\n'],
  ['addr add 10.0.0.1/33 dev eth0', 4, 'ERROR: Invalid netmask specified\n'],
  ['addr add 10.0.0.1/ dev eth0', 4, 'ERROR: Invalid netmask specified\n'],
  ['addr add 10.0.0.1 eth0', 5, `ERROR: Wrong parameters specified\n${formatCommandHelp('address')}`],
  ['path 10.0.0.1 10.0.0.2', 5, `ERROR: Wrong parameters specified\n${formatCommandHelp('path')}`],
  ['show', 5, `ERROR: Wrong parameters specified\n${formatCommandHelp('show')}`],
  ['delete', 5, `ERROR: Wrong parameters specified\n${formatCommandHelp('delete')}`],
  ['save ../../etc/passwd', 5, `ERROR: Wrong parameters specified\n${formatCommandHelp('save')}`],
])('refuses: %s', (line, exitCode, text) => {
  expect(start(line)).toEqual({ kind: 'end', exitCode, output: HEAD + text });
});

it('takes -6 and a port', () => {
  expect(start('-6 -65010 show status')).toMatchObject({ isIpv6: true, port: 65_010, text: 'show status' });
  expect(start('-7 show status')).toMatchObject({ isIpv6: false, port: 7 });
  expect(start('-65536 show status')).toMatchObject({ kind: 'end', exitCode: 1 });
  expect(start('-65010 show status')).toMatchObject({ output: HEAD.replace('60456', '65010') });
  expect(formatNoAnswer(1)).toBe('ERROR: No answer from mptsrv - unsuccessful receive 1\n');
});

it('reads any words without throwing', () => {
  const word = fc.oneof(
    fc.constantFrom('addr', 'int', 'path', 'up', 'add', 'dev', '::', '/', ''),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6, size: 'max' }), (words) => {
      const reading = parseCommandWords(words);
      if ('command' in reading) {
        expect(parseCommandText(formatCommand(reading.command))).toEqual(reading);
      }
    }),
    { numRuns: 1000 },
  );
});

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

it('reports the status byte for byte as recorded', () => {
  const { config } = parseInterfaceConfig(INTERFACE_TEXT);
  const text = SAVED_TEXT.replace('network_count    = 2', 'network_count = 0');
  const { connection } = parseConnectionConfig(text, 'ipv4.conf');
  const tunnel = { interfaceName: 'tun0', descriptor: 4, mtu: 1440, commandPort: 60_456, acceptRemote: true };
  const report = formatStatusReport({ ...tunnel, ipv4: config!.ipv4!, ipv6: config!.ipv6! }, [
    { file: 'ipv4.conf', connection: connection!, packetsSent: 0 },
  ]);
  const recorded = readRecording('ctl-auth0-path.lo').map(({ payload }) => hex(payload));
  expect(recorded).toContain(hex(emitLocalReply(true, report)));
});

it('answers and prints word for word as recorded', () => {
  const create = readRecording('ctl-create.lo').map(({ payload }) => hex(payload));
  expect(create).toContain(hex(emitLocalReply(false, createFailed(5))));
  expect(create).toContain(hex(emitLocalReply(true, 'create ipv4.conf')));
  expect(createFailed(1)).toBe('Connection creation failed (code: 1; Remote server problem?)');
  expect(fileNotFound('create', 'x.conf')).toBe('create x.conf');
  expect(fileNotFound('delete', 'x.conf')).toBe('Delete unsuccessful. Config file not found: x.conf');
  expect(formatSendingVector(buildSendingVector([10, 10]), [10, 10])).toBe(
    'PathSelection indices: 0, 1, \nPathselection list length: 2, Final increment:1\n',
  );
  expect(formatPathChanged(0x80, '10.1.1.2', '10.1.1.3')).toBe(
    'Path status changed to 0x80 (10.1.1.2 -> 10.1.1.3) ',
  );
  expect(formatPathChanged(0, 'a', 'b')).toBe('Path status changed to 0x00 (a -> b) ');
});

it('reports networks', () => {
  const { connection } = parseConnectionConfig(SAVED_TEXT, 'ipv4.conf');
  const tunnel = { interfaceName: 'tun0', descriptor: 4, mtu: 1440, commandPort: 1, acceptRemote: false };
  const report = formatStatusReport(tunnel, [{ file: 'a', connection: connection!, packetsSent: 7n }]);
  expect(report).toContain(
    '\nNetworks:\n-------- Network 0 ----------\n    IP version       : 4\n' +
      '    Source           : 11.1.1.0/24\n    Destination      : 21.1.1.0/24\n',
  );
  expect(report).toContain('    Packets sent out      : 7\n');
});
