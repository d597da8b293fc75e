/** scripts/test-programs.mjs: what it finds missing on a fresh machine, and how it asks for it. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../scripts/test-programs.mjs', import.meta.url));

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-programs-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** An apt-get that notes its arguments, one call a line. */
function placeAptGet(exitCode: number): void {
  const path = join(folder, 'apt-get');
  writeFileSync(path, `#!/bin/sh\necho "$@" >> '${join(folder, 'calls')}'\nexit ${exitCode}\n`);
  chmodSync(path, 0o755);
}

/** Runs JavaScript that may use all of the module, on a machine whose programs are those in `folder`. */
function runOn(code: string): { readonly stdout: string; readonly stderr: string } {
  const args = ['--input-type=module', '-e', `import * as m from '${SCRIPT}';\n${code}`];
  return spawnSync(process.execPath, args, { encoding: 'utf8', env: { PATH: folder } });
}

const PACKAGES = `[{ name: 'curl', programs: ['curl'] }, { name: 'iproute2', programs: ['ip', 'ss'] }]`;

it('finds what is missing, program by program', () => {
  const { stdout } = runOn(
    `for (const { name, programs } of m.missingPackages()) console.log(name, ...programs);`,
  );
  expect(stdout).toContain('curl curl\n');
  expect(stdout).toContain('iproute2 ip ss\n');
  writeFileSync(join(folder, 'ip'), '', { mode: 0o755 });
  writeFileSync(join(folder, 'curl'), '', { mode: 0o644 });
  const again = runOn(
    `for (const { name, programs } of m.missingPackages()) console.log(name, ...programs);`,
  );
  expect(again.stdout).toContain('curl curl\n');
  expect(again.stdout).toContain('iproute2 ss\n');
});

it('as root: installs with apt-get, each package an argument', () => {
  placeAptGet(0);
  const { stderr } = runOn(`process.getuid = () => 0; m.installPackages(${PACKAGES});`);
  expect(stderr).toMatch(/installing what tests need: curl iproute2/);
  const calls = readFileSync(join(folder, 'calls'), 'utf8');
  expect(calls).toBe('update -qq\ninstall -y -qq --no-install-recommends curl iproute2\n');
});

it('says what to do where that fails, and as an ordinary user', () => {
  placeAptGet(100);
  const failed = runOn(`process.getuid = () => 0; m.installPackages(${PACKAGES});`);
  expect(failed.stderr).toMatch(/could not be installed: .*exit 100.* — apt-get install curl iproute2/);
  const user = runOn(`process.getuid = () => 1000; m.installPackages(${PACKAGES});`);
  expect(user.stderr).toMatch(/needed by tests: curl iproute2 — sudo apt-get install curl iproute2/);
  expect(readFileSync(join(folder, 'calls'), 'utf8')).toBe('update -qq\n');
});

it('knows the files that run a program, also through what they import', () => {
  const { stdout } = runOn(`console.log(m.filesThatNeed(['setpriv']).join(' '));`);
  // up-command.test.ts has it from support/weft-program.ts only.
  expect(stdout.split(/\s/)).toEqual(expect.arrayContaining(['test/up-command.test.ts']));
  expect(stdout).not.toContain('architecture');
});
