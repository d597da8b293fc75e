/** `weft mptcp --help`: the own part, and where ip's part is described. */

export const MPTCP_HELP = `Usage: weft mptcp [OPTIONS] COMMAND

The kernel's Multipath TCP. Everything that "ip mptcp" takes, as ip-mptcp(8) describes it, with
ip's output, errors and exit codes ("weft mptcp help" prints ip's usage):
  endpoint add|change|delete|show|flush     limits set|show     monitor

and beside it:
  connections [--watch [SECONDS]]   every MPTCP connection of this host with its subflows
  counters [--all]                  what the kernel counted, and what it means; --all: zeros too
  endpoint set ID|ADDRESS FLAG...   change only what is named: +backup -backup +fullmesh -fullmesh
                                    ("endpoint change" of ip takes away what is not named)

Options:
  --json             one JSON object a line: endpoints, limits, events as they come, connections,
                     counters; may stand anywhere
  --help             this text
  -n NAME            in the network namespace NAME
  -j -p -o -t -ts -c -b FILE -force   as in ip(8); -j is ip's own JSON

Examples:
  weft mptcp endpoint add 10.1.0.2 dev eth0 subflow
  weft mptcp endpoint set 10.1.0.2 +backup
  weft mptcp --json monitor | jq .event
  weft mptcp connections --watch
`;
