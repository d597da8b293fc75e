import { defineConfig } from 'vitest/config';

// Two projects: `unit` (pure, beside the code, in parallel) and `kernel` (needs the namespaces that
// scripts/test.mjs makes; one file after another, because measurements and ports are shared).
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          environment: 'node',
          // Pure: no file leaves anything to the next one, and a process for each takes three times as long.
          isolate: false,
          // Long properties on a busy machine; nothing here waits for anything.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'kernel',
          include: ['test/**/*.test.ts'],
          environment: 'node',
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
