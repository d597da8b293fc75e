/** Checks of the ways out of the machine (pure): links, per-address routes, reverse path filter. */
import { shellWord } from '../../base/index.ts';
import { settingFact } from './checks-kernel.ts';
import type { Check, HostFacts, LookupAnswer, LookupFact, PathFact, ReadFact } from './facts.ts';
import type { HostFindingId } from './finding-ids.ts';

const named = ({ link, address }: Pick<PathFact, 'link' | 'address'>) => `${link} ${address}`;
const pathFact = ({ address, gateway, link }: PathFact): ReadFact => ({
  name: `path ${link}`,
  value: gateway === undefined ? address : `${address} via ${gateway}`,
});
export const could = (what: string) => `could not look at ${what}`;

/** BOUNDED: how many silent paths one finding tells of. */
const STALE_TOLD_MAX = 8;

export const checkUplinks: Check = ({ paths, uplinkCount: count = 0, tunnel, ignoredLinks = [] }) => {
  const id = 'uplinks';
  if (paths === undefined) return { id, verdict: 'unknown', evidence: could('links'), advice: [] };
  const ignored = ignoredLinks.map(({ link, why }) => `${link} is left out: ${why}`);
  const ignoredFacts: ReadFact[] = ignoredLinks.map(({ link, why }) => ({ name: link, value: why }));
  const facts: ReadFact[] = [...paths.map(pathFact), ...ignoredFacts];
  if (count === 0) {
    const evidence = ['no link has an address and a default route that can be used', ...ignored].join('; ');
    return {
      id,
      cause: 'no-uplink' satisfies HostFindingId,
      verdict: 'fail',
      evidence,
      facts: ignoredFacts,
      advice: ['connect this machine: it needs an address and a default route'],
    };
  }
  const list = paths.map(named).join(', ');
  if (tunnel !== undefined) {
    return {
      id,
      cause: 'vpn' satisfies HostFindingId,
      verdict: 'warn',
      facts: [{ name: 'link of the default route', value: tunnel }, ...facts],
      evidence: `what this host sends goes into the VPN "${tunnel}", so Weft opens no path around it (usable: ${list})`,
      advice: ['if the links themselves are wanted, name them: weft up --interface NAME --interface NAME'],
    };
  }
  if (count === 1) {
    return {
      id,
      cause: 'one-uplink' satisfies HostFindingId,
      verdict: 'warn',
      facts,
      evidence: [`one uplink can be used: ${list}`, ...ignored].join('; '),
      advice: [
        'connect a second link (cable, Wi-Fi, phone) with an address and a default route of its own; a higher metric is fine',
      ],
    };
  }
  return { id, verdict: 'ok', evidence: `${count} uplinks can be used: ${list}`, facts, advice: [] };
};

/** A link that is up says nothing of what lies behind it; an observer sees whether something comes back. */
export const checkStalePaths: Check = ({ observedPaths = [] }) => {
  const stale = observedPaths.filter(({ state }) => state === 'stale');
  if (stale.length === 0) return undefined;
  const told = stale.slice(0, STALE_TOLD_MAX);
  const more = stale.length - told.length;
  const reasons = new Set(told.map(({ why }) => why ?? 'no answer'));
  const sentences = [...reasons].map((reason) => {
    const paths = told.filter(({ why = 'no answer' }) => why === reason);
    return `nothing comes through ${paths.map(named).join(', ')}: ${reason}`;
  });
  return {
    id: 'paths',
    cause: 'paths-stale' satisfies HostFindingId,
    verdict: 'warn',
    evidence: sentences.join('; ') + (more > 0 ? `; nor through ${more} more` : ''),
    facts: stale.flatMap(({ address, link, receivedBytes, retransmittedSegments }) => [
      { name: `received bytes of ${link} ${address}`, value: String(receivedBytes) },
      { name: `retransmitted segments of ${link} ${address}`, value: String(retransmittedSegments) },
    ]),
    advice: told.flatMap(({ gateway, link }) =>
      gateway === undefined
        ? []
        : [`to see whether its gateway answers: ping -I ${shellWord(link)} ${gateway}`],
    ),
  };
};

export function goesRight(path: PathFact, answer: LookupAnswer): boolean {
  if ('error' in answer) return false;
  // With a link asked for and no route of its own, the kernel takes every destination for a neighbour.
  const mayBeDirect = path.gateway === undefined && path.needsGateway !== true;
  return answer.linkIndex === path.linkIndex && (mayBeDirect || answer.gateway !== undefined);
}

function describeWrong(lookup: LookupFact, nameOf: (index: number) => string): string {
  const { path, bySource, byLink } = lookup;
  if (!goesRight(path, byLink)) {
    const why = 'error' in byLink ? byLink.error : 'it would be sent without a gateway';
    return `${path.link} has no route for packets from ${path.address} (${why})`;
  }
  const how =
    'error' in bySource ? `have no route (${bySource.error})` : `leave by ${nameOf(bySource.linkIndex)}`;
  return `packets from ${path.address} (${path.link}) ${how}`;
}

type NameOf = (index: number) => string;

export const namesOf =
  ({ links = [] }: HostFacts): NameOf =>
  (index) =>
    links.find((link) => link.index === index)?.name ?? `link ${index}`;

function answerText(answer: LookupAnswer, nameOf: NameOf): string {
  if ('error' in answer) return answer.error;
  return `${answer.gateway === undefined ? 'no gateway' : `via ${answer.gateway}`} dev ${nameOf(answer.linkIndex)}`;
}

