/**
 * Where the proxy's policy comes from: the rules file, the files that it names, and the command line's upstream
 * proxy. Reads all of it anew each time, whole or not at all.
 *
 * Invariant: a file with a secret (token, key, password, verifier) is believed only when nobody but its owner and
 * group may read it; no message holds what stands in one.
 */
import { dirname, resolve } from 'node:path';
import { errorText, WeftError } from '../base/index.ts';
import {
  DEFAULT_POLICY,
  parseTokenFile,
  parseUpstreamUrl,
  type ProxyPolicy,
  type UpstreamProxy,
} from '../proxy/index.ts';
import { readRulesDocument, type RulesDocument, type UpstreamEntry } from './proxy-rules-document.ts';
import { checkPrivate, readNamedFile } from './named-file.ts';

/** Name of the upstream proxy that the command line brings, for rules. */
export const GIVEN_UPSTREAM = 'upstream';

export interface PolicySources {
  readonly rulesFile?: string;
  /** Everything that no rule sends elsewhere goes through it, unless the file has a default. */
  readonly upstream?: { readonly url: string; readonly tokenFile?: string };
}

/** BOUNDED: mistakes of one file that are told. */
const MAX_TOLD = 100;

/** What was wrong, each with its place. */
export class RulesError extends WeftError {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    const more = mistakes.length > 1 ? ` (and ${mistakes.length - 1} more)` : '';
    super(`${mistakes[0] ?? 'the rules are not understood'}${more}`, { code: 'BAD_RULES' });
    const untold = mistakes.length - MAX_TOLD;
    this.mistakes = untold > 0 ? [...mistakes.slice(0, MAX_TOLD), `and ${untold} more mistakes`] : mistakes;
  }
}

const firstLine = (text: string): string => text.split(/\r?\n/, 1)[0] ?? '';

/** One token, the first of the file. @throws WeftError */
function readToken(path: string): string {
  const tokens = parseTokenFile(readNamedFile(path, 'the token file', true).text);
  const token = typeof tokens === 'string' ? undefined : tokens[0]?.token;
  if (token !== undefined) return token;
  const why = typeof tokens === 'string' ? tokens : 'there is no token in it';
  throw new WeftError(`"${path}": ${why}`, {
    code: 'BAD_TOKEN_FILE',
    hint: '"weft serve" makes one at its first start',
  });
}

/** @param folder what relative names are relative to */
function completeUpstream(entry: UpstreamEntry, folder: string): UpstreamProxy {
  const { name, kind, host, port, user, multipath } = entry;
  const at = (path: string) => resolve(folder, path);
  const password =
    entry.passwordFile === undefined
      ? entry.password
      : firstLine(readNamedFile(at(entry.passwordFile), 'the password file', true).text);
  const certificates = {
    ...(entry.caFile === undefined
      ? {}
      : { ca: readNamedFile(at(entry.caFile), 'the certificate file', false).text }),
    ...(entry.certFile === undefined
      ? {}
      : { cert: readNamedFile(at(entry.certFile), 'the certificate file', false).text }),
    ...(entry.keyFile === undefined
      ? {}
      : { key: readNamedFile(at(entry.keyFile), 'the key file', true).text }),
  };
  return {
    name,
    kind,
    host,
    port,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(entry.tokenFile === undefined ? {} : { token: readToken(at(entry.tokenFile)) }),
    ...(Object.keys(certificates).length === 0 ? {} : { certificates }),
    ...(multipath === undefined ? {} : { multipath }),
  };
}

const bad = (text: string, hint?: string): WeftError =>
  new WeftError(`--upstream: ${text}`, { code: 'BAD_UPSTREAM', ...(hint === undefined ? {} : { hint }) });

/** @throws WeftError `BAD_UPSTREAM` */
function givenUpstream({ url, tokenFile }: NonNullable<PolicySources['upstream']>): UpstreamProxy {
  const parsed = parseUpstreamUrl(url);
  if (typeof parsed === 'string') throw bad(parsed);
  if ((parsed.password ?? '') !== '') {
    const hint = 'write it in a rules file: [upstream.NAME] with url and password_file, and default = "NAME"';
    throw bad('a password does not belong on a command line, which every user of this host can read', hint);
  }
  if (parsed.kind === 'weft' && tokenFile === undefined) {
    throw bad(
      'a far end wants to know who comes',
      'add --token-file FILE, the file that "weft serve" made there',
    );
  }
  if (parsed.kind !== 'weft' && tokenFile !== undefined)
    throw bad(`${parsed.kind}:// knows no tokens; weft:// does`);
  const token = tokenFile === undefined ? {} : { token: readToken(tokenFile) };
  return { name: GIVEN_UPSTREAM, ...parsed, ...token };
}

function readDocument(path: string, given: readonly string[]): RulesDocument {
  const file = readNamedFile(path, 'the rules file', false);
  const { document, mistakes } = readRulesDocument(file.text, given);
  if (document === undefined) {
    throw new RulesError(mistakes.map(({ line, text }) => `${path}:${line}: ${text}`));
  }
  if (document.hasSecrets) checkPrivate(path, file);
  if (given.length > 0 && document.upstreams.some(({ name }) => name === GIVEN_UPSTREAM)) {
    const line = document.upstreams.find(({ name }) => name === GIVEN_UPSTREAM)?.line ?? 1;
    const text = `"${GIVEN_UPSTREAM}" is the name of the one that --upstream brings — choose another`;
    throw new RulesError([`${path}:${line}: ${text}`]);
  }
  return document;
}

/**
 * Reads everything and makes a policy of it.
 * @throws RulesError with every mistake of the rules file; WeftError `UNTRUSTED`, `BAD_UPSTREAM`, ENOENT … for files
 */
export function loadPolicy({ rulesFile, upstream }: PolicySources): ProxyPolicy {
  const given = upstream === undefined ? [] : [givenUpstream(upstream)];
  const document =
    rulesFile === undefined
      ? undefined
      : readDocument(
          resolve(rulesFile),
          given.map(({ name }) => name),
        );
  const proxies = [...given];
  for (const entry of document?.upstreams ?? []) {
    try {
      proxies.push(completeUpstream(entry, dirname(resolve(rulesFile ?? '.'))));
    } catch (error) {
      throw new RulesError([`${resolve(rulesFile ?? '.')}:${entry.line}: ${errorText(error)}`]);
    }
  }
  return {
    rules: document?.rules ?? [],
    upstreams: new Map(proxies.map((proxy) => [proxy.name, proxy])),
    users: document?.users ?? new Map(),
    limits: document?.limits ?? {},
    defaultWay:
      document?.defaultWay ??
      (given.length > 0 ? { kind: 'upstream', upstream: GIVEN_UPSTREAM } : DEFAULT_POLICY.defaultWay),
  };
}
