import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import type { Verification } from '../../api/types';
import { chosenNotebook, inProject } from '../../frame/chosenNotebook';
import { verificationState, verificationWord, vouchedFor } from '../question';

const trans = nullTranslator.load('himalia');

function found(change: Partial<Verification> = {}): Verification {
  return {
    status: 'ended',
    verdict: 'identical',
    current: true,
    cell: 0,
    cells: 0,
    waiting: null,
    first: null,
    ...change
  } as Verification;
}

describe('a verification', () => {
  it.each([
    [{}, 'verified', 'verified'],
    [{ verdict: 'within_tolerance' }, 'verified', 'verified, within tolerance'],
    [{ verdict: 'differs', first: { number: 4 } as never }, 'differs', 'differs at cell 4'],
    [{ verdict: 'failed' }, 'differs', 'stops at an error'],
    [{ current: false }, 'stale', 'changed since it was verified'],
    [{ status: 'running', cell: 2, cells: 9 }, 'running', 'verifying: cell 2 of 9'],
    [{ status: 'failed', verdict: null }, 'failed', 'not verified'],
    [{ verdict: 'not_comparable' }, 'requested', 'not comparable']
  ])('%j is %s: %s', (change, state, word) => {
    expect(verificationState(found(change))).toBe(state);
    expect(verificationWord(found(change), trans)).toBe(word);
  });
});

describe('a stage that vouches for a notebook', () => {
  const stage = { run: 'r1', stage: 'make', verdict: 'identical' };
  const known = (items: Verification[], by_stage: object | null) =>
    vouchedFor({ part: () => ({ value: { items, by_stage } }) } as never, 'a.ipynb');

  it('counts where no verification of the notebook as it is tells more', () => {
    expect(known([], stage)).toBe(stage);
    expect(known([found({ current: false })], stage)).toBe(stage);
    expect(known([found({ status: 'cancelled' })], stage)).toBe(stage);
    expect(known([found({ verdict: 'differs' })], stage)).toBeNull();
    expect(known([found({ status: 'running' })], stage)).toBeNull();
    expect(known([], null)).toBeNull();
    expect(vouchedFor({ part: () => ({ value: null }) } as never, 'b.ipynb')).toBeNull();
  });
});

describe('the notebook that is meant', () => {
  const shell = (path: string | null) =>
    ({ shell: { currentWidget: path === null ? null : { context: { path } } } }) as never;
  const browser = (...items: object[]) =>
    ({ tracker: { currentWidget: { selectedItems: () => items } } }) as never;

  it('is the named one, the clicked one, or the shown one', () => {
    expect(chosenNotebook(shell('b.ipynb'), null, { path: 'a.ipynb' })).toBe('a.ipynb');
    const clicked = { type: 'notebook', path: 'c.ipynb' };
    expect(chosenNotebook(shell('b.ipynb'), browser(clicked), { browser: true })).toBe('c.ipynb');
    expect(chosenNotebook(shell('b.ipynb'), null, {})).toBe('b.ipynb');
    expect(chosenNotebook(shell('HimaliaRuns:p/r/s.ipynb'), null, {})).toBeNull();
    expect(chosenNotebook(shell('b.py'), null, {})).toBeNull();
  });

  it('lies in the project, or elsewhere', () => {
    expect(inProject({ contentsPath: 'work/p' }, 'work/p/a.ipynb')).toBe('a.ipynb');
    expect(inProject({ contentsPath: 'work/p' }, 'work/pp/a.ipynb')).toBeNull();
    expect(inProject({ contentsPath: '' }, 'a.ipynb')).toBe('a.ipynb');
    expect(inProject({ contentsPath: null }, 'a.ipynb')).toBeNull();
  });
});
