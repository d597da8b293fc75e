/**
 * `weft doctor`, `weft explain` and "why": collects facts about the host and about one connection's other end
 * (collect*.ts, the only files here with I/O, and why-desk.ts, which calls them) and judges them (judge.ts, checks-*.ts,
 * explain-*.ts, pure). Reads only; nothing on the host is changed.
 */
export { askRunning, askWhy, withDaemon, withObserved } from './ask-running.ts';
export { collectFacts, withPeer, type CollectOptions } from './collect.ts';
export type { PeerQuestion } from './collect-peer.ts';
export { explainConnection } from './explain-connection.ts';
export { explainHost } from './explain-host.ts';
export { explainOnce } from './explain-once.ts';
export type { Check, CheckResult, DaemonFact, HostFacts, RunningFact, Verdict } from './facts.ts';
export { FINDING_IDS, type FindingId } from './finding-ids.ts';
export { judge, type Diagnosis } from './judge.ts';
export { WhyDesk, type WhyObserver, type WhyDeskOptions } from './why-desk.ts';
