/**
 * Answers "why" where no Weft and no daemon runs that could be asked: reads the host itself, and for a connection looks
 * with an observer of its own, once. What only somebody who saw the connection begin can know is missing then.
 */
import { silentLogger } from '../../base/index.ts';
import type { WhyQuery, WhyReport } from '../observe/api.ts';
import { askRunning, withDaemon } from './ask-running.ts';
import { collectFacts } from './collect.ts';
import { explainHost } from './explain-host.ts';
import { WhyDesk } from './why-desk.ts';

/**
 * @param version the package's
 * @throws WeftError `NO_SUCH_CONNECTION`; `AMBIGUOUS`
 */
export async function explainOnce(query: WhyQuery, version: string): Promise<WhyReport> {
  if (query.connection === undefined) {
    return explainHost(await withDaemon(collectFacts(await askRunning())));
  }
  const [{ Observer }, { kernelSources }] = await Promise.all([
    import('../observe/observer.ts'),
    import('../observe/kernel-sources.ts'),
  ]);
  const observer = new Observer({ sources: kernelSources({ version }), logger: silentLogger });
  await observer.start();
  try {
    return await new WhyDesk({ observer }).answer(query);
  } finally {
    await observer.stop();
  }
}
