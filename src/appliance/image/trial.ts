/**
 * Tries an image: boots it without any network card, waits until its guest says hello, and ends it. Nothing is made on
 * the host but the process, whose guest powers itself off when this one dies meanwhile.
 *
 * Invariant: no process is left, however it ends.
 */
import { randomUUID } from 'node:crypto';
import { errorText, WeftError } from '../../base/index.ts';
import { closeFd } from '../../native/index.ts';
import type { GuestHello } from '../guest/protocol.ts';
import { AgentClient, guestText } from '../host/agent-client.ts';
import type { BootSource } from '../host/qemu-command.ts';
import { QemuProcess } from '../host/qemu-process.ts';
import { chooseUser, readUserFacts } from '../host/qemu-user.ts';

export interface TrialOptions {
  /** QEMU's name or path. */
  readonly program: string;
  readonly boot: BootSource;
  readonly memoryMiB: number;
  /** Until the guest says hello. */
  readonly timeoutMs: number;
}

const POWER_OFF_MS = 5000;

function within<T>(work: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** What came of a QEMU that was started. */
async function boot(options: TrialOptions, sandbox: boolean): Promise<GuestHello> {
  const { memoryMiB, program, timeoutMs } = options;
  const machine = await QemuProcess.start({
    uuid: randomUUID(),
    program,
    boot: options.boot,
    accelerator: 'tcg',
    memoryMiB,
    processors: 1,
    sandbox,
    user: chooseUser(readUserFacts()),
    nics: [],
  });
  // Nobody asks the monitor anything, and its end may be closed.
  closeFd(machine.monitorFd);
  const agent = new AgentClient(
    machine.agentFd,
    () => {},
    () => {},
  );
  try {
    const hello = await Promise.race([agent.waitForHello(timeoutMs), machine.exited.then(() => undefined)]);
    if (hello === undefined) {
      const tail = machine.consoleTail(3).join(' | ');
      const how =
        machine.exit === undefined ? `it did not answer within ${timeoutMs / 1000} s` : 'QEMU ended';
      throw new WeftError(
        `the image does not come up: ${how}${tail === '' ? '' : `; its console: ${tail}`}`,
        {
          code: 'BOOT',
        },
      );
    }
    await agent.ask({ do: 'stop' }, POWER_OFF_MS).catch(() => {});
    await within(machine.exited, POWER_OFF_MS);
    return hello;
  } finally {
    await machine.kill();
    agent.close();
  }
}

/**
 * @returns what the guest said
 * @throws WeftError NO_QEMU, BOOT when it does not come up, NO_MPTCP when its kernel has none
 */
export async function tryImage(options: TrialOptions): Promise<GuestHello> {
  let hello: GuestHello;
  try {
    hello = await boot(options, true);
  } catch (error) {
    // A QEMU that was built without the system call filter says so and ends.
    if (!/seccomp|sandbox/i.test(errorText(error))) throw error;
    hello = await boot(options, false);
  }
  if (hello.mptcp) return hello;
  const why = hello.mptcpProblem ?? 'it does not say why';
  throw new WeftError(`the image's kernel has no MPTCP: ${guestText(why)}`, { code: 'NO_MPTCP' });
}
