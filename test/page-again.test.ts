/**
 * An open page whose Weft ends and is started again: it says that what it shows is old, then that it is signed out,
 * and goes on by itself once this browser was let in with the new address.
 */
import { afterEach, expect, it } from 'vitest';
import { PageHost } from './support/page-host.ts';
import { startWeft, type RunningWeft } from './support/weft-program.ts';

let host: PageHost | undefined;
let again: RunningWeft | undefined;

afterEach(async () => {
  await again?.stop();
  await host?.close();
  [host, again] = [undefined, undefined];
});

it('says so, and goes on by itself', async () => {
  host = await PageHost.start();
  const { page } = await host.open();
  const state = page.locator('.link-state');
  const shows = (words: string) => state.and(page.getByText(words, { exact: true })).waitFor();
  await shows('Live');
  expect(await page.locator('.notice').count()).toBe(0);

  await host.weft.stop();
  await shows('Not connected');
  expect(await page.locator('.notice').innerText()).toContain('Weft does not answer');
  // What it knew stays to be read.
  expect(await page.locator('#picture').innerText()).toContain(host.lab.uplink(1).address);

  again = await startWeft(host.client);
  await shows('Signed out');
  expect(await page.locator('.notice').innerText()).toContain('weft web');

  const other = await page.context().newPage();
  await other.goto(await host.address());
  await other.close();
  // The tab is looked at again.
  await page.evaluate(`dispatchEvent(new Event('focus'))`);
  await shows('Live');
  expect(await page.locator('.notice').count()).toBe(0);
});
