import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import { Cluster, Project, Run } from '../../api/types';
import { clusterFacts } from '../facts';
import { suggestName, usersOf } from '../names';

const trans = nullTranslator.load('himalia');
const cluster = (name: string, changes: Partial<Cluster> = {}) =>
  ({ name, workers: 2, wanted: 2, threads: 2, memory_bytes: 2 ** 31, ...changes }) as Cluster;
const project = {
  stages: [
    { name: 'prepare', cluster: null },
    { name: 'train', cluster: 'big' }
  ]
} as Project;

describe('suggestName', () => {
  it('is what a stage waits for', () => {
    expect(suggestName(project, [])).toBe('big');
  });

  it('is free', () => {
    expect(suggestName(project, [cluster('big')])).toBe('local');
    expect(
      suggestName(
        project,
        ['big', 'local', 'local-2'].map(name => cluster(name))
      )
    ).toBe('local-3');
  });
});

describe('usersOf', () => {
  it('names the stages that a stop would break', () => {
    const stages = [
      { name: 'prepare', status: 'running' },
      { name: 'train', status: 'running' }
    ];
    const runs = [
      { status: 'running', stages },
      { status: 'succeeded', stages }
    ] as Run[];
    const store = { project, runs: { items: runs, problem: null } };
    expect(usersOf(store, 'big')).toEqual(['train']);
    expect(usersOf(store, 'local')).toEqual([]);
    expect(usersOf({ ...store, runs: { items: null, problem: null } }, 'big')).toEqual([]);
  });
});

describe('clusterFacts', () => {
  it('says what is there, and what is to come', () => {
    expect(clusterFacts(cluster('a'), trans)).toBe('2 workers · 2 threads · up to 2 GiB');
    const starting = cluster('a', { workers: 0, threads: 0, memory_bytes: 0 });
    expect(clusterFacts(starting, trans)).toBe('0 of 2 workers');
  });
});
