/** Help, usage and version of mptcpd: its options in argp's layout, the descriptions in our words (pure). */

/** The mptcpd whose command line, file and plugin callbacks these are. */
const FOLLOWS = '0.14';

export const mptcpdVersion = (weftVersion: string): string => `mptcpd ${FOLLOWS} (weft ${weftVersion})\n`;

export const mptcpdUsage = (
  program: string,
): string => `Usage: ${program} [-d?V] [-l DEST] [--addr-flags=FLAGS] [--debug]
            [--load-plugins=PLUGINS] [--log=DEST] [--notify-flags=FLAGS]
            [--path-manager=PLUGIN] [--plugin-dir=DIR] [--help] [--usage]
            [--version]
`;

export const mptcpdHelp = (program: string): string => `Usage: ${program} [OPTION...]
Keeps the MPTCP endpoints of this machine in step with its addresses, and runs
path-management plugins.

      --addr-flags=FLAGS     Flags of the endpoints to make: subflow, signal,
                             backup, fullmesh, laminar; between commas. An
                             empty list takes away those of the file
  -d, --debug                Log debug messages, of every part
      --load-plugins=PLUGINS Load only these plugins, in this order, e.g.
                             --load-plugins=addr_adv,sspi
  -l, --log=DEST             Log to DEST: stderr, syslog, journal or null
      --notify-flags=FLAGS   Which addresses plugins are told of: existing,
                             skip_link_local, skip_loopback, check_route
      --path-manager=PLUGIN  The plugin for all connections, whatever the
                             priorities of plugins say
      --plugin-dir=DIR       The folder of plugins to load, beside those that
                             come with Weft
  -?, --help                 Give this help list
      --usage                Give a short usage message
  -V, --version              Print program version

Mandatory or optional arguments to long options are also mandatory or optional
for any corresponding short options.

The page that shows paths and connections (options of Weft's own, never cut
short; see docs/web.md):
    --web=ADDRESS:PORT       Where it is (default: 127.0.0.1:13180); may be
                             given more than once
    --no-web                 No page and no metrics
    --web-token-file=FILE    The token for it, made when it is not there;
                             needed beyond loopback
    --web-origin=ORIGIN      Where a reverse proxy shows it, such as
                             https://weft.example

What the command line leaves out, /etc/mptcpd/mptcpd.conf says. SIGHUP reads it
again; SIGTERM and SIGINT stop the daemon, which then takes back what it made.
`;
