/** Help, usage and version of mptcpize: its layout, the descriptions in our words (pure). */

/** The mptcpize whose command line this is. */
const FOLLOWS = '0.14';

const TITLE = 'mptcpize - run programs and services that know nothing of MPTCP over it';

const COMMANDS = `Available CMDs:
	run [-d] [--via proxy|preload] prog [<args>]
	                          Run a program so that its TCP sockets are
	                          MPTCP: Node programs by weft/register, Go
	                          programs by GODEBUG, others by
	                          libmptcpwrap.so. What none of them reaches
	                          is told so and gets the proxy's address.
	                          '-d' tells of every socket on stderr.

	enable <unit>             Give a systemd unit the same, by a drop-in
	                          of its own; its file stays as it is.

	disable <unit>            Remove that drop-in.

	help                      Print this help.
`;

export const mptcpizeVersion = (weftVersion: string): string => `mptcpize ${FOLLOWS} (weft ${weftVersion})\n`;

/** For `mptcpize help`, and behind what is wrong. */
export const MPTCPIZE_COMMANDS = `Usage: mptcpize CMD
${TITLE}

${COMMANDS}`;

export const MPTCPIZE_USAGE = 'Usage: mptcpize [-?V] [--help] [--usage] [--version] CMD\n';

export const MPTCPIZE_HELP = `Usage: mptcpize [OPTION...] CMD
${TITLE}

  -?, --help                 Give this help list
      --usage                Give a short usage message
  -V, --version              Print program version

${COMMANDS}`;

export const MPTCPIZE_TRY = "Try `mptcpize --help' or `mptcpize --usage' for more information.\n";
