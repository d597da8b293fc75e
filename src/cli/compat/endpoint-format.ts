/**
 * Endpoints and limits as `ip mptcp` prints them (pure). In text every field is followed by one space, so that a
 * line ends in a space; ip has no JSON for limits, and so neither has this.
 */
import { EndpointFlag, type Endpoint, type Limits } from '../../mptcp/index.ts';
import { jsonArray, type JsonField } from './json-text.ts';
import { colorAddress, colorDevice, type OutputStyle } from './output-style.ts';

/** The name of a link by index; for a link that is gone, `if` and the index. */
export type LinkNameOf = (index: number) => string;

/** In the order of ip's output, which is not that of the bits. */
const FLAG_ORDER = ['signal', 'subflow', 'backup', 'fullmesh', 'implicit', 'laminar'] as const;
const KNOWN_FLAGS = FLAG_ORDER.reduce((mask, name) => mask | EndpointFlag[name], 0);

const flagNames = (flags: number) => FLAG_ORDER.filter((name) => (flags & EndpointFlag[name]) !== 0);
const unknownFlags = (flags: number) => (flags & ~KNOWN_FLAGS) >>> 0;

function endpointLine(endpoint: Endpoint, nameOf: LinkNameOf, style: OutputStyle): string {
  const { address, port, id, flags, linkIndex } = endpoint;
  let line = colorAddress(`${address} `, address, style.palette);
  if (port !== 0) line += `port ${port} `;
  line += `id ${id} `;
  for (const name of flagNames(flags)) line += `${name} `;
  if (unknownFlags(flags) !== 0) line += `rawflags ${unknownFlags(flags).toString(16)} `;
  if (linkIndex !== 0) line += `dev ${colorDevice(`${nameOf(linkIndex)} `, style.palette)}`;
  return line + style.lineEnd;
}

function endpointFields(endpoint: Endpoint, nameOf: LinkNameOf): JsonField[] {
  const { address, port, id, flags, linkIndex } = endpoint;
  const fields: JsonField[] = [['address', address]];
  if (port !== 0) fields.push(['port', port]);
  fields.push(['id', id]);
  for (const name of flagNames(flags)) fields.push([name, true]);
  if (unknownFlags(flags) !== 0) fields.push(['rawflags', unknownFlags(flags).toString(16)]);
  if (linkIndex !== 0) fields.push(['dev', nameOf(linkIndex)]);
  return fields;
}

export function formatEndpoints(
  endpoints: readonly Endpoint[],
  nameOf: LinkNameOf,
  style: OutputStyle,
): string {
  if (style.json) {
    return jsonArray(
      endpoints.map((endpoint) => endpointFields(endpoint, nameOf)),
      style.pretty,
    );
  }
  return endpoints.map((endpoint) => endpointLine(endpoint, nameOf, style)).join('');
}

export function formatLimits(limits: Limits, style: OutputStyle): string {
  return `add_addr_accepted ${limits.addAddrAccepted | 0} subflows ${limits.subflows | 0} ${style.lineEnd}`;
}
