/** What the `mpt` client says about its use, in our words: the original's help texts are not recorded. */
import type { CommandWord } from './command.ts';

const HELP: Readonly<Record<CommandWord, readonly string[]>> = {
  address: [
    'addr|address {add|del} IP[/LENGTH] dev INTERFACE',
    '    adds an address to an interface, or removes it; LENGTH is 24 (IPv4) or 64 (IPv6) if it is not given',
  ],
  interface: [
    'int|interface INTERFACE {up|down}',
    '    sets an interface up or down, and the paths on it; the peers are told',
  ],
  path: [
    'path {up|down} PUBLIC_IP REMOTE_IP',
    '    sets the path between the two addresses up or down; the peer is told',
    'path',
    '    each path with its round trip, jitter, loss and rates, as far as they are measured',
  ],
  show: ['show status', '    the tunnel, and all connections with their paths and networks'],
  reload: ['reload [FILE]', '    reads the configuration again: of the connection in FILE, or all of it'],
  restart: [
    'restart [FILE]',
    '    starts the connection in FILE again, or all, without reading the configuration',
  ],
  delete: ['delete FILE', '    ends the connection in FILE, and renames the file to FILE.disabled'],
  save: ['save [FILE]', '    writes the connection in FILE to that file, or all connections to theirs'],
  create: ['create FILE', '    asks the peer to make the connection in FILE'],
};

const USAGE: readonly string[] = [
  'Usage: mpt [--conf DIR] [-6] [-PORT] COMMAND ARGUMENTS',
  '    --conf  the folder of interface.conf; else conf in the folder where mpt is started',
  '    -6      the server is asked over IPv6 (::1)',
  "    -PORT   the server's command port; else cmdport_local of interface.conf",
  '',
];

const joined = (lines: readonly string[]): string => `${lines.join('\n')}\n`;

/** Help for one command. */
export function formatCommandHelp(word: CommandWord): string {
  return joined(HELP[word]);
}

/** Usage and the help of all commands. */
export function formatClientHelp(): string {
  return joined([...USAGE, ...Object.values(HELP).flat()]);
}
