/** Usage texts. That of the object mptcp is iproute2's, to the byte; that of the command itself is our own. */

export const MPTCP_USAGE = `Usage:	ip mptcp endpoint add ADDRESS [ dev NAME ] [ id ID ]
				      [ port NR ] [ FLAG-LIST ]
	ip mptcp endpoint delete id ID [ ADDRESS ]
	ip mptcp endpoint change [ id ID ] [ ADDRESS ] [ port NR ] CHANGE-OPT
	ip mptcp endpoint show [ id ID ]
	ip mptcp endpoint flush
	ip mptcp limits set [ subflows NR ] [ add_addr_accepted NR ]
	ip mptcp limits show
	ip mptcp monitor
FLAG-LIST := [ FLAG-LIST ] FLAG
FLAG  := [ signal | subflow | laminar | backup | fullmesh ]
CHANGE-OPT := [ backup | nobackup | fullmesh | nofullmesh ]
`;

export const IP_USAGE = `Usage: ip-mptcp [ OPTIONS ] mptcp { COMMAND | help }
       ip-mptcp [ -force ] -batch filename
where  OPTIONS := { -V[ersion] | -j[son] | -p[retty] | -o[neline] |
                    -t[imestamp] | -ts[hort] | -b[atch] filename | -force |
                    -rc[vbuf] size | -n[etns] name | -c[olor] }
The other options of ip(8) are taken and change nothing here. Of its objects
there is only mptcp; "ip-mptcp mptcp help" has its commands, ip(8) the others.
`;

/** In the form of ip's own line, so that what looks for the version finds the one that this follows. */
export const VERSION_LINE = 'ip utility, iproute2-7.1.0 (object mptcp only), weft\n';
