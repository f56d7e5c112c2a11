import { describe, expect, it } from 'vitest';

import type { Environment } from '../../api/types';
import type { IProjectStore } from '../../tokens';
import { awaitsManifest, failedToBuild, isOutdated, shortDigest } from '../question';

describe('the environment', () => {
  it('is told by the beginning of its lock, and the shared one by its name', () => {
    expect(shortDigest(`sha256:${'0f'.repeat(32)}`)).toBe('0f0f0f0f');
    expect(shortDigest('shared')).toBe('shared');
  });

  it('tells a build that failed from one that could not begin', () => {
    const environment = (error: string, built: string | null) =>
      ({
        state: 'failed',
        error,
        build: built && { state: 'failed', error: built }
      }) as unknown as Environment;
    expect(failedToBuild(environment('absent==1', 'absent==1'))).toBe(true);
    expect(failedToBuild(environment('no requirements.txt', null))).toBe(false);
    expect(failedToBuild(environment('no requirements.txt', 'absent==1'))).toBe(false);
    const fault =
      "himalia.toml, line 4, stages.a.notebok: there is no such key. Did you mean 'notebook'?";
    const store = { project: { problem: fault, missing: false } } as unknown as IProjectStore;
    expect(awaitsManifest(store, environment(fault, null))).toBe(true);
  });

  it('tells which kernels are older, and of none before it is known', () => {
    const store = (value: Partial<Environment> | null) =>
      ({ part: () => ({ value, problem: null }) }) as unknown as IProjectStore;
    expect(isOutdated(store({ kernels_outdated: ['k'] }), 'k')).toBe(true);
    expect(isOutdated(store({ kernels_outdated: ['k'] }), 'other')).toBe(false);
    expect(isOutdated(store(null), 'k')).toBe(false);
    expect(isOutdated(null, 'k')).toBe(false);
    expect(isOutdated(store({ kernels_outdated: ['k'] }), undefined)).toBe(false);
  });
});
