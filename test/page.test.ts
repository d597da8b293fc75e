/**
 * The page in a real browser, against the built `weft up` in a lab: that it shows what there is, asks nobody else,
 * is readable in both themes and at both widths, and takes every text from outside as text.
 *
 * Pictures of it are written for a look; where, is said in support/page-host.ts.
 */
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { axeFindings, type Look, type OpenPage } from './support/browser.ts';
import { eventually, PageHost, pictureFile } from './support/page-host.ts';

/** No white space, colon or slash may be in the name of a link; else whoever names one may write anything. */
const HOSTILE_LINK = `<h1>a"'&b`;
const HOSTILE_PROGRAM = '<img src=x>';
const HOSTILE_HOST = '<b>x</b>.test';
const FOLDER = '/run/weft-page-test';

const SECTIONS = ['picture', 'charts', 'connections', 'control', 'why', 'events'];

const LOOKS: Record<string, Required<Look>> = {
  light: { theme: 'light', width: 1280, height: 900 },
  dark: { theme: 'dark', width: 1280, height: 900 },
  'narrow-light': { theme: 'light', width: 360, height: 740 },
  'narrow-dark': { theme: 'dark', width: 360, height: 740 },
  wide: { theme: 'light', width: 1920, height: 1080 },
};

let host: PageHost;

beforeAll(async () => {
  host = await PageHost.start({ lab: { names: [HOSTILE_LINK, 'lte0'] } });
  // Answered when the host is observed: what happens before that is no event.
  await host.weftCommand('top', '--once');
  await host.download(500_000);
  // A program of the host that has a hostile name and speaks MPTCP by itself.
  mkdirSync(FOLDER, { recursive: true });
  symlinkSync('/usr/bin/curl', join(FOLDER, HOSTILE_PROGRAM));
  host.client.spawn(
    [
      'mptcpize',
      'run',
      join(FOLDER, HOSTILE_PROGRAM),
      '-sS',
      '--limit-rate',
      '50000',
      '-o',
      '/dev/null',
      host.lab.url(1e12),
    ],
    { stdio: 'ignore' },
  );
});

afterAll(async () => {
  await host.close();
  rmSync(FOLDER, { recursive: true, force: true });
});

/** Waits until all of the page has something to show; what is not on the screen asks for nothing. */
async function fill(page: Page): Promise<void> {
  await page.locator('#picture').getByText('10.2.0.2').first().waitFor({ state: 'attached' });
  const shows: Record<string, Locator> = {
    charts: page.locator('#charts canvas').first(),
    connections: page.locator('#connections').getByText(HOSTILE_PROGRAM).first(),
    why: page.locator('#why .finding, #why summary').first(),
    control: page.locator('#control').getByText('10.2.0.2').first(),
    events: page.locator('#events').getByText('lte0').first(),
  };
  for (const section of SECTIONS) {
    await page.locator(`#${section}`).scrollIntoViewIfNeeded();
    await shows[section]?.waitFor();
  }
  await page.evaluate('scrollTo(0, 0)');
}

async function openFilled(): Promise<OpenPage> {
  const opened = await host.open();
  await fill(opened.page);
  return opened;
}

describe('what is shown', () => {
  it('host, paths, connections, limits, reasons and events, without an error and without asking anybody else', async () => {
    const opened = await openFilled();
    const { page } = opened;
    await page.getByText('Live', { exact: true }).waitFor();
    const { lab } = host;
    expect(await page.locator('#connections').innerText()).toContain(lab.serverAddress);
    expect(await page.locator('#picture').innerText()).toContain(lab.serverAddress);
    expect(await page.locator('#control').innerText()).toContain('weft path lte0 backup');
    expect(await page.locator('#why').innerText()).not.toContain('Looking');
    expect(await opened.whatWentWrong()).toEqual([]);
    // The address bar does not keep the token, nor does anything that the page could read.
    expect(page.url()).not.toContain('token');
    expect(await page.evaluate('document.cookie')).toBe('');
    await opened.close();
  });

  it('no page without the token', async () => {
    const address = new URL(await host.address());
    const opened = await host.browser.open(address.origin);
    expect(await opened.text()).toContain('weft web');
    expect(await opened.page.locator('#picture').count()).toBe(0);
    await opened.close();
  });
});

