/**
 * The backend of a host whose kernel has MPTCP: a supervisor that keeps routing tables, rules and endpoints in step
 * with the links. Also of one whose kernel has none and that has no appliance: then nothing is changed, and the
 * supervisor says why.
 */
import { WeftError } from '../base/index.ts';
import type { Backend, BackendStatus } from './backend.ts';
import type { HostControl } from './observe/host-control.ts';
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

  get control(): HostControl {
    const supervisor = this.#supervisor;
    return {
      refusal: () => this.#refusal(),
      ownsEndpoint: (id) => supervisor.status().endpoints.some((known) => known.id === id && known.ours),
      setPath: (link, backup) => {
        supervisor.setBackup(link, backup);
        return Promise.resolve(0);
      },
      setLimits: (limits) => supervisor.setLimits(limits),
      lookNow: () => supervisor.lookNow(),
    };
  }

  #refusal(): WeftError | undefined {
    if (!this.#multipath) {
      return new WeftError(
        'this Weft changes nothing on the host, because it was started with --no-multipath',
        {
          code: 'NO_MULTIPATH',
        },
      );
    }
    if (this.#supervisor.mayChange) return undefined;
    return new WeftError('this Weft may not change the host: it has no CAP_NET_ADMIN (EPERM)', {
      code: 'EPERM',
      hint: 'run it as root ("sudo weft up"), or in a systemd unit with AmbientCapabilities=CAP_NET_ADMIN',
    });
  }

  stop(): Promise<void> {
    return this.#supervisor.stop();
  }
}
