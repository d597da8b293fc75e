/** Ends this process as SIGKILL does, between two changes of the kernel's state. */

/** An object (a class's prototype) and those of its methods that change something. */
export type Deeds = readonly [prototype: object, names: readonly string[]];

/** Lets the methods named do their work `limit` times in all, and then ends the process. */
export function dieAfter(limit: number, deeds: readonly Deeds[]): void {
  let done = 0;
  for (const [prototype, names] of deeds) {
    for (const name of names) {
      const method = Reflect.get(prototype, name) as (...args: unknown[]) => unknown;
      Reflect.set(prototype, name, function counted(this: unknown, ...args: unknown[]): unknown {
        if (done === limit) process.kill(process.pid, 'SIGKILL');
        const result = method.apply(this, args);
        done++;
        return result;
      });
    }
  }
}
