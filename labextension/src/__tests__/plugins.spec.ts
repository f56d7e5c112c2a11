import { describe, expect, inject, it } from 'vitest';

import plugins from '../index';

declare module 'vitest' {
  interface ProvidedContext {
    /** The files of `schema/`. */
    schemas: string[];
  }
}

describe('the extension', () => {
  it('has a settings schema for each plugin, and no other', () => {
    const names = plugins.map(plugin => `${plugin.id.replace('himalia:', '')}.json`);
    expect(inject('schemas').sort()).toEqual(names.sort());
  });

  it.each(plugins.map(plugin => [plugin.id, plugin] as const))('describes %s', (id, plugin) => {
    expect(id).toMatch(/^himalia:[a-z]+$/);
    expect(plugin.description).toBeTruthy();
    expect(plugin.autoStart).toBe(true);
  });
});
