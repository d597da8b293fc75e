/** Checks of the ways out of the machine (pure): links, per-address routes, policy rules, reverse path filter. */
import { RTPROT_WEFT } from '../../netlink/index.ts';
import type { Check, HostFacts, LookupAnswer, LookupFact, PathFact } from './facts.ts';

const named = ({ link, address }: PathFact) => `${link} ${address}`;
const could = (what: string) => `could not look at ${what}`;

export const checkUplinks: Check = ({ paths, uplinkCount: count = 0, tunnel, ignoredLinks = [] }) => {
  const id = 'uplinks';
  if (paths === undefined) return { id, verdict: 'unknown', evidence: could('links'), advice: [] };
  const ignored = ignoredLinks.map(({ link, why }) => `${link} is left out: ${why}`);
  if (count === 0) {
    const evidence = ['no link has an address and a default route that can be used', ...ignored].join('; ');
    return {
      id,
      verdict: 'fail',
      evidence,
      advice: ['connect this machine: it needs an address and a default route'],
    };
  }
  const list = paths.map(named).join(', ');
  if (tunnel !== undefined) {
    return {
      id,
      verdict: 'warn',
      evidence: `what this host sends goes into the VPN "${tunnel}", so Weft opens no path around it (usable: ${list})`,
      advice: ['if the links themselves are wanted, name them: weft up --interface NAME --interface NAME'],
    };
  }
  if (count === 1) {
    return {
      id,
      verdict: 'warn',
      evidence: [`one uplink can be used: ${list}`, ...ignored].join('; '),
      advice: [
        'connect a second link (cable, Wi-Fi, phone) with an address and a default route of its own; a higher metric is fine',
      ],
    };
  }
  return { id, verdict: 'ok', evidence: `${count} uplinks can be used: ${list}`, advice: [] };
};

function goesRight(path: PathFact, answer: LookupAnswer): boolean {
  if ('error' in answer) return false;
  // With a link asked for and no route of its own, the kernel takes every destination for a neighbour.
  return answer.linkIndex === path.linkIndex && (path.gateway === undefined || answer.gateway !== undefined);
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

/** Weft, or whoever made endpoints, relies on the routes; without them they are only not there yet. */
function reliesOnRoutes({ running, endpoints = [] }: HostFacts, path: PathFact): boolean {
  return running?.mode === 'multipath' || endpoints.some(({ address }) => address === path.address);
}

/** Table numbers in advice: one of its own for each path. */
const FIRST_ADVISED_TABLE = 1001;

export const checkRoutes: Check = (facts) => {
  const { lookups, uplinkCount = 0, links = [] } = facts;
  const id = 'routes';
  if (lookups === undefined) return { id, verdict: 'unknown', evidence: could('routes'), advice: [] };
  if (uplinkCount < 2) return undefined;
  const nameOf = (index: number) => links.find((link) => link.index === index)?.name ?? `link ${index}`;
  const wrong = lookups.filter(
    ({ path, bySource, byLink }) => !goesRight(path, bySource) || !goesRight(path, byLink),
  );
  if (wrong.length === 0) {
    return { id, verdict: 'ok', evidence: 'packets from each address leave by its own link', advice: [] };
  }
  const advice = wrong.flatMap(({ path }, i) => {
    const ip = path.address.includes(':') ? 'ip -6' : 'ip';
    const via = path.gateway === undefined ? '' : ` via ${path.gateway}`;
    const table = FIRST_ADVISED_TABLE + i;
    return [
      `${ip} route add default${via} dev ${path.link} table ${table}`,
      `${ip} rule add from ${path.address} table ${table}`,
    ];
  });
  return {
    id,
    verdict: wrong.some(({ path }) => reliesOnRoutes(facts, path)) ? 'fail' : 'warn',
    evidence: wrong.map((lookup) => describeWrong(lookup, nameOf)).join('; '),
    advice: [`"weft up" as root does this while it runs; by hand:`, ...advice],
  };
};

export const checkRules: Check = ({ rules, running, netAdmin }) => {
  const id = 'rules';
  if (rules === undefined) return { id, verdict: 'unknown', evidence: could('policy rules'), advice: [] };
  const ours = rules.filter(({ protocol }) => protocol === RTPROT_WEFT);
  // Without rights a Weft of root's cannot be seen, and its rules can.
  if (ours.length > 0 && running === undefined && netAdmin === true) {
    return {
      id,
      verdict: 'warn',
      evidence: `${ours.length} policy rule${ours.length === 1 ? ' is' : 's are'} left of a Weft that was killed`,
      advice: ['"weft up" removes them when it starts next'],
    };
  }
  const bySource = rules.filter(({ source, protocol }) => source !== undefined && protocol !== RTPROT_WEFT);
  const others = bySource.length === 0 ? 'none of others' : `${bySource.length} of others by source address`;
  return { id, verdict: 'ok', evidence: `policy rules: ${ours.length} of Weft, ${others}`, advice: [] };
};

const STRICT = 1;

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
  const strict = modes.filter(({ mode }) => mode === STRICT).map(({ link }) => link);
  const dropping = lookups.filter(
    ({ path, bySource }) =>
      strict.includes(path.link) && !path.address.includes(':') && !goesRight(path, bySource),
  );
  if (dropping.length > 0) {
    return {
      id,
      verdict: dropping.some(({ path }) => reliesOnRoutes(facts, path)) ? 'fail' : 'warn',
      evidence: `the reverse path filter is strict on ${strict.join(', ')}, and answers to ${dropping.map(({ path }) => path.address).join(', ')} are dropped until that address has a route of its own`,
      advice: [
        'the routes above mend it; or make the filter loose:',
        ...strict.map((link) => `sysctl -w net.ipv4.conf.${link.replaceAll('.', '/')}.rp_filter=2`),
      ],
    };
  }
  const names = ['off', 'strict, and each address has its route', 'loose'];
  const shown = modes.map(({ link, mode }) => `${link} ${names[mode] ?? mode}`).join('; ');
  return { id, verdict: 'ok', evidence: shown, advice: [] };
};
