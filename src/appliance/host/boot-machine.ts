/**
 * Boots the machine with what this host can do: KVM where its user may use it and it works, plain emulation else; with
 * QEMU's system call filter where it was built with one.
 */
import { errorText, WeftError, type Logger } from '../../base/index.ts';
import { Machine, type MachineOptions } from './machine.ts';
import type { Accelerator } from './qemu-command.ts';
import { chooseUser, mayUseKvm, readUserFacts } from './qemu-user.ts';
import type { LinkPlan } from './types.ts';

export interface BootOptions extends Omit<MachineOptions, 'accelerator' | 'sandbox' | 'user' | 'onEnd'> {
  readonly logger: Logger;
  /** `false`: KVM is known not to work here. */
  readonly tryKvm: boolean;
  /** KVM was tried in vain; why. */
  readonly onKvmProblem?: (why: string) => void;
  /** Called at most once, and only after the machine was handed over. */
  readonly onEnd: (machine: Machine, why: string) => void;
}

/** A guest with KVM is up in two or three seconds, or never. */
const KVM_BOOT_MS = 10_000;

interface Try {
  readonly accelerator: Accelerator;
  readonly bootTimeoutMs: number;
}

async function startOnce(
  plan: LinkPlan,
  options: Omit<MachineOptions, 'sandbox' | 'onEnd'>,
  { logger, onEnd }: Pick<BootOptions, 'logger' | 'onEnd'>,
): Promise<Machine> {
  let machine: Machine | undefined;
  const tell = (why: string) => {
    if (machine !== undefined) onEnd(machine, why);
  };
  try {
    machine = await Machine.start(plan, { ...options, onEnd: tell, sandbox: true });
  } catch (error) {
    if (!/seccomp|sandbox/i.test(errorText(error))) throw error;
    logger.warn({}, 'this QEMU has no system call filter (seccomp), and runs without');
    machine = await Machine.start(plan, { ...options, onEnd: tell, sandbox: false });
  }
  return machine;
}

/** @throws WeftError NO_QEMU, BOOT, ABORTED, and those of TAP links; nothing is left then */
export async function bootMachine(plan: LinkPlan, options: BootOptions): Promise<Machine> {
  const { bootTimeoutMs, logger, onKvmProblem, tryKvm } = options;
  const facts = readUserFacts();
  const user = chooseUser(facts);
  if (user.trouble !== undefined) logger.warn({}, user.trouble);
  const withKvm = tryKvm && process.arch === 'x64' && mayUseKvm(facts, user);
  const emulation: Try = { accelerator: 'tcg', bootTimeoutMs };
  if (!withKvm) return startOnce(plan, { ...options, ...emulation, user }, options);
  try {
    const kvm: Try = { accelerator: 'kvm', bootTimeoutMs: Math.min(KVM_BOOT_MS, bootTimeoutMs) };
    return await startOnce(plan, { ...options, ...kvm, user }, options);
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== 'BOOT') throw error;
    const why = errorText(error);
    logger.warn({}, `with KVM ${why}; plain emulation is used`);
    onKvmProblem?.(why);
  }
  return startOnce(plan, { ...options, ...emulation, user }, options);
}
