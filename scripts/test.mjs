/**
 * `npm test [-- vitest arguments]`: sets the checkout up if needed, then runs all tests inside a sandbox of private
 * namespaces (src/lab/sandbox.ts), as root or as an ordinary user. The last line is `N passed, N failed`, with
 * `, N skipped` when any were. Without arguments the files are dealt to sandboxes, two of which run side by side: most
 * tests wait most of the time.
 *
 * Where namespaces cannot be had, the tests of the kernel count as skipped and the reason is said; where programs are
 * missing that some of them run (test-programs.mjs), those do.
 * WEFT_REQUIRE_KERNEL=1, which continuous integration sets, makes every skipped test a failure.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, setUp } from './setup.mjs';
import { fetchKernel, hasKernel, KERNEL } from './fetch-kernel.mjs';
import { filesThatNeed, installPackages, missingPackages, widenPath } from './test-programs.mjs';

/** So many parts of the tests run at a time. */
const AT_ONCE = 2;
/** A part is a share of the files that are left, but so many at least: its sandbox takes seconds. */
const FILES_MIN = 6;

const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');

/** Runs vitest with our terminal; resolves with its exit code. Signals are passed on, so that it ends its workers. */
function runVitest(args) {
  const child = spawn(process.execPath, [vitest, 'run', ...args], { cwd: root, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}

/** What vitest's JSON report says; a file that could not even be loaded counts as one failed test. */
function readReport(path) {
  let report;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0, failures: ['a part of the tests left no report'] };
  }
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
    failures: report.testResults.flatMap(failuresOf),
  };
}

/** What failed in a file, each with its message, which a long log would hide. */
function failuresOf(file) {
  const name = relative(root, file.name);
  const failed = file.assertionResults.filter((test) => test.status === 'failed');
  if (failed.length === 0) return file.status === 'failed' ? [`${name}: ${file.message}`] : [];
  return failed.map((test) => `${name}: ${test.fullName}\n${test.failureMessages.join('\n')}`);
}

/** How many tests need the kernel, of all files or of those named, without running them. */
function countKernelTests(files = []) {
  const listing = spawnSync(process.execPath, [vitest, 'list', '--project', 'kernel', ...files, '--json'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  try {
    return JSON.parse(listing.stdout).length;
  } catch {
    return 1;
  }
}

/**
 * Runs the tests of one part and returns how many passed, failed and were skipped. `missing` says why the kernel's tests
 * cannot run, if so.
 */
async function runTests(args, { missing, part } = {}) {
  // The sandbox's own /run goes with it, also when everything is killed.
  const folder = mkdtempSync(join(missing === undefined ? '/run' : tmpdir(), 'weft-test-'));
  try {
    const report = join(folder, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const programs = missingPackages().flatMap((item) => item.programs);
    if (!hasKernel()) programs.push(KERNEL);
    const without = missing === undefined && programs.length > 0 ? filesThatNeed(programs) : [];
    const selection =
      missing === undefined ? without.flatMap((file) => ['--exclude', file]) : ['--project', 'unit'];
    const exitCode = await runVitest([...reporters, ...selection, ...args, ...(part?.words ?? [])]);
    const tally = { exitCode, ...readReport(report) };
    if (missing !== undefined) {
      tally.skipped += countKernelTests();
      console.log(`the tests of the kernel did not run: ${missing}`);
    } else if (without.length > 0 && part?.isFirst !== false) {
      tally.skipped += countKernelTests(without);
      console.log(`not installed: ${programs.join(', ')}; so these did not run: ${without.join(', ')}`);
    }
    return tally;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Prints the last line; returns the exit code. */
function conclude(tallies) {
  const sum = (field) => tallies.reduce((total, tally) => total + tally[field], 0);
  let exitCode = tallies.find((tally) => tally.exitCode !== 0)?.exitCode ?? 0;
  const failed = sum('failed');
  for (const failure of tallies.flatMap((tally) => tally.failures ?? [])) console.log(`\nFAILED ${failure}`);
  const skipped = sum('skipped');
  if (failed > 0) exitCode ||= 1;
  if (skipped > 0 && process.env.WEFT_REQUIRE_KERNEL === '1') {
    console.log('skipped tests count as a failure, because WEFT_REQUIRE_KERNEL is 1');
    exitCode ||= 1;
  }
  console.log(`${sum('passed')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return exitCode;
}

/**
 * All tests, dealt: those without the kernel, then its files in parts that become smaller and smaller, so that those who
 * run them end together.
 */
function dealParts() {
  const files = readdirSync(join(root, 'test')).filter((name) => name.endsWith('.test.ts'));
  const parts = [['--project', 'unit']];
  for (let from = 0, count; from < files.length; from += count) {
    count = Math.max(FILES_MIN, Math.ceil((files.length - from) / (2 * AT_ONCE)));
    const names = files.slice(from, from + count).map((name) => `test/${name}`);
    parts.push(['--project', 'kernel', '--passWithNoTests', ...names]);
  }
  return parts.map((words, i) => ({ words, isFirst: i === 0 }));
}

/** One sandbox with one part of the tests; what came of it. */
async function runPart(sandbox, runInSandbox, args, part) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-tally-'));
  const path = join(folder, 'tally.json');
  try {
    const env = { WEFT_TEST_TALLY: path, WEFT_TEST_PART: JSON.stringify(part) };
    const command = [process.execPath, fileURLToPath(import.meta.url), ...args];
    const exitCode = await runInSandbox(sandbox, command, { env });
    try {
      return JSON.parse(readFileSync(path, 'utf8'));
    } catch {
      const failures = [`${part.words.join(' ')}: ended with ${exitCode} before it could say what failed`];
      return { exitCode: exitCode === 0 ? 1 : exitCode, passed: 0, failed: 1, skipped: 0, failures };
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What came of all parts. */
async function runParts(runOne, parts) {
  const waiting = [...parts];
  const tallies = [];
  const lane = async () => {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift())
      tallies.push(await runOne(part));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return tallies;
}

async function main(args) {
  // Inside, everything was set up before the sandbox was made (the mark is the sandbox's, see there).
  const inside = process.env.WEFT_SANDBOX_INSIDE !== undefined;
  widenPath();
  if (!inside) {
    setUp();
    const lacking = missingPackages();
    if (lacking.length > 0) installPackages(lacking);
    fetchKernel();
  }
  const { enterSandbox, findSandbox, isSandbox, runInSandbox } = await import('../dist/lab/sandbox.js');
  if (inside) {
    enterSandbox();
    const tally = await runTests(args, { part: JSON.parse(process.env.WEFT_TEST_PART) });
    writeFileSync(process.env.WEFT_TEST_TALLY, JSON.stringify(tally));
    return tally.exitCode;
  }
  const found = findSandbox();
  if (!isSandbox(found))
    return conclude([await runTests(args, { missing: `${found.reason} — ${found.remedy}` })]);
  const parts = args.length > 0 ? [{ words: [], isFirst: true }] : dealParts();
  return conclude(await runParts((part) => runPart(found, runInSandbox, args, part), parts));
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`weft: ${error.message}`);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
}
