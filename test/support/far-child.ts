/**
 * A process with a far end in it, or with a proxy that leads through one, for tests that kill it: what it is stands
 * as one line of JSON on its standard input, the port that it listens on as one line on its standard output.
 */
import { createInterface } from 'node:readline';
import { silentLogger } from '../../src/base/index.ts';
import { FarServer, ProxyServer, type UpstreamProxy } from '../../src/proxy/index.ts';
import { LOOPBACK, policyThrough } from './far-pair.ts';

/** `token`: a far end that takes it. `upstream`: a proxy that leads through it. */
export type FarChildOptions = { readonly token: string } | { readonly upstream: UpstreamProxy };

const listen = [{ address: '127.0.0.1', port: 0 }];

createInterface({ input: process.stdin })
  .once('line', (line) => {
    const options = JSON.parse(line) as FarChildOptions;
    const server =
      'token' in options
        ? new FarServer({
            listen,
            access: { tokens: [{ name: 'laptop', token: options.token }] },
            allow: LOOPBACK,
            logger: silentLogger,
          })
        : new ProxyServer({ listen, policy: policyThrough(options.upstream), logger: silentLogger });
    void server.start().then(() => process.stdout.write(`${server.addresses[0]!.port}\n`));
  })
  // The tests have ended.
  .once('close', () => process.exit());
