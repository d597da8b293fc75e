/**
 * With which environment a program is run, and what its user is told (pure). The facts come from run-program.ts.
 */
import {
  extended,
  preloadAdditions,
  PROXY_VARIABLES,
  proxyVariables,
  type Mechanisms,
} from './environment.ts';
import { Mechanism, type Verdict } from './program-kind.ts';

/** How a program is to be carried: by what reaches its sockets, or by the proxy. Absent: what works. */
export type Via = 'preload' | 'proxy';

type Environment = Readonly<Record<string, string | undefined>>;

export interface RunRequest {
  /** As the user called it. */
  readonly name: string;
  readonly verdict: Verdict;
  readonly mechanisms: Mechanisms;
  readonly via: Via | undefined;
  readonly environment: Environment;
  /** Of the Weft that runs here; `undefined` when none does. */
  readonly proxyUrl: string | undefined;
  /** Why this kernel gives no MPTCP sockets. */
  readonly kernelProblem: string | undefined;
}

export interface RunPlan {
  readonly environment: Environment;
  /** One line for standard error. */
  readonly notice?: string;
}

const VARIABLES = PROXY_VARIABLES.join(', ');

function withProxy(environment: Environment, url: string, replace: boolean): Environment {
  const changed: Record<string, string | undefined> = { ...environment };
  for (const [name, value] of proxyVariables(url)) {
    if (replace || (changed[name] ?? '') === '') changed[name] = value;
  }
  return changed;
}

function withPreloads(environment: Environment, mechanisms: Mechanisms): Environment {
  const changed: Record<string, string | undefined> = { ...environment };
  for (const addition of preloadAdditions(mechanisms)) {
    changed[addition.name] = extended(changed[addition.name], addition);
  }
  return changed;
}

/** What is said of a program whose sockets nothing reaches. */
function unreachedNotice({ name, via, proxyUrl, environment }: RunRequest, reason: string, remedy?: string) {
  const what = `"${name}" itself stays TCP: ${reason}`;
  const or = remedy === undefined ? '' : ` (or: ${remedy})`;
  if (via === 'preload') return `${what}${remedy === undefined ? '' : ` — ${remedy}`}`;
  if (proxyUrl === undefined) {
    return `${what} — it must go through the proxy, and none runs here: start it with "weft up"${or}`;
  }
  const kept = PROXY_VARIABLES.filter((variable) => (environment[variable] ?? '') !== '');
  if (kept.length === 0) return `${what} — it must go through the proxy: ${VARIABLES} are ${proxyUrl}${or}`;
  return `${what} — it must go through the proxy ${proxyUrl}, but ${kept.join(', ')} of its environment stay; "--via proxy" replaces them${or}`;
}

/** Whether the verdict leaves only the proxy, so that it is worth looking for. */
export function needsProxy({ verdict, via, kernelProblem }: Omit<RunRequest, 'proxyUrl'>): boolean {
  if (via !== undefined) return via === 'proxy';
  return verdict.mechanism === undefined && kernelProblem === undefined;
}

export function planRun(request: RunRequest): RunPlan {
  const { name, verdict, mechanisms, via, environment, proxyUrl, kernelProblem } = request;
  if (via === 'proxy') {
    return { environment: proxyUrl === undefined ? environment : withProxy(environment, proxyUrl, true) };
  }
  if (kernelProblem !== undefined) {
    // The library has no way back to TCP: a program that it is loaded into would get no sockets at all.
    const { registerPath } = mechanisms;
    const loses = verdict.mechanism === Mechanism.library ? ', and libmptcpwrap.so is left out' : '';
    return {
      environment: withPreloads(environment, { registerPath }),
      notice: `"${name}" runs over TCP${loses}: ${kernelProblem}`,
    };
  }
  const preloaded = withPreloads(environment, mechanisms);
  if (verdict.mechanism !== undefined) return { environment: preloaded };
  const reached =
    via === undefined && proxyUrl !== undefined ? withProxy(preloaded, proxyUrl, false) : preloaded;
  return { environment: reached, notice: unreachedNotice(request, verdict.reason, verdict.remedy) };
}
