/**
 * What every answer of the page's server carries, and the answers that it gives by itself (pure but for the writing):
 * refusals, and the page for who has no session. Texts that came in are never part of an answer.
 *
 * References: Content Security Policy Level 3; Fetch (CORP, COOP); RFC 9110 section 15.
 */
import type { ServerResponse } from 'node:http';
import type { ControlFailure } from '../service/index.ts';
import type { Refused } from './guard.ts';

/** Nothing is loaded from elsewhere, nothing stands in a frame of others, and no script stands in a document. */
const CONTENT_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** @param server what it calls itself */
export function setCommonHeaders(response: ServerResponse, server: string): void {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
  response.setHeader('server', server);
}

function document(title: string, lines: readonly string[]): string {
  const paragraphs = lines.map((line) => `<p>${line}</p>`).join('\n');
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>${title}</title></head>
<body>
<h1>${title}</h1>
${paragraphs}
</body>
</html>
`;
}

const PAGES: Readonly<Record<string, string>> = {
  NO_SESSION: document('Weft: not signed in', [
    'This page needs the address with its token. On the machine where Weft runs, <code>weft web</code> prints it; open that.',
    'The token is another one after each start of Weft, unless it stands in a file.',
  ]),
  WRONG_TOKEN: document('Weft: wrong token', [
    'The token of this address is not the one of the Weft that runs now. <code>weft web</code> prints the right address.',
  ]),
  BAD_ORIGIN: document('Weft: come directly', [
    'Links of other pages do not lead here. Copy the address that <code>weft web</code> prints into the address bar.',
  ]),
  BAD_HOST: document('Weft: unknown name', [
    'This server is not known by the name in the address bar. Use the address that <code>weft web</code> prints. For a name of your own, start Weft with <code>--web-origin</code>.',
  ]),
};

/** Said when the package was not built. */
export const NOT_BUILT = document('Weft: no page', [
  'The page is not part of this build of Weft. Its control calls and <code>/metrics</code> are there.',
]);

export function sendText(
  response: ServerResponse,
  status: number,
  type: string,
  text: string | Buffer,
): void {
  const body = typeof text === 'string' ? Buffer.from(text) : text;
  response.writeHead(status, { 'content-type': type, 'content-length': body.length });
  response.end(body);
}

export function sendFailure(response: ServerResponse, status: number, failure: ControlFailure): void {
  sendText(response, status, 'application/json', JSON.stringify(failure));
}

/** Refuses, and reads nothing more from this connection. @param forPerson a browser that shows what it gets */
export function sendRefusal(
  response: ServerResponse,
  { code, reason, status }: Refused,
  forPerson: boolean,
): void {
  response.shouldKeepAlive = false;
  if (status === 401) response.setHeader('www-authenticate', 'Bearer realm="weft"');
  if (status === 405) response.setHeader('allow', 'GET, HEAD, POST');
  const page = forPerson ? PAGES[code] : undefined;
  if (page === undefined) sendFailure(response, status, { error: reason, code });
  else sendText(response, status, 'text/html; charset=utf-8', page);
}
