/**
 * What the page does, and what it shows of what happens: a path that is lost, and changes made from it, each held
 * against the kernel. How fast, is measured in bench/page.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Locator } from 'playwright-core';
import { EndpointFlag, PathManager } from '../src/mptcp/index.ts';
import type { OpenPage } from './support/browser.ts';
import { eventually, PageHost } from './support/page-host.ts';

let host: PageHost;
let opened: OpenPage;

beforeAll(async () => {
  host = await PageHost.start();
  await host.download(500_000);
});

afterAll(async () => {
  await host.close();
});

beforeEach(async () => {
  opened = await host.open();
  return async () => {
    const troubles = await opened.whatWentWrong();
    await opened.close();
    expect(troubles).toEqual([]);
  };
});

function withManager<T>(work: (manager: PathManager) => T): T {
  const manager = PathManager.open({ netns: host.client.path });
  try {
    return work(manager);
  } finally {
    manager.close();
  }
}

const isBackup = (address: string) =>
  withManager((manager) =>
    manager
      .endpoints()
      .some((endpoint) => endpoint.address === address && (endpoint.flags & EndpointFlag.backup) !== 0),
  );

/** The page announces a command line before it does something, and shows Weft's own after it where that differs. */
async function answersAsAnnounced(part: Locator): Promise<void> {
  await part.locator('.message[role="status"]:not(:empty)').first().waitFor();
  expect(await part.getByText('done as').filter({ visible: true }).count()).toBe(0);
}

it('a path whose cable is pulled is down in picture, chart and list, and comes back', async () => {
  const { page } = opened;
  const uplink = host.lab.uplink(1);
  const inPicture = page.locator(`#picture [data-path="${uplink.name} ${uplink.address}"]`).first();
  await eventually(async () => (await inPicture.getAttribute('data-state')) === 'active', 'the path');
  const links = page.locator('#connections');
  // What is not on the screen asks for nothing.
  await links.scrollIntoViewIfNeeded();
  await eventually(async () => (await links.innerText()).includes(uplink.name), 'its link in the list');
  uplink.unplug();
  try {
    await eventually(async () => (await inPicture.getAttribute('data-state')) === 'down', 'the picture');
    // Its subflow is marked, and gone from the list as soon as the kernel closes it.
    const isUsed = new RegExp(`${uplink.name}(?! down)`);
    await eventually(async () => !isUsed.test(await links.innerText()), 'the list');
    await page.locator(`#charts [data-path="${uplink.name} ${uplink.address}"][data-state="down"]`).waitFor();
    await page.locator('#events').getByText(uplink.name).first().waitFor();
  } finally {
    uplink.plug();
  }
  await eventually(async () => (await inPicture.getAttribute('data-state')) === 'active', 'the path again');
});

it('a path is made backup and normal by its switch, and the kernel tells the peer of open connections', async () => {
  const { page } = opened;
  const { address, name } = host.lab.uplink(1);
  const toggle = page.locator('#control').getByRole('switch', { name: new RegExp(`${name} is backup`) });
  await toggle.waitFor();
  const command = page.locator('#control').getByText(`weft path ${name} backup`);
  await command.waitFor();
  const before = host.counter('MPPrioTx');
  await toggle.focus();
  await page.keyboard.press('Space');
  await eventually(() => isBackup(address), 'the endpoint to be backup');
  await eventually(() => host.counter('MPPrioTx') > before, 'MP_PRIO');
  await answersAsAnnounced(
    page
      .locator('#control .control-row')
      .filter({ has: page.getByRole('switch', { name: `${name} is backup` }) }),
  );
  await eventually(() => toggle.isChecked(), 'the switch');
  await eventually(
    async () =>
      (await page.locator(`#picture [data-path="${name} ${address}"]`).first().getAttribute('data-state')) ===
      'backup',
    'the picture',
  );
  const between = host.counter('MPPrioTx');
  await toggle.click();
  await eventually(() => !isBackup(address), 'the endpoint to be normal');
  await eventually(() => host.counter('MPPrioTx') > between, 'MP_PRIO again');
});

it('limits are set by their form', async () => {
  const { page } = opened;
  const form = page.locator('#control').getByRole('form', { name: 'Limits' });
  await form.getByLabel('Subflows beside the first').fill('5');
  await page.locator('#control').getByText('weft mptcp limits set subflows 5').first().waitFor();
  await form.getByRole('button', { name: 'Set limits' }).click();
  await eventually(() => withManager((manager) => manager.limits().subflows) === 5, 'the limit');
  await answersAsAnnounced(
    page.locator('#control .control-part').filter({ has: page.getByRole('form', { name: 'Limits' }) }),
  );
});

it('an endpoint is added and removed by its form, with one question before it is removed', async () => {
  const { page } = opened;
  const control = page.locator('#control');
  host.client.netlink.addAddress({
    linkIndex: host.client.linkIndex('lo'),
    address: '192.0.2.77',
    prefixLength: 32,
  });
  const has = () =>
    withManager((manager) => manager.endpoints().some(({ address }) => address === '192.0.2.77'));
  await control.getByLabel('Address', { exact: true }).fill('192.0.2.77');
  await control.getByRole('button', { name: 'Add endpoint' }).click();
  await eventually(has, 'the endpoint');
  const adding = page.getByRole('form', { name: 'Add an endpoint' });
  await answersAsAnnounced(control.locator('.control-part').filter({ has: adding }));
  await control.getByRole('button', { name: /^Remove: endpoint \d+, 192\.0\.2\.77/ }).click();
  expect(has()).toBe(true);
  await control.getByRole('button', { name: 'Remove', exact: true }).click();
  await eventually(() => !has(), 'the endpoint to be gone');
  await answersAsAnnounced(control.locator('.answer'));
});

it('says that it is not connected when Weft ends, and that its address is needed when another one starts', async () => {
  // Last, because it ends what the others use.
  const { page } = opened;
  await page.getByText('Live', { exact: true }).waitFor();
  await host.weft.stop();
  await page.getByText('Not connected', { exact: true }).waitFor();
  // Its own requests fail now, which browsers put on the console; a page that is left makes none any more.
  await page.goto('about:blank');
  opened.troubles.length = 0;
});
