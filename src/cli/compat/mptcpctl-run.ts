/**
 * Carries out mptcpctl's commands with what `weft up --background`, `weft down`, `weft status` and `weft appliance` do;
 * only the words are its own (mptcpctl-messages.ts).
 */
import { CommanderError } from 'commander';
import { WeftError } from '../../base/index.ts';
import {
  bestProxyAddress,
  ControlClient,
  isProxyAlive,
  surveyLinks,
  takeDown,
  USUAL_PROXY,
  type BackgroundOutcome,
  type StatusReport,
} from '../../service/index.ts';
import { upCommand } from '../commands/up.ts';
import { checkSameOptions, startUp } from '../up-background.ts';
import { optionWords, type UpOptions } from '../up-options.ts';
import { USAGE_ERROR, type MptcpctlCommand, type MptcpctlLine } from './mptcpctl-grammar.ts';
import {
  describeChanges,
  describeCleaning,
  describeLinks,
  describeStatus,
  globally,
} from './mptcpctl-messages.ts';
import { Speaker } from './mptcpctl-speaker.ts';

const NO_UPDATE = 'not running -> no update possible';

const client = new ControlClient();

/** The running one's report; `undefined` when none runs. @throws WeftError when it may not be asked */
async function findReport(): Promise<StatusReport | undefined> {
  try {
    return await client.status();
  } catch (error) {
    if (error instanceof WeftError && ['NOT_RUNNING', 'NOT_STARTED'].includes(error.code)) return undefined;
    throw error;
  }
}

/** The options of `weft up` as that reads them. @throws CommanderError */
async function readUpOptions(words: readonly string[]): Promise<UpOptions> {
  let options: UpOptions | undefined;
  // What is wrong is told by our own words.
  const command = upCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  command.action((read: UpOptions) => {
    options = read;
  });
  await command.parseAsync([...words], { from: 'user' });
  return options ?? { multipath: true };
}

async function anyAlive({ proxy }: StatusReport): Promise<boolean> {
  const [first] = proxy.addresses;
  return first !== undefined && (await isProxyAlive(first));
}

/** How long the links into a virtual machine may take before `start` tells how they are. */
const LINKS_DEADLINE_MS = 15_000;
const POLL_MS = 100;

/** The report when no link is on its way into the appliance any more, or when that takes too long. */
async function reportWithLinks(): Promise<StatusReport> {
  const endMs = performance.now() + LINKS_DEADLINE_MS;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one question after another
    const report = await client.status();
    const isReady = report.appliance?.links.every(({ state }) => state !== 'waiting') ?? true;
    if (isReady || performance.now() >= endMs) return report;
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}

function sayHowItRuns(speaker: Speaker, { log, pid }: BackgroundOutcome, report: StatusReport): void {
  const { backend, mode, proxy, reason } = report;
  speaker.say(globally(`backend ${backend.kind}: ${backend.why}`), ...describeLinks(report));
  if (mode !== 'multipath') speaker.say(globally(`${mode}: ${reason}`));
  speaker.add({ pid, log, backend: backend.kind, mode, proxy: proxy.addresses });
}

async function start(speaker: Speaker, line: MptcpctlLine): Promise<boolean> {
  const options = await readUpOptions(line.words);
  const words = optionWords(line.words);
  if ((await findReport()) === undefined) {
    speaker.say(globally('not yet running! -> warming up'), globally('Waiting for the proxy to start'));
  }
  const outcome = await startUp(options, words);
  checkSameOptions(outcome, words);
  if (outcome.kind === 'already') speaker.say(globally(`already running (process ${outcome.pid})`));
  const report = await reportWithLinks();
  sayHowItRuns(speaker, outcome, report);
  if (!(await anyAlive(report))) {
    speaker.say(globally('Proxy is dead'));
    throw new WeftError('it has started, but its proxy does not answer: was it stopped meanwhile?', {
      code: 'PROXY_DEAD',
      hint: '"mptcpctl status" says what runs now',
    });
  }
  const address = bestProxyAddress(report.proxy.addresses) ?? '';
  speaker.say(globally(`Proxy is alive -> http_proxy=http://${address}`));
  return true;
}

