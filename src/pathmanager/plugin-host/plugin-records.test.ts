/** Ids, what plugins hold, and the record of their endpoints. */
import { describe, expect, it } from 'vitest';
import type { OwnedEndpoint } from '../endpoint-plan.ts';
import { EndpointJournal } from '../endpoint-journal.ts';
import type { Ownership } from '../ownership.ts';
import { checkPlugin } from './check-plugin.ts';
import { IdRegistry } from './id-registry.ts';
import { PluginResources } from './plugin-resources.ts';

describe('IdRegistry', () => {
  it('gives the smallest id that neither the kernel nor another address has', () => {
    const kernel = [{ address: '10.0.0.1', id: 2 }];
    const ids = new IdRegistry(() => kernel);
    expect(ids.idOf('10.0.0.1')).toBe(2);
    expect(ids.idOf('10.0.0.2')).toBe(1);
    expect(ids.idOf('10.0.0.3')).toBe(3);
    ids.release('10.0.0.2');
    expect(ids.idOf('10.0.0.4')).toBe(1);
    // Refused by the kernel: the next one.
    expect(ids.newIdOf('10.0.0.5', [4])).toBe(5);
  });

  it('says when none is free', () => {
    const kernel = Array.from({ length: 255 }, (_, i) => ({ address: `10.0.1.${i}`, id: i + 1 }));
    const ids = new IdRegistry(() => kernel);
    expect(() => ids.idOf('10.0.0.1')).toThrow('no address id is free for 10.0.0.1');
    kernel.pop();
    expect(ids.idOf('10.0.0.1')).toBe(255);
  });
});

describe('PluginResources', () => {
  it('counts listeners, and gives back each as often as it was asked for', () => {
    const resources = new PluginResources();
    const local = { address: '10.0.0.1', port: 80 };
    resources.addListener(local);
    resources.addListener(local);
    resources.addListener(local);
    expect(resources.removeListener(local)).toBe(true);
    expect(resources.removeListener({ ...local, port: 81 })).toBe(false);
    resources.announce(1, 5, { address: '10.0.0.2', port: 90 });
    expect(resources.takeListeners()).toEqual([local, local, { address: '10.0.0.2', port: 90 }]);
    expect(resources.takeListeners()).toEqual([]);
  });

  it('knows the listeners of a connection until it ends', () => {
    const resources = new PluginResources();
    const local = { address: '10.0.0.1', port: 80 };
    resources.announce(1, 5, local);
    resources.announce(1, 6, local);
    expect(resources.withdraw(1, 5)).toEqual(local);
    expect(resources.withdraw(1, 5)).toBeUndefined();
    expect(resources.withdrawAll(1)).toEqual([local]);
    expect(resources.withdrawAll(1)).toEqual([]);
  });
});

describe('EndpointJournal', () => {
  const endpoint = (id: number): OwnedEndpoint => ({ id, address: `10.0.0.${id}`, flags: 1, linkIndex: 0 });

  it('writes what both own, and takes back what could not be written', () => {
    let written: Ownership | undefined;
    let full = false;
    const journal = new EndpointJournal({
      load: () => ({ endpoints: [endpoint(1), endpoint(2)], limits: {} }),
      save: (ownership) => {
        if (full) throw new Error('disk full');
        written = ownership;
      },
    });
    // A plugin's of an earlier process: the plugin's again, the owner's no more.
    expect(journal.adopt({ ...endpoint(2), id: 9 })).toEqual(endpoint(2));
    expect(journal.adopt(endpoint(3))).toBeUndefined();
    journal.savePlugins([endpoint(2)]);
    expect(written?.endpoints).toEqual([endpoint(1), endpoint(2)]);
    expect(journal.load().endpoints).toEqual([endpoint(1)]);
    full = true;
    expect(() => journal.save({ endpoints: [], limits: {} })).toThrow('disk full');
    expect(journal.load().endpoints).toEqual([endpoint(1)]);
  });
});

describe('checkPlugin', () => {
  const init = () => {};
  it.each([
    [undefined, 'it is not an object'],
    [{ init }, 'it has no name'],
    [{ init, name: '' }, 'it has no name'],
    [{ init, name: 'x'.repeat(65) }, 'more than 64 characters'],
    [{ name: 'x' }, 'no function "init"'],
    [{ name: 'x', init, exit: 1 }, '"exit" is not a function'],
    [{ name: 'x', init, priority: 0.5 }, '"priority" is not a whole number'],
    [{ name: 'x', init, version: 1 }, '"version" is not text'],
  ])('%o: %s', (exported, why) => expect(() => checkPlugin(exported)).toThrow(why));

  it('takes what is one', () => {
    const plugin = { name: 'x', init, priority: -20, description: '', version: '1' };
    expect(checkPlugin(plugin)).toBe(plugin);
  });
});
