/**
 * How the benchmark's client gets through a proxy: the steps between the TCP connection and the server's first byte.
 * No sockets here; load.mjs sends and reads.
 *
 * A way is written as `-` (no proxy, straight to the target), `=ADDRESS` (a fixed forward that asks nothing),
 * `socks5:ADDRESS`, or `ADDRESS` (CONNECT). The client waits for each answer before it sends on, as curl does.
 */

const encoder = new TextEncoder();

/** A whole head, or `undefined` while it is not. Throws when it is not a 200. */
function readConnectAnswer(text) {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  if (!/^HTTP\/1\.[01] 200/.test(text)) throw new Error(`the proxy said: ${text.slice(0, end)}`);
  return end + 4;
}

/** Exactly `length` bytes that begin like `start` (RFC 1928, sections 3 and 6; the answer for an IPv4 address). */
const readFixed = (length, start) => (text) => {
  if (text.length < start.length) return undefined;
  if (!text.startsWith(start))
    throw new Error(`the proxy said: ${Buffer.from(text, 'latin1').toString('hex')}`);
  return text.length < length ? undefined : length;
};

function connectSteps(target, port) {
  const authority = `${target}:${port}`;
  return [
    {
      send: encoder.encode(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`),
      read: readConnectAnswer,
    },
  ];
}

function socksSteps(target, port) {
  const address = target.split('.').map(Number);
  return [
    { send: Uint8Array.of(5, 1, 0), read: readFixed(2, '\x05\x00') },
    {
      send: Uint8Array.of(5, 1, 0, 1, ...address, port >> 8, port & 255),
      read: readFixed(10, '\x05\x00'),
    },
  ];
}

/** `hop(i)`: where connection number `i` goes; `steps(i)`: what to say there. Targets are `count` ports in turn. */
export function parseWay(text, proxyPort, target, targetPort, count = 1) {
  const ports = Array.from({ length: count }, (_, i) => targetPort + i);
  if (text === '-') return { hop: (i) => ({ address: target, port: ports[i % count] }), steps: () => [] };
  const [, kind, address] = /^(=|socks5:|)(.+)$/.exec(text);
  const make = kind === '=' ? () => [] : kind === '' ? connectSteps : socksSteps;
  const all = ports.map((port) => make(target, port));
  return { hop: () => ({ address, port: proxyPort }), steps: (i) => all[i % count] };
}
