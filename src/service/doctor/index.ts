/**
 * `weft doctor`: collects facts about the host (collect.ts, the only file here with I/O) and judges them (judge.ts,
 * checks-*.ts, pure). Reads only; nothing on the host is changed.
 */
export { collectFacts } from './collect.ts';
export type { Check, CheckResult, HostFacts, Verdict } from './facts.ts';
export { judge, type Diagnosis } from './judge.ts';
