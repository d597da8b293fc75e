import { expect, it } from 'vitest';
import { formatPathReport } from './path-report.ts';

it('shows what is measured of each path, and what is not', () => {
  const report = formatPathReport([
    {
      name: 'conn4_A',
      file: 'ipv4.conf',
      paths: [
        {
          interfaceName: 'eth1',
          publicAddress: '10.1.1.2',
          remoteAddress: '10.1.1.3',
          status: 0,
          rttUs: 10_412.6,
          jitterUs: 80,
          lossRatio: 0.0125,
          sentBps: 93_200_000,
          receivedBps: 1_250_000,
          mtu: 1500,
        },
        {
          interfaceName: 'wlan0',
          publicAddress: '192.168.178.20',
          remoteAddress: '10.2.2.3',
          status: 128,
          sentBps: 0,
          receivedBps: 0,
          mtu: 1492,
        },
      ],
    },
  ]);
  expect(report).toBe(`
Connection conn4_A (ipv4.conf)
  path  interface  public          remote    status  rtt ms  jitter ms  loss %  out Mbit/s  in Mbit/s   mtu
  0     eth1       10.1.1.2        10.1.1.3       0  10.413      0.080    1.25       93.20       1.25  1500
  1     wlan0      192.168.178.20  10.2.2.3     128       -          -       -        0.00       0.00  1492
`);
});

it('says that there is nothing', () => {
  expect(formatPathReport([])).toBe('\nNo connections\n');
});
