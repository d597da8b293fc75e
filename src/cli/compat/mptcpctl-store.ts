/**
 * `mptcpctl import`, `export` and `upgrade`: the appliance's image, whichever backend this host uses. What they do is
 * `weft appliance`'s; that nothing changes under a running one is this command's own rule, as it was the script's.
 */
import {
  exportImage,
  ImageStore,
  importImage,
  mptcpSocketProblem,
  upgradeImage,
  type StatusReport,
} from '../../service/index.ts';
import { describeImage, imageJson } from '../appliance-text.ts';
import { packageVersion } from '../version.ts';
import type { MptcpctlLine } from './mptcpctl-grammar.ts';
import { globally } from './mptcpctl-messages.ts';
import type { Speaker } from './mptcpctl-speaker.ts';

const NOT_NEEDED =
  'this kernel speaks MPTCP, so "start" needs no virtual machine; "start --backend appliance" uses it';

/** What a user who does not know which backend he has should be told. */
function sayWhatFor(speaker: Speaker): void {
  if (process.platform === 'linux' && mptcpSocketProblem() === undefined) speaker.say(globally(NOT_NEEDED));
}

async function importFile(speaker: Speaker, file: string): Promise<void> {
  const store = new ImageStore();
  const before = store.currentDigest;
  const image = await importImage(store, file);
  if (before !== undefined && before !== image.digest) {
    speaker.say(globally('Virtual machine exists -> kept as the one before'));
  }
  speaker.say(globally(`imported: ${describeImage(image)}`));
  speaker.add({ changed: image.digest !== before, ...imageJson(image) });
}

async function exportFile(speaker: Speaker, file: string): Promise<void> {
  const image = await exportImage(new ImageStore(), file);
  speaker.say(globally(`exported to "${file}": ${describeImage(image)}`));
  speaker.add({ file, ...imageJson(image) });
}

async function upgrade(speaker: Speaker, file: string | undefined): Promise<void> {
  const store = new ImageStore();
  const before = store.currentDigest;
  speaker.say(globally(file === undefined ? 'building a new one -> trying it' : 'a new one -> trying it'));
  const image = await upgradeImage(store, {
    version: packageVersion(),
    ...(file === undefined ? {} : { file }),
  });
  const changed = image.digest !== before;
  speaker.say(globally(`${changed ? 'upgraded' : 'no newer one'}: ${describeImage(image)}`));
  speaker.add({ changed, ...imageJson(image) });
}

/** @returns whether it was done */
export async function runStoreCommand(
  speaker: Speaker,
  { command, words }: MptcpctlLine,
  running: StatusReport | undefined,
): Promise<boolean> {
  const [file] = words;
  if (command !== 'export' && running?.backend.kind === 'appliance') {
    speaker.say(globally('Need to stop proxy first!'));
    return false;
  }
  if (command === 'upgrade') await upgrade(speaker, file);
  else if (command === 'import') await importFile(speaker, file ?? '');
  else await exportFile(speaker, file ?? '');
  sayWhatFor(speaker);
  return true;
}
