/**
 * What is compared: how each is started in both namespaces, and what it can do.
 *
 * name; version(); note: for the report. parts: what is measured. weights: whether it has to be told the paths' rates.
 * start(context): starts it and resolves, once it carries packets, to
 *   { near, far }: programs whose CPU and memory is told, absent when there are none;
 *   target: the far address of the traffic; wrap: put before the commands of TCP traffic; stop()
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { finish, rest, run, start, stop } from './programs.mjs';
import { FAR, FAR_ADDRESSES, NEAR, NEAR_ADDRESSES, TUNNEL_FAR, TUNNEL_NEAR } from './topology.mjs';
import { writeFolders } from './weft-config.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, '..', '..', 'dist');
const PROFILED = ['--require', join(here, 'profile-preload.cjs'), '--cpu-prof', '--cpu-prof-interval', '250'];
/** Of all tunnels: what is left of 1500 with the largest headers among them, so that all carry the same segments. */
export const TUNNEL_MTU = 1440;
const START_WITHIN_MS = 15_000;
const SETTLE_MS = 1500;

function firstLine(command, ...args) {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return (stdout || stderr || 'not installed').split('\n')[0].trim();
}

/** Waits until a packet goes to and fro. */
async function untilReached(address, programs) {
  const endMs = Date.now() + START_WITHIN_MS;
  for (;;) {
    const found = spawnSync('ip', ['netns', 'exec', NEAR, 'ping', '-c1', '-W1', '-q', address]);
    if (found.status === 0) return;
    const texts = programs.map((program) => program.output().slice(-1000));
    if (Date.now() > endMs || programs.some(({ child }) => child.exitCode !== null)) {
      throw new Error(`${address} is not reached: ${texts.join('\n--\n')}`);
    }
    await rest(100);
  }
}

/** A tunnel of two programs. `prepare` runs when both have been started. */
async function startTunnel(near, far, env, prepare = async () => {}) {
  const programs = [start(NEAR, near, { env }), start(FAR, far, { env })];
  const end = async () => {
    await Promise.all(programs.map((program) => stop(program)));
  };
  try {
    await prepare(programs);
    await untilReached(TUNNEL_FAR, programs);
    await rest(SETTLE_MS);
  } catch (error) {
    await end();
    throw error;
  }
  return { near: programs[0], far: programs[1], target: TUNNEL_FAR, wrap: [], stop: end };
}

async function untilLink(node, link) {
  for (let i = 0; i < 100; i++) {
    if (spawnSync('ip', ['-n', node, 'link', 'show', link]).status === 0) return;
    await rest(50);
  }
  throw new Error(`${link} does not appear`);
}

function addressLink(node, link, address) {
  run('ip', '-n', node, 'address', 'replace', `${address}/24`, 'dev', link);
  run('ip', '-n', node, 'link', 'set', link, 'mtu', String(TUNNEL_MTU), 'up');
}

async function startWireguard({ folder }) {
  const ends = [
    { node: NEAR, link: 'wgnear', address: TUNNEL_NEAR, endpoint: NEAR_ADDRESSES[0] },
    { node: FAR, link: 'wgfar', address: TUNNEL_FAR, endpoint: FAR_ADDRESSES[0] },
  ];
  for (const end of ends) {
    const key = run('wg', 'genkey');
    end.keyFile = join(folder, `${end.link}.key`);
    writeFileSync(end.keyFile, key, { mode: 0o600 });
    end.public = spawnSync('wg', ['pubkey'], { input: key, encoding: 'utf8' }).stdout.trim();
  }
  const [near, far] = ends.map(({ link }) => ['wireguard-go', '-f', link]);
  return startTunnel(near, far, { LOG_LEVEL: 'error' }, async () => {
    for (const [i, { node, link, address, keyFile }] of ends.entries()) {
      const other = ends[1 - i];
      await untilLink(node, link);
      const set = ['wg', 'set', link, 'private-key', keyFile, 'listen-port', '51820', 'peer', other.public];
      await finish(node, [...set, 'allowed-ips', '0.0.0.0/0', 'endpoint', `${other.endpoint}:51820`]);
      addressLink(node, link, address);
    }
  });
}

