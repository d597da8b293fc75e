import { defineConfig } from 'vitest/config';

// Two projects: `unit` (pure, beside the code, in parallel) and `kernel` (needs the namespaces that
// scripts/test.mjs makes; one file after another, because measurements and ports are shared).
export default defineConfig({
  test: {
    projects: [
      {
        // Long properties on a busy machine; nothing here waits for anything.
        test: { name: 'unit', include: ['src/**/*.test.ts'], environment: 'node', testTimeout: 30_000 },
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
