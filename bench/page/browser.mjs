/** Debian's chromium in a node of the lab, with the page of its Weft open. */
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const LAUNCHER = fileURLToPath(new URL('../../test/support/browser-in-namespace.sh', import.meta.url));

/** @param cpus the cores that all its processes may use, as taskset(1) takes them */
export async function startBrowser(netns, cpus) {
  return chromium.launch({
    executablePath: LAUNCHER,
    chromiumSandbox: process.getuid() !== 0,
    env: { ...process.env, BROWSER_NETNS: netns, BROWSER_PROGRAM: `taskset -c ${cpus} chromium` },
  });
}

export async function openPage(browser, url, { width = 1280, height = 900 } = {}) {
  const context = await browser.newContext({ viewport: { width, height } });
  const page = await context.newPage();
  const troubles = [];
  page.on('console', (message) => {
    if (message.type() === 'error') troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(error.message));
  await page.goto(url);
  return { context, page, troubles };
}
