/**
 * Debian's chromium, headless, in a network namespace of a test, driven by playwright-core; and what a page in it does
 * that it must not: errors on the console, requests to other hosts, breaches of its own content policy.
 *
 * Scripts for the page are texts, because the tests' types know no DOM. The browser ends with `close`, with the test's
 * process, and with the sandbox.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';

/** Debian's; scripts/test-programs.mjs finds by this word who needs it. */
const PROGRAM = 'chromium';
const LAUNCHER = fileURLToPath(new URL('browser-in-namespace.sh', import.meta.url));

/** A machine that runs other tests may take this long for what takes a moment. */
export const PATIENCE_MS = 20_000;

export interface Look {
  /** What the system prefers. Default `light`. */
  readonly theme?: 'light' | 'dark';
  /** Pixels of the window. Default 1280 × 900. */
  readonly width?: number;
  readonly height?: number;
}

/** Collected in the page, because a breach that is refused may leave no trace on the console. */
const COLLECT_VIOLATIONS = `
  globalThis.cspViolations = [];
  document.addEventListener('securitypolicyviolation', (event) => {
    globalThis.cspViolations.push(event.violatedDirective + ' ' + event.blockedURI);
  });
`;

/** A page that is open, in a session of its own. */
export class OpenPage {
  readonly page: Page;
  /** Errors and warnings on the console, exceptions, requests elsewhere. BOUNDED: by what one test does. */
  readonly troubles: string[] = [];
  readonly #context: BrowserContext;

  constructor(context: BrowserContext, page: Page, origin: string) {
    this.#context = context;
    this.page = page;
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') {
        this.troubles.push(`console ${message.type()}: ${message.text()} (${message.location().url})`);
      }
    });
    page.on('pageerror', (error) => this.troubles.push(`exception: ${error.stack ?? error.message}`));
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.origin !== origin && url.protocol !== 'data:')
        this.troubles.push(`request to ${request.url()}`);
    });
    page.on('dialog', (dialog) => {
      this.troubles.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  }

  /** All that went wrong so far; empty is good. */
  async whatWentWrong(): Promise<string[]> {
    const violations = await this.page.evaluate<string[]>('globalThis.cspViolations ?? []');
    return [...this.troubles, ...violations.map((text) => `policy: ${text}`)];
  }

  /** The texts of all the page shows, as a reader sees them. */
  text(): Promise<string> {
    return this.page.locator('body').innerText();
  }

  /** Whether the page is wider than its window. */
  async isTooWide(): Promise<boolean> {
    return this.page.evaluate<boolean>(
      'document.documentElement.scrollWidth > document.documentElement.clientWidth',
    );
  }

  close(): Promise<void> {
    return this.#context.close();
  }
}

export class TestBrowser {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** @param netns file of the network namespace */
  static async start(netns: string, args: readonly string[] = []): Promise<TestBrowser> {
    return new TestBrowser(
      await chromium.launch({
        executablePath: LAUNCHER,
        // chromium's own sandbox does not work as root.
        chromiumSandbox: process.getuid?.() !== 0,
        args: [...args],
        timeout: PATIENCE_MS,
        env: { ...process.env, BROWSER_NETNS: netns, BROWSER_PROGRAM: PROGRAM },
      }),
    );
  }

  /** A session of its own: no cookies, nothing stored. */
  async open(url: string, { theme = 'light', width = 1280, height = 900 }: Look = {}): Promise<OpenPage> {
    const context = await this.newContext({ theme, width, height });
    const page = await context.newPage();
    const opened = new OpenPage(context, page, new URL(url).origin);
    await page.goto(url);
    return opened;
  }

  async newContext({ theme = 'light', width = 1280, height = 900 }: Look = {}): Promise<BrowserContext> {
    const context = await this.#browser.newContext({
      colorScheme: theme,
      viewport: { width, height },
      reducedMotion: 'reduce',
    });
    context.setDefaultTimeout(PATIENCE_MS);
    await context.addInitScript({ content: COLLECT_VIOLATIONS });
    return context;
  }

  close(): Promise<void> {
    return this.#browser.close();
  }
}

interface AxeFinding {
  readonly id: string;
  readonly impact: string | null;
  readonly help: string;
  readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary?: string }[];
}

const axeSource = () => readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds serious or critical: a line for each place. */
export async function axeFindings(page: Page): Promise<string[]> {
  if (!(await page.evaluate<boolean>('"axe" in globalThis'))) await page.evaluate(axeSource());
  const findings = await page.evaluate<readonly AxeFinding[]>(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations)`,
  );
  return findings
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ help, id, impact, nodes }) =>
      nodes.map(
        ({ failureSummary = '', target }) =>
          `${impact} ${id}: ${help} — ${target.join(' ')}: ${failureSummary.replaceAll(/\s+/g, ' ')}`,
      ),
    );
}
