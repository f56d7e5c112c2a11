import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';
import { afterEach, describe, expect, it } from 'vitest';

import type { ManifestProblem } from '../../api/types';
import { PartBody, repeatsManifest } from '../../components';
import type { IHimalia, IPart, IProjectStore } from '../../tokens';
import { Banner } from '../banner';
import { Problems } from '../problems';

const trans = nullTranslator.load('himalia');
const FAULT: ManifestProblem = {
  file: 'himalia.toml',
  line: 3,
  column: 7,
  end_column: 8,
  key: '',
  message: 'invalid value',
  hint: null,
  severity: 'error'
};

function store(items: ManifestProblem[], project: object = {}): IProjectStore {
  const part = () => ({ value: { items }, problem: null });
  const told = { problem: 'himalia.toml, line 3: invalid value', missing: false, ...project };
  return { project: told, part } as unknown as IProjectStore;
}

afterEach(cleanup);

describe('an unreadable manifest', () => {
  it('is told once, with a button that leads to the line', () => {
    const opened: unknown[] = [];
    const commands = new CommandRegistry();
    commands.addCommand('himalia:open-manifest', {
      describedBy: { args: {} },
      execute: args => opened.push({ line: args.line, column: args.column })
    });
    render(<Problems store={store([FAULT])} commands={commands} trans={trans} />);
    expect(screen.getAllByText(/invalid value/)).toHaveLength(1);
    fireEvent.click(screen.getByRole('button', { name: 'Open it at line 3' }));
    expect(opened).toEqual([{ line: 3, column: 7 }]);
  });

  it('leaves sections one short line, or what they know', () => {
    const failed: IPart<string> = {
      value: null,
      problem: { message: 'himalia.toml, line 3: invalid value', hint: '', status: 422 }
    };
    const { project } = store([FAULT]);
    const body = (part: IPart<string>) => (
      <PartBody part={part} project={project} trans={trans}>
        {value => <b>{value}</b>}
      </PartBody>
    );
    const view = render(body(failed));
    expect(view.container.textContent).toBe('himalia.toml has to be repaired first.');
    view.rerender(body({ ...failed, value: 'known' }));
    expect(view.container.textContent).toBe('known');
  });

  it('is known to be what an answer repeats', () => {
    const { project } = store([FAULT]);
    expect(repeatsManifest(project, '/p/himalia.toml: line 3')).toBe(true);
    expect(repeatsManifest(project, 'absent==1 cannot be installed')).toBe(false);
    expect(repeatsManifest({ ...project, missing: true }, 'no such folder')).toBe(true);
    expect(repeatsManifest({ ...project, problem: null }, 'himalia.toml asks for 2')).toBe(false);
  });

  it('is no matter while the folder is gone', () => {
    const gone = store([FAULT], { missing: true, path: '/gone' });
    const himalia = { connection: 'live', problem: null, deleted: null } as unknown as IHimalia;
    render(
      <Banner himalia={himalia} store={gone} commands={new CommandRegistry()} trans={trans} />
    );
    expect(screen.getByText(/folder of this project is gone: \/gone/)).toBeTruthy();
    expect(screen.queryByText(/invalid value/)).toBeNull();
  });
});