async function startOpenvpn({ folder }, ciphers) {
  const ends = ['server', 'client'].map((role) => {
    const key = join(folder, `${role}.key`);
    const cert = join(folder, `${role}.crt`);
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    run(
      'openssl',
      'req',
      '-x509',
      ...curve,
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${role}`,
      '-keyout',
      key,
      '-out',
      cert,
    );
    const print = run('openssl', 'x509', '-in', cert, '-noout', '-fingerprint', '-sha256').trim();
    return { role, key, cert, fingerprint: print.replace(/^.*=/, '') };
  });
  const options = `--dev ovpn0 --dev-type tun --proto udp --port 1194 --tun-mtu ${TUNNEL_MTU} --mssfix 0 --fast-io`;
  const command = (own, other, [local, remote], [tunnelLocal, tunnelRemote]) => {
    const line = `openvpn ${options} --local ${local} --remote ${remote} --ifconfig ${tunnelLocal} ${tunnelRemote}`;
    const role = own.role === 'server' ? '--tls-server --dh none' : '--tls-client';
    const trust = ['--cert', own.cert, '--key', own.key, '--peer-fingerprint', other.fingerprint];
    return [...line.split(' '), ...role.split(' '), ...trust, ...ciphers];
  };
  const [server, client] = ends;
  return startTunnel(
    command(client, server, [NEAR_ADDRESSES[0], FAR_ADDRESSES[0]], [TUNNEL_NEAR, TUNNEL_FAR]),
    command(server, client, [FAR_ADDRESSES[0], NEAR_ADDRESSES[0]], [TUNNEL_FAR, TUNNEL_NEAR]),
    {},
  );
}

/** What Weft's own status counts of the connection, and of each path. */
function countersOf(node) {
  const status = ['tunnel', 'status', '--json'];
  const found = spawnSync(
    'ip',
    ['netns', 'exec', node, process.execPath, join(dist, 'bin', 'weft.js'), ...status],
    {
      encoding: 'utf8',
    },
  );
  const [connection] = JSON.parse(found.stdout).tunnels[0].connections;
  return connection;
}

/** `settings`: keys of [connection]. `node`: options of Node. */
async function startWeft({ folder, weights, profile }, settings) {
  const folders = [join(folder, 'near'), join(folder, 'far')];
  for (const each of folders) mkdirSync(each);
  writeFolders(folders, { mtu: TUNNEL_MTU, weights, settings });
  const command = (i) => {
    const options = profile === undefined ? [] : [...PROFILED, '--cpu-prof-dir', profile[i]];
    return [process.execPath, ...options, join(dist, 'bin', 'mptsrv.js'), '-d', '--conf', folders[i]];
  };
  const running = await startTunnel(command(0), command(1), {});
  return { ...running, counters: () => [NEAR, FAR].map((node) => countersOf(node)) };
}

const direct = (wrap) => async () => ({ target: FAR_ADDRESSES[0], wrap, stop: async () => {} });

const weft = (name, settings, more) => ({
  name,
  version: () => 'this checkout',
  start: (context) => startWeft(context, settings),
  ...more,
});

const ORDERED = { reorder_window: 900, max_buffdelay_msec: 300 };

/** Parts: `speed`, `udp`, `shaped` (two rates), `cut`. */
export const PEERS = [
  {
    name: 'bare veth, one path',
    version: () => '',
    parts: ['speed', 'udp', 'shaped'],
    start: direct([]),
  },
  {
    name: 'kernel MPTCP',
    note: 'has no UDP; `mptcpize` makes iperf3 use it',
    version: () => '',
    parts: ['speed', 'shaped', 'cut'],
    tcpOnly: true,
    start: direct(['mptcpize', 'run']),
  },
  {
    name: 'wireguard-go, one path',
    note: 'encrypts; this version, Debian’s, has none of the offloads of later ones (2023)',
    version: () =>
      /^ii\s+\S+\s+(\S+)/m.exec(
        firstLine('dpkg-query', '-W', '-f', 'ii  ${Package} ${Version}', 'wireguard-go'),
      )?.[1] ?? '',
    parts: ['speed', 'udp'],
    start: startWireguard,
  },
  {
    name: 'openvpn AES-256-GCM, one path',
    note: 'encrypts',
    version: () => /OpenVPN (\S+)/.exec(firstLine('openvpn', '--version'))?.[1] ?? '',
    parts: ['speed', 'udp'],
    start: (context) => startOpenvpn(context, ['--data-ciphers', 'AES-256-GCM']),
  },
  {
    name: 'openvpn without cipher, one path',
    note: 'does not encrypt, as Weft',
    version: () => /OpenVPN (\S+)/.exec(firstLine('openvpn', '--version'))?.[1] ?? '',
    parts: ['speed', 'udp'],
    start: (context) => startOpenvpn(context, ['--data-ciphers', 'none', '--auth', 'none']),
  },
  weft('Weft', ORDERED, { parts: ['speed', 'udp', 'shaped', 'cut'] }),
  weft('Weft, no reorder window', {}, { parts: ['speed', 'udp', 'shaped', 'cut'] }),
  weft(
    'Weft, adaptive',
    { ...ORDERED, scheduler: 'adaptive' },
    { parts: ['speed', 'shaped', 'cut'], isAdaptive: true },
  ),
  weft('Weft, redundant', { ...ORDERED, scheduler: 'redundant' }, { parts: ['cut'] }),
];
