import { nullTranslator } from '@jupyterlab/translation';
import { cleanup, render, screen } from '@testing-library/react';
import * as React from 'react';
import { afterEach, describe, expect, it } from 'vitest';

import type { Environment } from '../../api/types';
import { KernelStart } from '../start';

type Start = NonNullable<Environment['start']>;

const trans = nullTranslator.load('himalia');
const READY: Start = {
  state: 'ready',
  reason: null,
  modules: [
    { name: 'json', seconds: 0.01, problem: null },
    { name: 'pandas', seconds: 0.9, problem: null },
    { name: 'torch', seconds: null, problem: 'not installed' }
  ],
  seconds: 3.84,
  bytes: 2 ** 20,
  forks: 12,
  kernels: 2
};

function show(change: Partial<Start> = {}): string {
  cleanup();
  render(<KernelStart start={{ ...READY, ...change }} trans={trans} />);
  return screen.getByRole('region', { name: 'Kernel start' }).textContent ?? '';
}

afterEach(cleanup);

describe('the start of kernels', () => {
  it('shows what was imported, the longest first', () => {
    const text = show();
    expect(text).toContain('All imports took 3.8 s, once; they are kept in 1 MiB');
    expect(screen.getAllByRole('rowheader').map(cell => cell.textContent)).toEqual([
      'pandas',
      'json',
      'torch'
    ]);
    expect(screen.getByRole('row', { name: /torch/ }).textContent).toContain('not installed');
  });

  it('says why a kernel starts as an ordinary process', () => {
    const none = READY.modules.map(({ name }) => ({ name, seconds: null, problem: null }));
    expect(show({ state: 'none', reason: 'x', modules: none })).toContain(
      'those after it find them done'
    );
    expect(screen.queryByRole('table')).toBeNull();
    expect(show({ state: 'refused', reason: 'a preloaded module has started threads' })).toContain(
      'ordinary processes: a preloaded module has started threads.'
    );
  });
});
