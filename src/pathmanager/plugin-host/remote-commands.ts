/**
 * A plugin's commands in its own thread: each is a message to the daemon and a promise that its answer settles.
 *
 * Invariant: BOUNDED: at most `MAX_CALLS` wait for their answers; more are refused.
 */
import { WeftError } from '../../base/errors.ts';
import type { PluginCommands } from './commands.ts';
import { COMMANDS, type CommandCall, type CommandGroup, type RemoteFailure } from './worker-protocol.ts';

const MAX_CALLS = 16_384;

/** What a command was refused with, as the daemon's own thread has it: NetlinkError, SystemError, WeftError. */
export class CommandError extends WeftError {
  readonly errno: number | undefined;
  /** The kernel's own text, when it gave one. */
  readonly kernelText: string | undefined;

  constructor(failure: RemoteFailure) {
    super(failure.message, { code: failure.code ?? 'FAILED' });
    this.errno = failure.errno;
    this.kernelText = failure.kernelText;
  }
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class RemoteCommands {
  readonly #post: (call: CommandCall) => void;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  readonly groups: PluginCommands;

  constructor(post: (call: CommandCall) => void) {
    this.#post = post;
    const groups: Record<string, Record<string, unknown>> = {};
    for (const group of Object.keys(COMMANDS) as CommandGroup[]) {
      const members: Record<string, unknown> = {};
      for (const command of COMMANDS[group]) {
        members[command] = (...args: unknown[]) => this.#call(group, command, args);
      }
      groups[group] = members;
    }
    // The names are those of COMMANDS, which a test holds against the commands that there are.
    this.groups = groups as unknown as PluginCommands;
  }

  #call(group: CommandGroup, command: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= MAX_CALLS) {
        const why = `${MAX_CALLS} commands wait for their answers`;
        reject(new WeftError(`${group}.${command}: ${why}`, { code: 'TOO_MANY_CALLS' }));
        return;
      }
      this.#lastId++;
      const id = this.#lastId;
      // Throws, and so rejects, when the arguments cannot be copied.
      this.#post({ kind: 'call', id, group, command, arguments: args });
      this.#waiting.set(id, { resolve, reject });
    });
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  answer(id: number, value: unknown): void {
    this.#take(id)?.resolve(value);
  }

  refuse(id: number, failure: RemoteFailure): void {
    this.#take(id)?.reject(new CommandError(failure));
  }
}
