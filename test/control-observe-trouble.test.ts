/** An observation whose host cannot be looked at: what it is asked is refused with the reason, and it begins as soon as it can. */
import { afterEach, expect, it } from 'vitest';
import { WeftError } from '../src/base/index.ts';
import { addNamespace, deleteNamespace } from '../src/native/index.ts';
import type { HostControl } from '../src/service/observe/host-control.ts';
import { kernelSources } from '../src/service/observe/kernel-sources.ts';
import { Observation, type ObservationOptions } from '../src/service/observe/service.ts';
import type { ObservedEvent } from '../src/service/index.ts';
import { keepingLogger } from './support/daemon.ts';

const SOON = { interval: 5, timeout: 20_000 };

const refused = new WeftError('nothing may be changed here', { code: 'EPERM' });
const CONTROL: HostControl = {
  refusal: () => refused,
  ownsEndpoint: () => false,
  setPath: () => Promise.reject(refused),
  setLimits: () => {
    throw refused;
  },
  lookNow: () => {},
};

const running = new Set<Observation>();
let lines: string[] = [];

function observe(sources: ObservationOptions['sources'], netns?: string): Observation {
  lines = [];
  const observation = new Observation({
    sources,
    control: CONTROL,
    logger: keepingLogger(lines),
    ...(netns === undefined ? {} : { netns }),
  });
  running.add(observation);
  return observation;
}

afterEach(async () => {
  for (const observation of running) await observation.stop();
  running.clear();
});

const kernel = () => Promise.resolve(kernelSources({ version: '1' }));

it('says why it cannot look, once in the log, and looks when it can', async () => {
  let isBroken = true;
  const observation = observe(() =>
    isBroken ? Promise.reject(new WeftError('the kernel is away', { code: 'EIO' })) : kernel(),
  );
  const api = observation.api('socket');
  for (let n = 0; n < 3; n++) {
    await expect(api.overview()).rejects.toMatchObject({
      code: 'NOT_STARTED',
      message: expect.stringMatching(/the kernel is away/),
    });
  }
  expect(lines).toEqual(['warn this host is not observed: the kernel is away']);
  // What can be asked without looking is answered.
  await expect(api.setPath({ link: 'eth0', backup: true })).rejects.toBe(refused);
  isBroken = false;
  expect(await api.overview()).toMatchObject({ apiVersion: 1 });
});

it('gives events to who asked for them before it began, and none after its end', async () => {
  const observation = observe(kernel);
  const events: ObservedEvent[] = [];
  const end = observation.watch((event) => events.push(event));
  const early = observation.watch((event) => events.push(event));
  early();
  const api = observation.api('page');
  await expect(api.removeEndpoint({ id: 1 })).rejects.toBe(refused);
  const actions = () => events.filter(({ kind }) => kind === 'action');
  await expect.poll(actions, SOON).toHaveLength(1);
  expect(actions()[0]).toMatchObject({ event: 'refused', fields: { by: 'page', code: 'EPERM' } });
  end();
  await expect(api.removeEndpoint({ id: 1 })).rejects.toBe(refused);
  const recent = (await api.recentEvents()).events.filter(({ kind }) => kind === 'action');
  expect(recent).toHaveLength(2);
  expect(actions()).toHaveLength(1);
});

it('gives events to who asked for them while it could not look, and closes what it could not use', async () => {
  let closed = 0;
  const netns = '/run/netns/weft-comes-later';
  const sources = async () => {
    const made = await kernel();
    const close = () => {
      closed++;
      made.close?.();
    };
    return { ...made, close };
  };
  const observation = observe(sources, netns);
  const events: ObservedEvent[] = [];
  observation.watch((event) => events.push(event));
  const api = observation.api('page');
  await expect(api.overview()).rejects.toMatchObject({ code: 'NOT_STARTED' });
  expect(closed).toBe(1);
  addNamespace('weft-comes-later');
  try {
    await api.overview();
    await expect(api.removeEndpoint({ id: 1 })).rejects.toBe(refused);
    expect(events.filter(({ kind }) => kind === 'action')).toHaveLength(1);
  } finally {
    await observation.stop();
    deleteNamespace('weft-comes-later');
  }
  expect(closed).toBe(2);
});

it('may be ended while it begins, and more than once', async () => {
  const observation = observe(kernel);
  const asked = observation.api('socket').overview();
  const outcome = asked.then(
    () => 'answered',
    (error: unknown) => (error as WeftError).code,
  );
  await Promise.all([observation.stop(), observation.stop()]);
  expect(['answered', 'NOT_STARTED']).toContain(await outcome);
  await expect(observation.api('socket').overview()).rejects.toMatchObject({ code: 'NOT_STARTED' });
  observation.start();
  observation.lookNow();
});
