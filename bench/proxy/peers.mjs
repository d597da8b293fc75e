/**
 * The programs that are compared: how each is started in the proxy's namespace, in a folder of its own, and what it
 * can do. All serve 10.1.0.2 on PORT, do not log, do not cache, and allow everybody.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROXY_ADDRESS, PROXY_LINK, SERVER_ADDRESS } from './topology.mjs';

const here = dirname(fileURLToPath(import.meta.url));
export const PORT = 3128;
/** Ports of the server; see source.mjs. */
export const Ports = {
  stream: 5001,
  sink: 5003,
  echo: 5005,
  greet: 6000,
  web: 8080,
  mptcpStream: 5002,
  mptcpSink: 5004,
  mptcpEcho: 5006,
  mptcpGreet: 6100,
};
/** Target ports of the tunnels, so that addresses and ports are many enough for one second of TIME_WAIT. */
export const GREET_PORTS = 16;
/** What a stream is measured against: two threads that do nothing but splice. */
export const SPLICE_RELAY = 'splice relay';
const MAX_TUNNELS = 6000;

function file(folder, name, lines) {
  const path = join(folder, name);
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

const FAR_PORT = '4443';

function tokenFile(folder) {
  return file(folder, 'token', ['bench 0123456789abcdefghijklmnopqrstuv']);
}

function firstLine(command, ...args) {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return (stdout || stderr).split('\n')[0].trim();
}

function idOf(user) {
  return Number(spawnSync('id', ['-u', user], { encoding: 'utf8' }).stdout) || 0;
}

/**
 * name, version(): for the report. command(folder): argument array. way: how the client asks, as way.mjs writes it;
 * absent: by CONNECT. companion(folder): a program beside the server that it needs, which says "ready". port(kind): where a kind of test connects, when it is not PORT. kinds: what is measured, when it is
 * not everything. mptcp: the server's MPTCP ports are used. remembers: its first connection to a server is another than
 * the later ones; both are measured.
 */
const WITHOUT_REQUESTS = ['idle', 'tunnels', 'echo', 'connects', 'stream', 'upload'];
export const PEERS = [
  {
    name: 'Weft, TCP upstream',
    version: () => 'this checkout',
    command: () => [process.execPath, join(here, 'weft.mjs'), PROXY_ADDRESS, String(PORT), 'tcp'],
  },
  {
    name: 'Weft, MPTCP upstream',
    version: () => 'this checkout',
    command: () => [process.execPath, join(here, 'weft.mjs'), PROXY_ADDRESS, String(PORT), 'mptcp'],
    mptcp: true,
  },
  {
    name: 'Weft, MPTCP upstream, server without',
    version: () => 'this checkout',
    remembers: true,
    command: () => [process.execPath, join(here, 'weft.mjs'), PROXY_ADDRESS, String(PORT), 'mptcp'],
  },
  {
    name: 'Weft, SOCKS5',
    version: () => 'this checkout',
    way: `socks5:${PROXY_ADDRESS}`,
    kinds: WITHOUT_REQUESTS,
    command: () => [process.execPath, join(here, 'weft.mjs'), PROXY_ADDRESS, String(PORT), 'tcp'],
  },
  {
    name: 'Weft, transparent',
    note: 'gets its connections by an nftables rule from a client that knows of no proxy; connection tracking is in its numbers',
    version: () => 'this checkout',
    way: '-',
    kinds: WITHOUT_REQUESTS,
    command: () => [
      process.execPath,
      join(here, 'weft.mjs'),
      PROXY_ADDRESS,
      String(PORT),
      'tcp',
      'transparent',
      PROXY_LINK,
    ],
  },
  {
    name: 'Weft, through weft serve',
    note: 'leads through a far end beside the server: TLS 1.3 over MPTCP between them, both of them Node',
    version: () => 'this checkout',
    kinds: WITHOUT_REQUESTS,
    companion: (folder) => [
      process.execPath,
      join(here, 'far.mjs'),
      SERVER_ADDRESS,
      FAR_PORT,
      tokenFile(folder),
    ],
    command: (folder) => [
      process.execPath,
      join(here, 'weft.mjs'),
      PROXY_ADDRESS,
      String(PORT),
      'mptcp',
      'through',
      SERVER_ADDRESS,
      FAR_PORT,
      tokenFile(folder),
    ],
  },
  {
    name: SPLICE_RELAY,
    note: 'moves pages and nothing else: no names, no limits, no HTTP but CONNECT (splice-relay.py)',
    version: () => firstLine('/usr/bin/python3', '--version'),
    // A thread for each direction of each tunnel: thousands of them would measure threads.
    kinds: ['stream', 'upload', 'echo', 'connects'],
    command: () => ['/usr/bin/python3', '-I', join(here, 'splice-relay.py'), PROXY_ADDRESS, String(PORT)],
  },
  {
    name: 'squid',
    version: () => firstLine('squid', '-v').replace(/^.*Version /, ''),
    command: (folder) => {
      // It drops its privileges, and must be able to write there then.
      chmodSync(folder, 0o755);
      chownSync(folder, idOf('proxy'), 0);
      const config = file(folder, 'squid.conf', [
        `http_port ${PROXY_ADDRESS}:${PORT}`,
        'http_access allow all',
        'cache deny all',
        'access_log none',
        `cache_log ${join(folder, 'cache.log')}`,
        `pid_filename ${join(folder, 'squid.pid')}`,
        `coredump_dir ${folder}`,
        'pinger_enable off',
        'shutdown_lifetime 0 seconds',
        'visible_hostname bench',
        `max_filedescriptors ${MAX_TUNNELS * 2 + 1000}`,
      ]);
      return ['squid', '-N', '-f', config];
    },
  },
  {
    name: 'tinyproxy',
    note: 'closes the connection after each request',
    closes: true,
    version: () => firstLine('tinyproxy', '-v').replace(/^tinyproxy /, ''),
    command: (folder) => [
      'tinyproxy',
      '-d',
      '-c',
      file(folder, 'tinyproxy.conf', [
        `Listen ${PROXY_ADDRESS}`,
        `Port ${PORT}`,
        'Timeout 600',
        `MaxClients ${MAX_TUNNELS}`,
        'LogLevel Critical',
        `LogFile "${join(folder, 'log')}"`,
      ]),
    ],
  },
  {
    name: 'haproxy',
    note: 'has no CONNECT: forwards to one fixed target, TCP (spliced) for tunnels and HTTP for requests',
    version: () => firstLine('haproxy', '-v').replace(/^HAProxy version (\S+).*/, '$1'),
    way: `=${PROXY_ADDRESS}`,
    port: (kind) =>
      ({
        stream: 3131,
        tunnels: 3132,
        connects: 3132,
        idle: 3132,
        requests: 3133,
        upload: 3134,
        echo: 3135,
      })[kind],
    command: (folder) => [
      'haproxy',
      '-db',
      '-f',
      file(folder, 'haproxy.cfg', [
        'global',
        `  maxconn ${MAX_TUNNELS}`,
        'defaults',
        '  mode tcp',
        `  maxconn ${MAX_TUNNELS}`,
        '  timeout connect 10s',
        '  timeout client 600s',
        '  timeout server 600s',
        '  option splice-request',
        '  option splice-response',
        'listen stream',
        `  bind ${PROXY_ADDRESS}:3131`,
        `  server s ${SERVER_ADDRESS}:${Ports.stream}`,
        'listen sink',
        `  bind ${PROXY_ADDRESS}:3134`,
        `  server s ${SERVER_ADDRESS}:${Ports.sink}`,
        'listen echo',
        `  bind ${PROXY_ADDRESS}:3135`,
        `  server s ${SERVER_ADDRESS}:${Ports.echo}`,
        'listen greet',
        `  bind ${PROXY_ADDRESS}:3132`,
        ...Array.from(
          { length: GREET_PORTS },
          (_, i) => `  server s${i} ${SERVER_ADDRESS}:${Ports.greet + i}`,
        ),
        'listen web',
        `  bind ${PROXY_ADDRESS}:3133`,
        '  mode http',
        '  http-reuse always',
        `  server s ${SERVER_ADDRESS}:${Ports.web}`,
      ]),
    ],
  },
  {
    name: 'proxy-chain',
    version: () =>
      firstLine(
        process.execPath,
        '-p',
        `require("${join(here, '../node_modules/proxy-chain/package.json')}").version`,
      ),
    command: () => [process.execPath, join(here, 'proxy-chain.mjs'), PROXY_ADDRESS, String(PORT)],
  },
];

/** The web server of the request tests, which must be much faster than any of the peers. */
export function webServerCommand(folder) {
  const config = file(folder, 'web.cfg', [
    'defaults',
    '  mode http',
    '  timeout client 60s',
    '  timeout connect 5s',
    '  timeout server 60s',
    'listen web',
    `  bind ${SERVER_ADDRESS}:${Ports.web}`,
    `  http-request return status 200 content-type text/plain string "${'x'.repeat(1024)}"`,
  ]);
  return ['haproxy', '-db', '-f', config];
}
