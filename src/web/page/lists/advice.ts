/**
 * Takes an advice of a finding apart (pure): what is read, and what can be typed and therefore gets a copy button.
 * Advice is a command as it can be typed, a sentence, or a sentence that leads to a command after a colon.
 */

export interface AdviceParts {
  /** Absent: it is a command only. */
  readonly lead?: string;
  /** Absent: there is nothing to type. */
  readonly command?: string;
}

/** Programs that advice names; a line that begins with none of them is a sentence. */
const COMMAND =
  /^(?:sudo |[A-Z_]+=\S+ )*(?:weft|mptcpctl|mptcpd|mptcpize|mptsrv|mpt|ip|ip-mptcp|sysctl|nft|iptables|ip6tables|ufw|firewall-cmd|modprobe|setcap|systemctl|curl|nmcli|ping|resolvectl) \S/;

export function adviceParts(advice: string): AdviceParts {
  if (COMMAND.test(advice)) return { command: advice };
  const colon = advice.lastIndexOf(': ');
  const rest = colon < 0 ? '' : advice.slice(colon + 2);
  return COMMAND.test(rest) ? { lead: advice.slice(0, colon + 1), command: rest } : { lead: advice };
}
