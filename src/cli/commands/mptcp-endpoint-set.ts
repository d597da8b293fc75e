/**
 * `weft mptcp endpoint set ID|ADDRESS +backup -fullmesh`: reads the endpoint, changes what is named and nothing
 * else, and writes its flags back. The kernel has no other way than to set both changeable flags at once, so a
 * change made by somebody else between reading and writing is lost; the window is some ten microseconds.
 */
import { canonicalIp, nearestWord, WeftError } from '../../base/index.ts';
import { NetlinkError } from '../../netlink/index.ts';
import { EndpointFlag, PathManager, type Endpoint, type EndpointFlagName } from '../../mptcp/index.ts';
import { parseCNumber, U8_MAX } from '../compat/c-number.ts';
import { endpointObject } from './mptcp-json.ts';
import { USAGE_ERROR, type OwnCommandLine } from './mptcp-own-line.ts';

const CHANGEABLE: readonly string[] = ['backup', 'fullmesh'];
const CHANGEABLE_BITS = EndpointFlag.backup | EndpointFlag.fullmesh;
const USAGE = 'weft mptcp endpoint set ID|ADDRESS [+|-]backup [+|-]fullmesh';

export interface EndpointChange {
  readonly which: { readonly id: number } | { readonly address: string };
  readonly add: number;
  readonly remove: number;
}

function parseFlag(word: string): { readonly sign: string; readonly bit: number } {
  const sign = word.slice(0, 1);
  const name = word.slice(1);
  if (sign !== '+' && sign !== '-') {
    throw new WeftError(`"${word}" is not understood: a flag has "+" or "-" before it`, {
      code: 'USAGE',
      hint: USAGE,
    });
  }
  if (CHANGEABLE.includes(name)) return { sign, bit: EndpointFlag[name as EndpointFlagName] };
  if (Object.hasOwn(EndpointFlag, name)) {
    throw new WeftError(`the kernel cannot change "${name}" of an endpoint that is there`, {
      code: 'USAGE',
      hint: 'delete the endpoint and add it again (its subflows are closed then)',
    });
  }
  const near = nearestWord(name, CHANGEABLE);
  throw new WeftError(`"${name}" is not a flag that can be changed`, {
    code: 'USAGE',
    hint: near === undefined ? 'these can: backup, fullmesh' : `did you mean "${sign}${near}"?`,
  });
}

/** @throws WeftError USAGE */
export function parseEndpointChange(words: readonly string[]): EndpointChange {
  const [name, ...flags] = words;
  if (name === undefined || flags.length === 0) {
    throw new WeftError('an endpoint and at least one flag are needed', { code: 'USAGE', hint: USAGE });
  }
  const id = /^\d+$/.test(name) ? parseCNumber(name, U8_MAX) : undefined;
  const address = canonicalIp(name);
  if (id === 0 || (id === undefined && address === undefined)) {
    throw new WeftError(`"${name}" is neither an endpoint's id (1-255) nor an IP address`, {
      code: 'USAGE',
      hint: USAGE,
    });
  }
  let add = 0;
  let remove = 0;
  // As everywhere, the last of contradicting words counts.
  for (const word of flags) {
    const { sign, bit } = parseFlag(word);
    add = sign === '+' ? add | bit : add & ~bit;
    remove = sign === '-' ? remove | bit : remove & ~bit;
  }
  return { which: id === undefined ? { address: address ?? '' } : { id }, add, remove };
}

/** @throws WeftError when no endpoint, or more than one, is meant */
export function findEndpoint(endpoints: readonly Endpoint[], which: EndpointChange['which']): Endpoint {
  const found = endpoints.filter((endpoint) =>
    'id' in which ? endpoint.id === which.id : endpoint.address === which.address,
  );
  const [first] = found;
  const name = 'id' in which ? `with id ${which.id}` : `"${which.address}"`;
  if (first === undefined) {
    throw new WeftError(`there is no endpoint ${name}`, {
      code: 'NO_ENDPOINT',
      hint: 'see "weft mptcp endpoint show"',
    });
  }
  if (found.length > 1) {
    const ids = found.map((endpoint) => endpoint.id).join(', ');
    throw new WeftError(`several endpoints have the address ${name}`, {
      code: 'AMBIGUOUS',
      hint: `name the id instead: ${ids}`,
    });
  }
  return first;
}

export const changedFlags = (flags: number, change: Pick<EndpointChange, 'add' | 'remove'>) =>
  (flags | change.add) & ~change.remove;

function setFlags(manager: PathManager, line: OwnCommandLine, change: EndpointChange): void {
  const endpoint = findEndpoint(manager.endpoints(), change.which);
  const flags = changedFlags(endpoint.flags, change);
  if (flags !== endpoint.flags) manager.setEndpointFlags({ id: endpoint.id, flags: flags & CHANGEABLE_BITS });
  if (!line.json) return;
  line.output.write(`${JSON.stringify(endpointObject(manager.endpoint(endpoint.id) ?? endpoint))}\n`);
}

export function runEndpointSet(line: OwnCommandLine): number {
  let manager: PathManager | undefined;
  try {
    const change = parseEndpointChange(line.words);
    manager = PathManager.open();
    setFlags(manager, line, change);
    line.output.flush();
    return 0;
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    const hint = error instanceof NetlinkError && error.code === 'EPERM' ? ' — it needs CAP_NET_ADMIN' : '';
    line.output.error(`weft: ${error.message}${hint}\n`);
    return error.code === 'USAGE' ? USAGE_ERROR : 1;
  } finally {
    manager?.close();
  }
}
