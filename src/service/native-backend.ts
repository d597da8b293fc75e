/**
 * The backend of a host whose kernel has MPTCP: a supervisor that keeps routing tables, rules and endpoints in step
 * with the links. Also of one whose kernel has none and that has no appliance: then nothing is changed, and the
 * supervisor says why.
 */
import type { Backend, BackendStatus } from './backend.ts';
import { Supervisor, type SupervisorOptions } from './supervisor.ts';

export interface NativeBackendOptions extends SupervisorOptions {
  /** `false`: nothing is changed on the host, because connections are to be plain TCP. */
  readonly multipath: boolean;
}

export class NativeBackend implements Backend {
  readonly kind = 'native';
  readonly proxy = undefined;
  readonly #supervisor: Supervisor;
  readonly #multipath: boolean;

  constructor({ multipath, ...options }: NativeBackendOptions) {
    this.#multipath = multipath;
    this.#supervisor = new Supervisor(options);
  }

  async start(): Promise<void> {
    if (this.#multipath) await this.#supervisor.start();
  }

  reconcile(): Promise<void> {
    this.#supervisor.lookNow();
    return Promise.resolve();
  }

  status(): BackendStatus {
    const { actions, ...supervised } = this.#supervisor.status();
    return { ...supervised, actions: { ...actions } };
  }

  stop(): Promise<void> {
    return this.#supervisor.stop();
  }
}