describe('texts from outside', () => {
  it('are text: names of links, programs and hosts', async () => {
    // Whether the name is refused or asked for, it is told in an event or an answer.
    await host.client.run([
      'curl',
      '-sS',
      '-m',
      '5',
      '-x',
      'http://127.0.0.1:13128',
      `http://${HOSTILE_HOST}/`,
    ]);
    const opened = await openFilled();
    const { page } = opened;
    const shown = await opened.text();
    expect(shown).toContain(HOSTILE_LINK);
    expect(shown).toContain(HOSTILE_PROGRAM);
    const search = page.locator('#connections').getByRole('searchbox');
    await search.fill(`<img src=x onerror="alert(1)">`);
    await eventually(
      async () => !(await page.locator('#connections').innerText()).includes(HOSTILE_PROGRAM),
      'the search to find nothing',
    );
    expect(await page.locator('main h1, main img, main b').count()).toBe(0);
    expect(await opened.whatWentWrong()).toEqual([]);
    await opened.close();
  });
});

describe('readable by everyone', () => {
  let opened: OpenPage;

  beforeAll(async () => {
    opened = await host.open();
  });

  afterAll(async () => {
    await opened.close();
  });

  it.each(Object.entries(LOOKS))('%s', async (name, { theme, width, height }) => {
    const { page } = opened;
    await page.emulateMedia({ colorScheme: theme });
    await page.setViewportSize({ width, height });
    await fill(page);
    expect(await opened.isTooWide()).toBe(false);
    await page.screenshot({ path: pictureFile(name), fullPage: true });
    expect(await axeFindings(page)).toEqual([]);
    expect(await opened.whatWentWrong()).toEqual([]);
  });
});

describe('the keyboard', () => {
  it('reaches every control, in an order that ends, and each shows where it is', async () => {
    const opened = await openFilled();
    const { page } = opened;
    // What can be operated, by its name, as a reader of the page counts it.
    const wanted = await page.evaluate<string[]>(`
      [...document.querySelectorAll('a[href], button, input, select, textarea, summary')]
        .filter((e) => e.checkVisibility() && e.closest('.events-scroll') === null && !e.disabled && e.tabIndex >= 0)
        .map((e, i) => { e.dataset.testKey = 'k' + i; return e.dataset.testKey; })`);
    expect(wanted.length).toBeGreaterThan(15);
    const reached = new Set<string>();
    for (let n = 0; n < wanted.length + 200; n++) {
      await page.keyboard.press('Tab');
      const at = await page.evaluate<string | null>(`
        (() => {
          const e = document.activeElement;
          if (e === null || e === document.body) return null;
          const style = getComputedStyle(e);
          const isMarked = style.outlineStyle !== 'none' || style.boxShadow !== 'none' || e.matches(':has(:focus-visible)');
          return (e.dataset.testKey ?? '?') + (isMarked ? '' : ' unmarked ' + e.outerHTML.slice(0, 120));
        })()`);
      if (at === null && reached.size > 0) break;
      if (at !== null) reached.add(at);
    }
    expect([...reached].filter((key) => key.includes('unmarked'))).toEqual([]);
    // Rows of lists come and go meanwhile, and take their controls with them.
    const still = await page.evaluate<string[]>(
      `[...document.querySelectorAll('[data-test-key]')].filter((e) => e.checkVisibility() && e.tabIndex >= 0 && !e.disabled).map((e) => e.dataset.testKey)`,
    );
    expect(still.filter((key) => !reached.has(key))).toEqual([]);
    await opened.close();
  });

  it('chooses a theme, sorts, searches, and follows a connection', async () => {
    const opened = await openFilled();
    const { page } = opened;
    const dark = page.getByRole('button', { name: 'Dark' });
    await dark.focus();
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.documentElement.dataset.theme')).toBe('dark');
    const connections = page.locator('#connections');
    const rate = connections.getByRole('columnheader', { name: 'Rate' });
    expect(await rate.getAttribute('aria-sort')).toBe('descending');
    await rate.getByRole('button').focus();
    await page.keyboard.press('Enter');
    expect(await rate.getAttribute('aria-sort')).toBe('ascending');

    await connections.locator('[data-connection][tabindex="0"]').first().focus();
    await page.keyboard.press('Enter');
    const followed = connections.getByRole('region', { name: host.lab.serverAddress });
    await followed.getByText('10.2.0.2').first().waitFor();
    await followed.getByRole('button', { name: 'Close' }).focus();
    await page.keyboard.press('Escape');
    await followed.waitFor({ state: 'hidden' });
    expect(await page.evaluate('document.activeElement.matches("[data-connection]")')).toBe(true);

    await connections.getByRole('searchbox').focus();
    await page.keyboard.type('no such thing');
    await eventually(
      async () => !(await connections.innerText()).includes(HOSTILE_PROGRAM),
      'the search to leave all out',
    );
    await opened.close();
  });
});
