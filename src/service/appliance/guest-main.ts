/**
 * The program of the appliance's guest, its first and only process: boots, finds the agent's port, and does what the
 * host asks until it says stop. Built as dist/appliance/guest.cjs (scripts/build.mjs), started by the image's /init.
 *
 * Invariant: it never returns; it powers the machine off, also when something unforeseen happens.
 */
import {
  AGENT_PORT_NAME,
  AgentPort,
  bootGuest,
  endGuest,
  findPort,
  GuestAgent,
  type GuestLogLevel,
} from '../../appliance/index.ts';
import { errorText, type LogMethod } from '../../base/index.ts';
import { GuestWeft } from './guest-weft.ts';

/** Written in by the build. */
declare const WEFT_VERSION: string;

const PORT_WAIT_MS = 20_000;
const PORT_RETRY_MS = 20;
/** How long it goes on without a host: one that was killed does not come back to end it. */
const HOST_GONE_MS = 60_000;
/** How long an orderly end may take. */
const STOP_DEADLINE_MS = 2000;

const tellConsole = (text: string) => process.stderr.write(`weft: ${text}\n`);

function waitForPort(): Promise<string> {
  const endMs = performance.now() + PORT_WAIT_MS;
  return new Promise((resolve, reject) => {
    const look = () => {
      const path = findPort(AGENT_PORT_NAME);
      if (path !== undefined) resolve(path);
      else if (performance.now() < endMs) setTimeout(look, PORT_RETRY_MS);
      else reject(new Error(`there is no virtio-serial port "${AGENT_PORT_NAME}"`));
    };
    look();
  });
}

async function runGuest(): Promise<void> {
  bootGuest();
  const path = await waitForPort();
  let agent: GuestAgent | undefined;
  const log =
    (level: GuestLogLevel): LogMethod =>
    (_fields, text) => {
      if (level === 'error') tellConsole(text);
      agent?.tell({ event: 'log', level, text });
    };
  const logger = { debug: () => {}, info: log('info'), warn: log('warn'), error: log('error') };
  let ending = false;
  const end = () => {
    if (ending) return;
    ending = true;
    setTimeout(endGuest, STOP_DEADLINE_MS);
    weft.close().then(endGuest, endGuest);
  };
  const weft = new GuestWeft({
    version: WEFT_VERSION,
    logger,
    onChange: () => agent?.tell({ event: 'changed' }),
    onStop: end,
  });
  process.on('uncaughtException', (error) => {
    const text = error.stack ?? errorText(error);
    tellConsole(text);
    agent?.tell({ event: 'failed', text: errorText(error) });
    end();
  });
  let lonely: NodeJS.Timeout | undefined;
  const waitForHost = () => {
    lonely = setTimeout(() => {
      tellConsole(`no host for ${HOST_GONE_MS / 1000} s: powering off`);
      end();
    }, HOST_GONE_MS);
  };
  const port = new AgentPort(path, {
    onOpen: () => {
      clearTimeout(lonely);
      agent?.handleOpen();
    },
    onBytes: (bytes) => agent?.handleBytes(bytes),
    onClose: waitForHost,
  });
  waitForHost();
  agent = new GuestAgent(weft, (bytes) => port.write(bytes));
  tellConsole(`ready after ${Math.round(process.uptime() * 1000)} ms of Node`);
}

runGuest().catch((error: unknown) => {
  tellConsole(errorText(error));
  endGuest();
});
