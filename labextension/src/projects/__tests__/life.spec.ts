import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import type { Project, Removal } from '../../api/types';
import { whatGoes, whatStops } from '../deleteDialog';
import { sorted } from '../allProjects';
import { daysLeft, placeOf } from '../life';

const trans = nullTranslator.load('himalia');
const DAY = 86_400;

function project(change: Partial<Project>): Project {
  return { archived_at: null, trashed_at: null, purged_at: null, ...change } as Project;
}

describe('a project', () => {
  it('stands in one list', () => {
    expect(placeOf(project({}))).toBe('open');
    expect(placeOf(project({ archived_at: 1 }))).toBe('archived');
    expect(placeOf(project({ archived_at: 1, trashed_at: 2 }))).toBe('deleted');
  });

  it('is sorted as the user likes', () => {
    const projects = ['b', 'a', 'c'].map((slug, number) =>
      project({ slug, created_at: number, archived_at: 10 - number })
    );
    const slugs = (by: 'slug' | 'since', down: boolean, place: 'open' | 'archived') =>
      sorted(projects, { by, down }, place)
        .map(({ slug }) => slug)
        .join('');
    expect(slugs('slug', false, 'open')).toBe('abc');
    expect(slugs('since', true, 'open')).toBe('cab');
    expect(slugs('since', true, 'archived')).toBe('bac');
  });

  it('counts the day that has begun, and none after the last', () => {
    const deleted = project({ trashed_at: 0, purged_at: 30 * DAY });
    expect(daysLeft(deleted, DAY / 2)).toBe(30);
    expect(daysLeft(deleted, 40 * DAY)).toBe(0);
  });

  it('takes with it what the service names, and nothing is said of what is not there', () => {
    const nothing = {
      runs: 0,
      running: 0,
      models: 0,
      versions: 0,
      endpoints: [],
      clusters: [],
      secrets: 0,
      components: 0
    } as unknown as Removal;
    expect(whatGoes(nothing, trans)).toEqual([]);
    expect(whatStops({ ...nothing, runs: 3, secrets: 1 }, trans)).toEqual([]);
    expect(whatStops({ ...nothing, running: 1, clusters: ['local'] }, trans, 2)).toEqual([
      '1 run, which is cancelled',
      'clusters: local',
      '2 kernels, which are shut down: their variables are lost'
    ]);
    expect(whatGoes({ ...nothing, models: 1, versions: 1 }, trans, 1)).toEqual([
      '1 kernel, which is shut down: its variables are lost',
      '1 model with 1 version'
    ]);
    const some = { ...nothing, runs: 2, models: null, endpoints: ['late'], secrets: 1 };
    expect(whatGoes(some, trans)).toEqual([
      '2 runs',
      'endpoints, which stop answering: late',
      '1 secret'
    ]);
  });
});