/** The two look-ups of a path as ip(8) would make them, with what came of them. */
export function lookupFacts({ byLink, bySource, destination, path }: LookupFact, nameOf: NameOf): ReadFact[] {
  const question = `ip route get ${destination} from ${path.address}`;
  return [
    { name: question, value: answerText(bySource, nameOf) },
    { name: `${question} oif ${path.link}`, value: answerText(byLink, nameOf) },
  ];
}

/** Weft, or whoever made endpoints, relies on the routes; without them they are only not there yet. */
function reliesOnRoutes({ running, endpoints = [] }: HostFacts, path: PathFact): boolean {
  return running?.mode === 'multipath' || endpoints.some(({ address }) => address === path.address);
}

/** Table numbers in advice: one of its own for each path. */
const FIRST_ADVISED_TABLE = 1001;

/** A route and a rule that lead packets of the path's address out of its link. @param number counts the paths advised */
export function routeAdvice(path: PathFact, number: number): string[] {
  const ip = path.address.includes(':') ? 'ip -6' : 'ip';
  const via = path.gateway === undefined ? '' : ` via ${path.gateway}`;
  const table = FIRST_ADVISED_TABLE + number;
  return [
    `${ip} route add default${via} dev ${shellWord(path.link)} table ${table}`,
    `${ip} rule add from ${path.address} table ${table}`,
  ];
}

export const checkRoutes: Check = (facts) => {
  const { lookups, uplinkCount = 0 } = facts;
  const id = 'routes';
  if (lookups === undefined) return { id, verdict: 'unknown', evidence: could('routes'), advice: [] };
  if (uplinkCount < 2) return undefined;
  const nameOf = namesOf(facts);
  const read = (found: readonly LookupFact[]) => found.flatMap((lookup) => lookupFacts(lookup, nameOf));
  const wrong = lookups.filter(
    ({ path, bySource, byLink }) => !goesRight(path, bySource) || !goesRight(path, byLink),
  );
  if (wrong.length === 0) {
    const evidence = 'packets from each address leave by its own link';
    return { id, verdict: 'ok', evidence, facts: read(lookups), advice: [] };
  }
  const advice = wrong.flatMap(({ path }, i) => routeAdvice(path, i));
  return {
    id,
    cause: 'no-route' satisfies HostFindingId,
    facts: read(wrong),
    verdict: wrong.some(({ path }) => reliesOnRoutes(facts, path)) ? 'fail' : 'warn',
    evidence: wrong.map((lookup) => describeWrong(lookup, nameOf)).join('; '),
    advice: [`"weft up" as root does this while it runs; by hand:`, ...advice],
  };
};

/** Of net.ipv4.conf.LINK.rp_filter; 0 is off, 2 loose. */
export const STRICT = 1;

/** The command that makes a link's filter loose; sysctl(8) reads a dot in its name as a slash. */
export const looserFilter = (link: string): string =>
  `sysctl -w ${shellWord(`net.ipv4.conf.${link.replaceAll('.', '/')}.rp_filter=2`)}`;

/**
 * Strict mode asks where an answer to the packet would leave. With the rule of "routes" in place that is the link the
 * packet came by; without it, the second path's packets are dropped.
 */
export const checkReversePathFilter: Check = (facts) => {
  const { paths = [], lookups = [], uplinkCount = 0, sysctls } = facts;
  const id = 'rp-filter';
  const links = [...new Set(paths.filter(({ address }) => !address.includes(':')).map(({ link }) => link))];
  if (links.length < 2 || uplinkCount < 2) return undefined;
  const valueOf = (name: string) => Number(sysctls.get(`net.ipv4.conf.${name}.rp_filter`) ?? NaN);
  const modes = links.map((link) => ({ link, mode: Math.max(valueOf('all'), valueOf(link)) }));
  if (modes.some(({ mode }) => Number.isNaN(mode))) {
    return { id, verdict: 'unknown', evidence: could('the reverse path filter'), advice: [] };
  }
  const settings = ['all', ...links].map((name) => settingFact(sysctls, `net.ipv4.conf.${name}.rp_filter`));
  const strict = modes.filter(({ mode }) => mode === STRICT).map(({ link }) => link);
  const dropping = lookups.filter(
    ({ path, bySource }) =>
      strict.includes(path.link) && !path.address.includes(':') && !goesRight(path, bySource),
  );
  if (dropping.length > 0) {
    return {
      id,
      cause: 'rp-filter-strict' satisfies HostFindingId,
      facts: [...settings, ...dropping.flatMap((lookup) => lookupFacts(lookup, namesOf(facts)).slice(0, 1))],
      verdict: dropping.some(({ path }) => reliesOnRoutes(facts, path)) ? 'fail' : 'warn',
      evidence: `the reverse path filter is strict on ${strict.join(', ')}, and answers to ${dropping.map(({ path }) => path.address).join(', ')} are dropped until that address has a route of its own`,
      advice: ['the routes above mend it; or make the filter loose:', ...strict.map(looserFilter)],
    };
  }
  const names = ['off', 'strict, and each address has its route', 'loose'];
  const shown = modes.map(({ link, mode }) => `${link} ${names[mode] ?? mode}`).join('; ');
  return { id, verdict: 'ok', evidence: shown, facts: settings, advice: [] };
};
