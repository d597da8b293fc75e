/**
 * `mptcpctl import`, `export` and `upgrade`: the appliance's image, whichever backend this host uses. What they do is
 * `weft appliance`'s.
 */
import { WeftError } from '../../base/index.ts';
import type { StatusReport } from '../../service/index.ts';
import type { MptcpctlLine } from './mptcpctl-grammar.ts';
import type { Speaker } from './mptcpctl-speaker.ts';

export function runStoreCommand(
  _speaker: Speaker,
  line: MptcpctlLine,
  _running: StatusReport | undefined,
): Promise<boolean> {
  return Promise.reject(new WeftError(`"${line.command}" is not there yet`, { code: 'NOT_YET' }));
}
