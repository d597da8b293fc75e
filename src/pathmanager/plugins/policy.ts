/**
 * The plugin `policy`: rules in a file say which connections get which subflows. The file is read by policy-file.ts,
 * what a rule means is policy-plan.ts; its reference is docs/policy.md.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { errorText, WeftError } from '../../base/index.ts';
import type { Plugin, PluginContext } from '../plugin-api.ts';
import { KeeperDriver } from './keeper-driver.ts';
import type { Users } from './policy-file.ts';
import { policyPlanner } from './policy-plan.ts';
import { ruleFor, type Policy } from './policy-rules.ts';
import { readSettings } from './plugin-settings.ts';
import { DEFAULT_RETRY_TIMES } from './retry-pace.ts';

export const POLICY_SETTINGS = { file: { kind: 'text', default: '/etc/weft/policy.toml' } } as const;

const FILE_MAX_BYTES = 1 << 20;
const WRITABLE_BY_OTHERS = 0o002;

function refuse(file: string, why: string, hint: string, cause?: unknown): never {
  throw new WeftError(`read policy "${file}": ${why}`, {
    code: 'BAD_POLICY',
    hint,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Checked by the descriptor, so that nobody exchanges the file in between. */
function readTrusted(file: string): string {
  let fd: number;
  try {
    // A pipe would be waited for until somebody writes to it.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return refuse(file, errorText(error), 'the file is named by [plugin policy] file = PATH', error);
  }
  try {
    const { mode, uid, size } = fstatSync(fd);
    if ((mode & 0o170000) !== 0o100000) refuse(file, 'not a regular file', 'name a file');
    if ((mode & WRITABLE_BY_OTHERS) !== 0) refuse(file, 'everybody may write it', `chmod o-w ${file}`);
    if (uid !== 0 && uid !== process.geteuid?.()) {
      refuse(file, `it belongs to user ${uid}`, 'it has to be of root or of the user of this process');
    }
    if (size > FILE_MAX_BYTES) refuse(file, `it has ${size} bytes`, `at most ${FILE_MAX_BYTES} are read`);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** The host's users of /etc/passwd; those of a directory service have to be named by their ids. */
function readUsers(): Users {
  try {
    const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
    const entries = lines.map((line) => line.split(':')).filter((fields) => fields.length > 2);
    return new Map(entries.map(([name = '', , uid]) => [name, Number(uid)]));
  } catch {
    return new Map();
  }
}

/** @throws WeftError BAD_POLICY with the first mistake; all of them are in the log then */
async function load(file: string, { log }: PluginContext): Promise<Policy> {
  // Only here, so that a daemon without this plugin does not load a parser.
  const { readPolicy } = await import('./policy-file.ts');
  const { policy: found, mistakes } = readPolicy(readTrusted(file), readUsers());
  if (found !== undefined) return found;
  const texts = mistakes.map(({ line, text }) => `${file}:${line}: ${text}`);
  for (const text of texts) log.error(text);
  const more = texts.length > 1 ? ` (and ${texts.length - 1} more, in the log)` : '';
  throw new WeftError(`${texts[0]}${more}`, { code: 'BAD_POLICY' });
}

export function policy(): Plugin {
  let driver: KeeperDriver | undefined;
  return {
    name: 'policy',
    description: 'subflows as the rules of a file say: by destination, port, user, control group',
    async init(context) {
      const { file } = readSettings('policy', context.settings, POLICY_SETTINGS);
      const current = await load(file, context);
      driver = new KeeperDriver(context, {
        planner: policyPlanner(() => current.rules),
        times: {
          ...DEFAULT_RETRY_TIMES,
          firstMs: current.firstRetryMs,
          longestMs: current.longestRetryMs,
        },
        needsOwner: (event) => ruleFor(current.rules, event) === 'unknown',
      });
      await driver.start();
      context.log.info(`${current.rules.length} rules of ${file}`);
    },
    exit: () => driver?.close(),
  };
}
