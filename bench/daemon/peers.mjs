/**
 * The daemons that are measured: how each is started, and how many events it has seen by its own account.
 *
 * Weft is asked over its control socket. mptcpd has none; its plugin sspi writes a line for each event ESTABLISHED, so
 * those are counted, in a file (on tmpfs). Where nothing is counted, both log to nowhere.
 */
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const bin = process.env.WEFT_BIN ?? join(root, 'dist', 'bin');
const DEBIAN = process.env.PEER_MPTCPD ?? '/usr/libexec/mptcpd';
const SSPI_LINE = 'sspi_connection_established';

const ENDPOINTS = ['--path-manager=addr_adv', '--load-plugins=addr_adv', '--addr-flags=subflow'];
const USERSPACE = ['--path-manager=sspi', '--load-plugins=sspi'];
const NOTIFY = 'existing,skip_link_local,skip_loopback';

/** What the daemon is started for. */
export const PURPOSES = {
  endpoints: [...ENDPOINTS, `--notify-flags=${NOTIFY}`],
  checkRoute: [...ENDPOINTS, `--notify-flags=${NOTIFY},check_route`],
  userspace: USERSPACE,
};

function askWeft(netns) {
  const socketPath = `/run/weft/mptcpd-${statSync(netns).ino}.sock`;
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: '/v1/status', agent: false }, (incoming) => {
      let text = '';
      incoming.on('data', (piece) => (text += piece));
      incoming.on('end', () => resolve(JSON.parse(text)));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

export const WEFT = {
  name: 'Weft',
  version: () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
  command: (purpose) => [process.execPath, join(bin, 'mptcpd.js'), '--log=null', ...PURPOSES[purpose]],
  environment: { WEFT_MPTCPD_CONF: '/run/bench/mptcpd.conf' },
  has: () => true,
  /** Events of MPTCP that it has read, ESTABLISHED and others. */
  async seen({ netns }) {
    const { connections, counters, recovered } = await askWeft(netns);
    return { ...counters, events: counters.mptcpEvents, connections, recovered };
  },
};

export const MPTCPD = {
  name: 'mptcpd',
  version: () => /[\d.]+/.exec(spawnSync(DEBIAN, ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[0],
  command: (purpose, { counting = false } = {}) => [
    DEBIAN,
    `--log=${counting ? 'stderr' : 'null'}`,
    ...PURPOSES[purpose],
  ],
  environment: {},
  /** 0.12 has no check_route: it says so, and goes on without. */
  has: (purpose) => existsSync(DEBIAN) && purpose !== 'checkRoute',
  async seen({ log }) {
    const text = readFileSync(log, 'utf8');
    let lines = 0;
    for (let at = text.indexOf(SSPI_LINE); at >= 0; at = text.indexOf(SSPI_LINE, at + 1)) lines++;
    return { established: lines };
  },
};

/** A file for what a daemon writes. */
export function openLog(path) {
  const fd = openSync(path, 'w');
  return { fd, close: () => closeSync(fd) };
}
