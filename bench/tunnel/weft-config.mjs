/** The configuration folders of both ends, in the original's format (docs/tunnel.md). */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FAR_ADDRESSES, gatewayOf, LINKS, NEAR_ADDRESSES, TUNNEL_FAR, TUNNEL_NEAR } from './topology.mjs';

const COMMAND_PORT = 60_456;
const DATA_PORT = 4754;
/** Seconds. The smallest with which the original works; Weft peers agree on less between themselves. */
const KEEPALIVE_TIME = 1;
const DEAD_TIME = 3;

const lines = (values) => Object.entries(values).map(([key, value]) => `${key} = ${value}`);

function connectionText(local, remote, settings, paths) {
  const connection = {
    name: 'bench',
    permission: 3,
    ip_ver: 4,
    ip_local: local,
    local_port: DATA_PORT,
    ip_remote: remote,
    remote_port: DATA_PORT,
    remote_cmd_port: COMMAND_PORT,
    path_count: paths.length,
    network_count: 0,
    auth_type: 0,
    ...settings,
  };
  const sections = paths.map((path, i) => [`[path_${i}]`, ...lines(path), '']);
  return ['[connection]', ...lines(connection), '', ...sections.flat()].join('\n');
}

function pathsOf(own, others, weights) {
  return LINKS.map((link, i) => ({
    interface_name: link,
    ip_ver: 4,
    public_ipaddr: own[i],
    private_ipaddr: own[i],
    gw_ipaddr: gatewayOf(own[i]),
    remote_ipaddr: others[i],
    keepalive_time: KEEPALIVE_TIME,
    dead_time: DEAD_TIME,
    weight_in: weights[i],
    weight_out: weights[i],
  }));
}

export function writeFolders([near, far], { mtu, weights, settings }) {
  for (const [folder, link, local, remote, own, others] of [
    [near, 'mptnear', TUNNEL_NEAR, TUNNEL_FAR, NEAR_ADDRESSES, FAR_ADDRESSES],
    [far, 'mptfar', TUNNEL_FAR, TUNNEL_NEAR, FAR_ADDRESSES, NEAR_ADDRESSES],
  ]) {
    mkdirSync(join(folder, 'connections'));
    const general = { tunnel_num: 1, accept_remote: 0, cmdport_local: COMMAND_PORT, cmd_timeout: 25 };
    const tunnel = { name: link, mtu, ipv4_addr: `${local}/24`, ipv6_addr: '::/0' };
    const text = ['[general]', ...lines(general), '', '[tun_0]', ...lines(tunnel), ''].join('\n');
    writeFileSync(join(folder, 'interface.conf'), text);
    const connection = connectionText(local, remote, settings, pathsOf(own, others, weights));
    writeFileSync(join(folder, 'connections', 'bench.conf'), connection, { mode: 0o600 });
    const template = connectionText(local, remote, {}, pathsOf(own, others, weights));
    writeFileSync(join(folder, 'connections', 'conf.template'), template, { mode: 0o600 });
  }
}
