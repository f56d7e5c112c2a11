import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { cleanup, render, screen } from '@testing-library/react';
import * as React from 'react';
import { afterEach, describe, expect, it } from 'vitest';

import type { ChangedFile, StageChanges, StageStatus } from '../../api/types';
import type { IHimalia } from '../../tokens';
import { Changes } from '../changes';

const trans = nullTranslator.load('himalia');
const OLD = `sha256:${'a'.repeat(64)}`;
const NEW = `sha256:${'b'.repeat(64)}`;

function file(path: string, change: Partial<ChangedFile> = {}): ChangedFile {
  return {
    part: 'input',
    path,
    change: 'changed',
    old_digest: OLD,
    new_digest: NEW,
    old_size: 10,
    new_size: 2048,
    note: null,
    diff: null,
    cut: false,
    files: [],
    left_out: 0,
    ...change
  };
}

async function show(answer: Partial<StageChanges>): Promise<void> {
  const himalia = {
    connection: 'live',
    request: () => Promise.resolve({ cells: [], files: [], files_left_out: 0, ...answer })
  };
  const plan = {
    name: 'count',
    state: 'changed',
    why: 'the input notes.txt changed',
    last_run: 'r1',
    deterministic: true,
    changes: []
  };
  render(
    <Changes
      himalia={Object.assign(himalia, { changed: new Signal({}) }) as unknown as IHimalia}
      slug="p"
      plan={plan as unknown as StageStatus}
      trans={trans}
    />
  );
  await screen.findAllByRole('group');
}

const folds = () => screen.getAllByRole<HTMLDetailsElement>('group');

afterEach(cleanup);

describe('what has changed in a stage', () => {
  it('is told file by file: sizes, digests, and the lines with their signs', async () => {
    await show({ files: [file('notes.txt', { diff: '@@ -1 +1 @@\n-old\n+new', cut: true })] });
    expect(folds()[0].querySelector('summary')?.textContent).toBe('Input notes.txt changed');
    expect(folds()[0].textContent).toContain('aaaaaaaaaa (10 B) → bbbbbbbbbb (2 KiB)');
    const diff = screen.getByLabelText('What has changed in notes.txt');
    expect(diff.querySelector('.jp-mod-added')?.textContent).toBe('+new\n');
    expect(diff.querySelector('.jp-mod-removed')?.textContent).toBe('-old\n');
    expect(screen.getByText('More of it differs.')).toBeTruthy();
  });

  it('says what there is to say of a file whose lines are not shown', async () => {
    await show({
      files: [
        file('table.csv', { note: '2 lines more: 2 → 4' }),
        file('old.txt', { change: 'removed', new_digest: null, new_size: null }),
        file('conf.json', { part: 'read', change: 'removed', new_digest: null, new_size: null })
      ],
      files_left_out: 3
    });
    expect(folds()[0].textContent).toContain('2 lines more: 2 → 4');
    expect(folds()[1].textContent).toContain('Input old.txt is no longer used');
    expect(folds()[2].textContent).toBe('Read, not declared: conf.json is goneaaaaaaaaaa (10 B)');
    expect(screen.queryByLabelText(/What has changed in/)).toBeNull();
    expect(screen.getByText('3 files more differ.')).toBeTruthy();
  });

  it('lists the files of a folder', async () => {
    const inner = file('parts/one.txt', { diff: '-one\n+ONE' });
    await show({
      files: [file('parts', { old_digest: `tree:${OLD}`, files: [inner], left_out: 7 })]
    });
    expect(screen.getByLabelText('What has changed in parts/one.txt')).toBeTruthy();
    expect(folds()[0].textContent).toContain('aaaaaaaaaa (10 B) → bbbbbbbbbb (2 KiB)');
    expect(folds()[0].textContent).not.toContain('tree:');
    const rows = screen.getAllByRole('listitem').map(({ textContent }) => textContent);
    expect(rows[0]).toContain('parts/one.txt changed');
    expect(rows[1]).toBe('and 7 more');
  });

  it('unfolds the first three, cells before files', async () => {
    const cells = [0, 1].map(number => ({ number, diff: '+x' }));
    await show({ cells, files: [file('a'), file('b')] });
    expect(folds().map(({ open }) => open)).toEqual([true, true, true, false]);
  });
});