/** One that does not answer is ended all the same. @throws WeftError: another user's */
async function findReportOfOneToEnd(): Promise<StatusReport | undefined> {
  try {
    return await findReport();
  } catch (error) {
    if (error instanceof WeftError && (error.code === 'EACCES' || error.code === 'EPERM')) throw error;
    return undefined;
  }
}

async function stop(speaker: Speaker): Promise<boolean> {
  const before = await findReportOfOneToEnd();
  if (before !== undefined) speaker.say(...describeCleaning(before), globally('stopping the proxy'));
  const { failures, outcome, removed } = await takeDown();
  speaker.add({ outcome, removed, failures });
  if (outcome === 'not-running') speaker.say(globally('not running'));
  if (outcome === 'killed') speaker.say(globally('it did not stop by itself -> killed'));
  if (removed.length > 0) speaker.say(globally(`-> cleaning up after a crash: ${removed.join(', ')}`));
  if (failures.length > 0) speaker.say(...failures.map(globally));
  else speaker.say(globally('this machine is as it was'));
  return failures.length === 0;
}

/** What a Weft of another user can be asked by; it says no more than that it is there. */
const askAnother = (command: string) =>
  process.getuid?.() === 0
    ? 'to be asked as that user, or with its WEFT_RUNTIME_DIR'
    : `sudo mptcpctl ${command}`;

/** Nothing of this user's runs. */
async function sayNoUpdate(speaker: Speaker, command: string): Promise<void> {
  const answers = await isProxyAlive(USUAL_PROXY);
  speaker.say(globally(answers ? `run by another user -> ${askAnother(command)}` : NO_UPDATE));
}

async function status(speaker: Speaker): Promise<boolean> {
  const report = await findReport();
  if (report === undefined) {
    const answers = await isProxyAlive(USUAL_PROXY);
    speaker.add({ alive: answers });
    if (answers) {
      speaker.say(
        globally(`Proxy is alive (${USUAL_PROXY}), run by another user -> ${askAnother('status')}`),
      );
      return true;
    }
    speaker.say(globally('Virtual machine is not running'), globally('Proxy is dead'));
    return false;
  }
  const alive = await anyAlive(report);
  speaker.say(...describeStatus(report, alive));
  speaker.add({ alive, status: report });
  return alive;
}

async function update(speaker: Speaker): Promise<boolean> {
  const before = await findReport();
  if (before === undefined) {
    await sayNoUpdate(speaker, 'update');
    return false;
  }
  const after = await client.reconcile();
  const changes = describeChanges(before, after);
  speaker.say(globally('route changes might have occurred -> check'));
  speaker.say(...(changes.length === 0 ? [globally('no changes detected')] : changes));
  speaker.add({ changed: changes.length > 0 });
  return true;
}

async function updateInterfaces(speaker: Speaker): Promise<boolean> {
  const report = await findReport();
  const links = describeLinks(report ?? (await surveyLinks()));
  speaker.say(...(links.length === 0 ? [globally('no interface could be used')] : links));
  return true;
}

async function monitor(speaker: Speaker): Promise<boolean> {
  const report = await findReport();
  if (report === undefined) {
    await sayNoUpdate(speaker, 'monitor');
    return false;
  }
  const { runMonitor } = await import('./mptcpctl-monitor.ts');
  return runMonitor(speaker, report);
}

type Deed = (speaker: Speaker, line: MptcpctlLine) => Promise<boolean>;

/** Of the appliance's store. */
const withStore: Deed = async (speaker, line) => {
  const { runStoreCommand } = await import('./mptcpctl-store.ts');
  return runStoreCommand(speaker, line, await findReport());
};

const DEEDS: Readonly<Record<MptcpctlCommand, Deed>> = {
  start,
  stop,
  status,
  update,
  monitor,
  'update-ifaces': updateInterfaces,
  import: withStore,
  export: withStore,
  upgrade: withStore,
};

/** @returns the exit code */
export async function runMptcpctl(line: MptcpctlLine): Promise<number> {
  const speaker = new Speaker(line);
  try {
    return speaker.end(await DEEDS[line.command](speaker, line));
  } catch (error) {
    if (!(error instanceof CommanderError)) return speaker.end(false, error);
    speaker.end(false, new WeftError(error.message.replace(/^error: /, ''), { code: 'USAGE' }));
    return USAGE_ERROR;
  }
}
