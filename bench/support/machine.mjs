/** What the figures are of: the machine, its software, and the day. */
import { cpus, release, totalmem } from 'node:os';

export const describeMachine = () => ({
  date: new Date().toISOString().slice(0, 10),
  cpus: cpus().length,
  model: cpus()[0]?.model ?? 'unknown',
  memoryGib: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
});
