/** Carries out a command that a plugin's thread asked for, and makes the answer. */
import { errorText, WeftError } from '../../base/index.ts';
import type { PluginCommands } from './commands.ts';
import { COMMANDS, type CommandCall, type RemoteFailure, type ToPlugin } from './worker-protocol.ts';

function failureOf(error: unknown): RemoteFailure {
  const { code, errno, kernelText } = error as {
    readonly code?: unknown;
    readonly errno?: unknown;
    readonly kernelText?: unknown;
  };
  return {
    message: errorText(error),
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof errno === 'number' ? { errno } : {}),
    ...(typeof kernelText === 'string' ? { kernelText } : {}),
  };
}

type AnyCommand = (...args: readonly unknown[]) => Promise<unknown>;

/** Never rejects. */
export async function answerCall(commands: PluginCommands, call: CommandCall): Promise<ToPlugin> {
  const { id, group, command } = call;
  try {
    // The thread may have been made to send anything.
    const names: readonly string[] | undefined = COMMANDS[group];
    if (names === undefined || !names.includes(command)) {
      throw new WeftError(`there is no command "${group}.${command}"`, { code: 'NO_COMMAND' });
    }
    const members = commands[group] as unknown as Readonly<Record<string, AnyCommand>>;
    return { kind: 'answer', id, value: await members[command]?.(...call.arguments) };
  } catch (error) {
    return { kind: 'refusal', id, failure: failureOf(error) };
  }
}
