/**
 * The first lines that a user of `weft up` sees (pure): where the proxy is and how to use it. What was found
 * and what is missing has been logged before, by the supervisor.
 */
import { bestProxyAddress, type StatusReport, type WebReport } from '../service/index.ts';

export interface GreetingLine {
  readonly level: 'info' | 'warn';
  readonly message: string;
}

const info = (message: string): GreetingLine => ({ level: 'info', message });
const warn = (message: string): GreetingLine => ({ level: 'warn', message });

const isLoopbackText = (address: string) => address.startsWith('127.') || address.startsWith('[::1]');

function rulesLine({ proxy: { policy } }: StatusReport): GreetingLine[] {
  if (policy === undefined || (policy.file === undefined && policy.defaultWay === 'multipath')) return [];
  const file =
    policy.file === undefined
      ? ''
      : `${policy.rules} ${policy.rules === 1 ? 'rule' : 'rules'} of "${policy.file}"; `;
  return [info(`${file}what no rule decides goes the way "${policy.defaultWay}"`)];
}

function remoteLines({ proxy }: StatusReport): GreetingLine[] {
  const beyond = proxy.addresses.some((address) => !isLoopbackText(address));
  if (beyond && !proxy.allowRemote) {
    return [warn('clients of other machines are refused; --allow-remote lets them in')];
  }
  if (!beyond && proxy.allowRemote) {
    return [
      warn('--allow-remote alone changes nothing: the proxy listens on loopback; add --listen ADDRESS:PORT'),
    ];
  }
  if ((proxy.policy?.users ?? 0) > 0) return [];
  return beyond ? [warn('every machine that reaches this proxy may use it, without a password')] : [];
}

/**
 * Where the page is.
 * @param onTerminal a person reads it, not a log: the token is for no log
 */
export function pageLine({ addresses = [], served, url, why }: WebReport, onTerminal: boolean): GreetingLine {
  if (!served) return warn(`the page is not served: ${why ?? 'it is not there yet'}`);
  return onTerminal && url !== undefined
    ? info(`the page: ${url}`)
    : info(`the page is on ${addresses.join(' and ')}; "weft web" prints its address`);
}

/** What follows the log lines about paths, which the supervisor writes as it finds them. */
export function greeting(report: StatusReport, { background = false } = {}): GreetingLine[] {
  const { proxy } = report;
  const best = bestProxyAddress(proxy.addresses);
  const lines = [
    info(`the proxy listens on ${proxy.addresses.join(' and ')}`),
    ...remoteLines(report),
    ...rulesLine(report),
  ];
  if (!proxy.multipath) lines.push(warn('--no-multipath: every connection is plain TCP over one path'));
  if (best !== undefined) {
    lines.push(info(`to use it: export http_proxy=http://${best} https_proxy=http://${best}`));
  }
  lines.push(info(`to see what it does: weft status; to stop it: ${background ? 'weft down' : 'Ctrl-C'}`));
  return lines;
}
