/**
 * Carries requests of the object mptcp out: one netlink socket for all of them, opened at the first. What the kernel
 * refuses becomes ip's texts and status; nothing is judged here that the kernel judges.
 */
import { WeftError } from '../../base/index.ts';
import { NetlinkError } from '../../netlink/index.ts';
import { errnoText, linkIndexOf } from '../../native/index.ts';
import { PathManager } from '../../mptcp/index.ts';
import type { MptcpRequest } from './mptcp-request.ts';
import { generalExit, KERNEL_ERROR, kernelRefusal, type CommandFailure, type Exit } from './outcome.ts';
import type { Output } from './output.ts';
import type { Printer } from './printer.ts';

const NO_FAMILY = 'RTNETLINK answers: No such file or directory\nError talking to the kernel\n';

/** The end that a thrown error means; a refusal ends the command, anything else the program. */
export function outcomeOfError(error: unknown): Exit | CommandFailure {
  if (error instanceof NetlinkError) {
    const text = kernelRefusal(error.kernelText, errnoText(error.errno));
    const stderr = error.inDump ? `${text}Dump terminated\n` : text;
    return { kind: 'failure', exitCode: KERNEL_ERROR, stderr };
  }
  if (error instanceof WeftError) {
    return generalExit(error.code === 'NO_MPTCP' ? NO_FAMILY : `weft: ${error.message}\n`);
  }
  throw error;
}

export interface SessionOptions {
  readonly printer: Printer;
  readonly receiveBufferBytes?: number;
}

/** Requests other than `monitor`, which has no end of its own. */
export type FiniteRequest = Exclude<MptcpRequest, { readonly kind: 'monitor' }>;

export class IpSession {
  readonly #options: SessionOptions;
  readonly #output: Output;
  #manager: PathManager | undefined;

  constructor(options: SessionOptions, output: Output) {
    this.#options = options;
    this.#output = output;
  }

  readonly linkIndexOf = linkIndexOf;

  #open(): PathManager {
    const { receiveBufferBytes } = this.#options;
    this.#manager ??= PathManager.open(receiveBufferBytes === undefined ? {} : { receiveBufferBytes });
    return this.#manager;
  }

  /** `undefined`: done. */
  run(request: FiniteRequest): Exit | CommandFailure | undefined {
    try {
      const text = this.#carryOut(this.#open(), request);
      if (text !== undefined) this.#output.write(text);
      return undefined;
    } catch (error) {
      return outcomeOfError(error);
    }
  }

  /** What to print, if anything. */
  #carryOut(manager: PathManager, request: FiniteRequest): string | undefined {
    const { printer } = this.#options;
    switch (request.kind) {
      case 'show-endpoints':
        return printer.endpoints(manager.endpoints());
      case 'show-endpoint': {
        const endpoint = manager.endpoint(request.spec);
        return printer.endpoints(endpoint === undefined ? [] : [endpoint]);
      }
      case 'show-limits':
        return printer.limits(manager.limits());
      case 'add-endpoint':
        manager.addEndpoint(request.spec);
        break;
      case 'delete-endpoint':
        manager.deleteEndpoint(request.spec);
        break;
      case 'change-endpoint':
        manager.setEndpointFlags(request.spec);
        break;
      case 'flush-endpoints':
        manager.flushEndpoints();
        break;
      case 'set-limits':
        manager.setLimits(request.limits);
        break;
    }
    return undefined;
  }

  /** `show-limits` so many times, with few system calls. One outcome for each. */
  runShowLimits(count: number): (Exit | CommandFailure | { readonly kind: 'text'; readonly text: string })[] {
    const { printer } = this.#options;
    try {
      return this.#open()
        .limitsEach(count)
        .map((limits) =>
          limits instanceof NetlinkError
            ? outcomeOfError(limits)
            : { kind: 'text', text: printer.limits(limits) },
        );
    } catch (error) {
      return [outcomeOfError(error)];
    }
  }

  close(): void {
    this.#manager?.close();
    this.#manager = undefined;
  }
}
