/**
 * The proxy's policy while it runs: loaded at the start, loaded again when somebody asks, and what came of that.
 *
 * Invariant: what is in force was read as a whole; a file with a mistake changes nothing.
 */
import { errorText, type Logger } from '../base/index.ts';
import type { ProxyPolicy, UpstreamHealth } from '../proxy/index.ts';
import { loadPolicy, RulesError, type PolicySources } from './proxy-rules.ts';

const counted = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`;

/** `2 rules, 1 upstream proxy, 0 users` (pure). */
export function describePolicy({
  rules,
  upstreams,
  users,
}: Pick<ReloadReport, 'rules' | 'upstreams' | 'users'>): string {
  return [
    counted(rules, 'rule', 'rules'),
    counted(upstreams, 'upstream proxy', 'upstream proxies'),
    counted(users, 'user', 'users'),
  ].join(', ');
}

/** What of the proxy is needed here. */
export interface PolicyTaker {
  setPolicy(policy: ProxyPolicy): void;
}

/** What a reload has come to. */
export interface ReloadReport {
  /** `false`: the rules have mistakes; those of before stay in force. */
  readonly applied: boolean;
  /** Each with file and line. */
  readonly mistakes: readonly string[];
  /** In force now. */
  readonly rules: number;
  readonly upstreams: number;
  readonly users: number;
}

/** The policy in force, for status. */
export interface PolicyReport {
  /** Absent: there is none. */
  readonly file?: string;
  readonly rules: number;
  readonly users: number;
  /** What everything takes that no rule decides: `direct`, `multipath`, `refuse`, or an upstream proxy's name. */
  readonly defaultWay: string;
  readonly upstreams: readonly UpstreamHealth[];
  readonly loadedForMs: number;
  /** Why the last reload changed nothing. */
  readonly lastReloadFailed?: readonly string[];
}

export class PolicyKeeper {
  readonly #sources: PolicySources;
  readonly #logger: Logger;
  #policy: ProxyPolicy;
  /** Of the monotonic clock. */
  #loadedAtMs = performance.now();
  #mistakes: readonly string[] = [];

  /** @throws RulesError and others of `loadPolicy`; all mistakes are in the log then */
  constructor(sources: PolicySources, logger: Logger) {
    this.#sources = sources;
    this.#logger = logger;
    try {
      this.#policy = loadPolicy(sources);
    } catch (error) {
      if (error instanceof RulesError && error.mistakes.length > 1) this.#logMistakes(error.mistakes);
      throw error;
    }
  }

  get policy(): ProxyPolicy {
    return this.#policy;
  }

  /** Reads everything again and gives it to the proxy. Never throws. */
  reload(taker: PolicyTaker): ReloadReport {
    try {
      const policy = loadPolicy(this.#sources);
      taker.setPolicy(policy);
      this.#policy = policy;
      this.#loadedAtMs = performance.now();
      this.#mistakes = [];
      const counts = this.#counts();
      this.#logger.info({ ...counts }, `rules read again: ${describePolicy(counts)}`);
    } catch (error) {
      this.#mistakes = error instanceof RulesError ? error.mistakes : [errorText(error)];
      this.#logMistakes(this.#mistakes);
      this.#logger.error({}, 'the rules of before stay in force');
    }
    return { applied: this.#mistakes.length === 0, mistakes: this.#mistakes, ...this.#counts() };
  }

  #logMistakes(mistakes: readonly string[]): void {
    for (const mistake of mistakes) this.#logger.error({}, mistake);
  }

  #counts(): Pick<ReloadReport, 'rules' | 'upstreams' | 'users'> {
    const { rules, upstreams, users } = this.#policy;
    return { rules: rules.length, upstreams: upstreams.size, users: users.size };
  }

  report(upstreams: readonly UpstreamHealth[]): PolicyReport {
    const { defaultWay, rules, users } = this.#policy;
    const { rulesFile } = this.#sources;
    return {
      ...(rulesFile === undefined ? {} : { file: rulesFile }),
      rules: rules.length,
      users: users.size,
      defaultWay: defaultWay.kind === 'upstream' ? defaultWay.upstream : defaultWay.kind,
      upstreams,
      loadedForMs: Math.round(performance.now() - this.#loadedAtMs),
      ...(this.#mistakes.length === 0 ? {} : { lastReloadFailed: this.#mistakes }),
    };
  }
}
