import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import * as React from 'react';
import { afterEach, expect, it } from 'vitest';

import type { Environment } from '../../api/types';
import { CommandIDs } from '../../commands';
import type { IProjectStore } from '../../tokens';
import EnvironmentSection from '../section';

const trans = nullTranslator.load('himalia');
const done: unknown[] = [];
const commands = new CommandRegistry();
for (const id of [CommandIDs.buildEnvironment, CommandIDs.cancelBuild]) {
  commands.addCommand(id, {
    describedBy: { args: { type: 'object', properties: { name: { type: 'string' } } } },
    execute: args => void done.push([id, args.name])
  });
}

function show(role: string, others: Partial<Environment['others'][number]>[]): HTMLElement[] {
  const value = { state: 'shared', python: '3.12.1', kernels_outdated: [], others };
  const store = {
    project: { role, problem: null },
    part: () => ({ value, problem: null })
  } as unknown as IProjectStore;
  render(<EnvironmentSection store={store} commands={commands} trans={trans} />);
  return within(screen.getByRole('list')).getAllByRole('listitem');
}

afterEach(cleanup);

it('says of each environment of stages why it is not there, and builds or stops that one', () => {
  const [broken, going, there] = show('owner', [
    { name: 'gpu', state: 'failed', source: 'gpu.txt', problem: 'absent==1 is nowhere to be had' },
    { name: 'new', state: 'building', source: 'new.txt', problem: null },
    { name: 'old', state: 'ready', source: 'old.txt', problem: null }
  ]);
  expect(broken.textContent).toContain('build failed · gpu.txt');
  expect(broken.textContent).toContain('absent==1 is nowhere to be had');
  fireEvent.click(within(broken).getByRole('button', { name: 'Build again' }));
  fireEvent.click(within(going).getByRole('button', { name: 'Stop' }));
  expect(within(there).getAllByRole('button')).toHaveLength(1);
  expect(done).toEqual([
    [CommandIDs.buildEnvironment, 'gpu'],
    [CommandIDs.cancelBuild, 'new']
  ]);
});

it('lets a viewer read that, and no more', () => {
  const [row] = show('viewer', [{ name: 'gpu', state: 'none', source: 'gpu.txt', problem: null }]);
  const build = within(row).getByRole('button', { name: 'Build' });
  expect(build.getAttribute('aria-disabled')).toBe('true');
  expect(build.title).toContain('viewer');
});
