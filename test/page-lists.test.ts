/**
 * The lists of the page: a connection that is followed ends, a server without MPTCP, the kernel's events with their
 * fields, commands to copy, and a Weft that may change nothing. Changes are in page-actions.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OpenPage } from './support/browser.ts';
import { eventually, PageHost } from './support/page-host.ts';
import { UNPRIVILEGED } from './support/weft-program.ts';

const PLAIN_PORT = 8080;
/** Answers at once and says nothing more, so that the connection stays. */
const PLAIN_SERVER = `
  require('node:net').createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 200 OK\\r\\n\\r\\n');
  }).listen(${PLAIN_PORT}, '0.0.0.0', () => console.log('ready'));
`;

/** Opens the page, and at the end holds what went wrong against what may. */
async function withPage(
  host: PageHost,
  work: (opened: OpenPage) => Promise<void>,
  allowed: readonly RegExp[] = [],
): Promise<void> {
  const opened = await host.open();
  try {
    await work(opened);
    const troubles = await opened.whatWentWrong();
    expect(troubles.filter((trouble) => !allowed.some((one) => one.test(trouble)))).toEqual([]);
  } finally {
    await opened.close();
  }
}

describe('with two uplinks', () => {
  let host: PageHost;

  beforeAll(async () => {
    host = await PageHost.start();
  });

  afterAll(async () => {
    await host.close();
  });

  it('the panel of a connection stays when it ends, and says so', async () => {
    const curl = await host.download(200_000);
    await withPage(
      host,
      async ({ page }) => {
        const connections = page.locator('#connections');
        await connections.locator('[data-connection]').first().click();
        const followed = connections.getByRole('region');
        const subflows = followed.getByRole('table', { name: 'Subflows' });
        await subflows.getByRole('row').nth(2).waitFor();
        expect(await subflows.innerText()).toContain('10.1.0.2');
        await followed
          .getByText('several', { exact: false })
          .or(followed.getByText('paths'))
          .first()
          .waitFor();
        await host.endDownload(curl);
        await followed.getByText('ended', { exact: true }).waitFor();
        expect(await subflows.innerText()).toContain('10.1.0.2');
        await page.locator('#connections').getByText('No connection is open now.').waitFor();
        await followed.getByRole('button', { name: 'Close' }).click();
        expect(await followed.count()).toBe(0);
      },
      // That it is gone is Weft's answer 404, which browsers put on the console.
      [/status of 404 .*\/v1\/(?:connection|why)\?/],
    );
  });

  it("events have the kernel's fields, are filtered by kind and words, and can be held", async () => {
    await withPage(host, async ({ page }) => {
      const events = page.locator('#events');
      // What nobody can see is not drawn.
      await events.scrollIntoViewIfNeeded();
      await events.getByText('Nothing has happened yet.').or(events.locator('li.event')).first().waitFor();
      const curl = await host.download(100_000);
      const ofKernel = events.locator('li.event[data-kind="mptcp"]');
      await ofKernel.first().waitFor();
      await ofKernel.first().locator('summary').click();
      await ofKernel.locator('details[open]').getByText('token', { exact: true }).waitFor();

      await events.getByRole('button', { name: 'MPTCP', pressed: true }).click();
      await eventually(async () => (await ofKernel.count()) === 0, 'the kind to be left out');
      await events.getByRole('button', { name: 'MPTCP', pressed: false }).click();
      await ofKernel.first().waitFor();
      await events.getByRole('searchbox').fill('no such event');
      await events.getByText('No event matches.').waitFor();
      await events.getByRole('searchbox').fill('');

      await events.getByRole('button', { name: 'Pause' }).click();
      const before = await events.locator('li.event').count();
      await host.endDownload(curl);
      await events.getByRole('button', { name: /^Resume \(\d+ new\)/ }).waitFor();
      expect(await events.locator('li.event').count()).toBe(before);
      await events.getByRole('button', { name: /^Resume/ }).click();
      await eventually(async () => (await events.locator('li.event').count()) > before, 'the new ones');
    });
  });

  // Last, because Weft remembers for ten minutes that this server has none.
  it('a server without MPTCP is shown with the reason, and found by it', async () => {
    const server = host.lab.node('server').spawn([process.execPath, '-e', PLAIN_SERVER], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const target = `${host.lab.serverAddress}:${PLAIN_PORT}`;
    let curl: ReturnType<typeof host.client.spawn> | undefined;
    try {
      await new Promise((resolve) => server.stdout!.once('data', resolve));
      curl = host.client.spawn(
        [
          'curl',
          '-sS',
          '--proxytunnel',
          '-x',
          'http://127.0.0.1:13128',
          '-o',
          '/dev/null',
          `http://${target}/`,
        ],
        { stdio: 'ignore' },
      );
      await withPage(host, async ({ page }) => {
        const connections = page.locator('#connections');
        await connections.getByRole('searchbox').fill(String(PLAIN_PORT));
        const row = connections.locator('[data-connection]').filter({ hasText: target });
        await row.waitFor();
        const protocol = await row.locator('.cell-protocol').innerText();
        expect(protocol).toMatch(/^TCP\s+\S+/);
        await row.click();
        const followed = connections.getByRole('region', { name: target });
        await followed.getByText('Why not MPTCP').waitFor();
        await connections.getByRole('searchbox').fill('no such words');
        await connections.getByText('Nothing matches “no such words”.').waitFor();
      });
    } finally {
      curl?.kill('SIGTERM');
      server.kill('SIGTERM');
    }
  });
});

describe('a Weft without rights', () => {
  let host: PageHost;

  beforeAll(async () => {
    host = await PageHost.start({ prefix: UNPRIVILEGED });
  });

  afterAll(async () => {
    await host.close();
  });

  it('says why nothing can be changed, and lets nothing be tried', async () => {
    await withPage(host, async ({ page }) => {
      const control = page.locator('#control');
      await control.getByText('CAP_NET_ADMIN').waitFor();
      const enabled = control.locator('button, input, select').filter({ visible: true });
      for (const one of await enabled.all()) expect(await one.isDisabled()).toBe(true);
      const why = page.locator('#why');
      await why.locator('.finding').filter({ visible: true }).first().waitFor();
      expect(await why.innerText()).not.toContain('undefined');
    });
  });
});
