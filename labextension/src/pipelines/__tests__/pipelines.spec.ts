import { ServerConnection } from '@jupyterlab/services';
import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import type { Run, Stage, StageRun } from '../../api/types';
import { executedPath, locked, readPath, RunsDrive } from '../drive';
import { parameterFields, readFields } from '../parameters';
import { activeRun, inOrder, missingClusters, splitError, stageRows } from '../rows';
import { bars } from '../timeline';

const trans = nullTranslator.load('himalia');

function stage(name: string, change: Partial<Stage> = {}): Stage {
  return {
    name,
    notebook: `${name}.ipynb`,
    inputs: [],
    outputs: [],
    waits_for: [],
    cluster: null,
    params: {},
    settings: {},
    ...change
  };
}

function record(name: string, change: Partial<StageRun> = {}): StageRun {
  return {
    name,
    status: 'pending',
    params: {},
    started_at: null,
    ended_at: null,
    ...change
  } as StageRun;
}

function run(id: string, stages: StageRun[], change: Partial<Run> = {}): Run {
  return {
    id,
    status: 'running',
    created_at: 0,
    started_at: 0,
    ended_at: null,
    stages,
    ...change
  } as Run;
}

const done = { status: 'succeeded', started_at: 10, ended_at: 14, notebook: true };

describe('rows of stages', () => {
  it('stand in the order of execution', () => {
    const stages = [stage('c', { waits_for: ['b'] }), stage('b', { waits_for: ['a'] }), stage('a')];
    expect(inOrder(stages).map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    const circle = [stage('a', { waits_for: ['b'] }), stage('b', { waits_for: ['a'] })];
    expect(inOrder(circle)).toHaveLength(2);
  });

  it('show the newest run, and how long a stage took the last time', () => {
    const runs = [
      run('new', [record('a', { status: 'running', started_at: 20 })]),
      run('old', [record('a', done), record('b', done)])
    ];
    const [a, b] = stageRows([stage('a'), stage('b')], runs);
    expect(a).toMatchObject({ run: 'new', lastSeconds: 4, executedIn: 'old' });
    expect(b).toMatchObject({ now: null, run: null, lastSeconds: 4, executedIn: 'old' });
  });

  it('are there without any run', () => {
    expect(stageRows([stage('a')], [])[0]).toMatchObject({ now: null, executedIn: null });
  });
});

describe('what a run needs', () => {
  it('are clusters that are not there or go', () => {
    const stages = [
      stage('a', { cluster: 'x' }),
      stage('b', { cluster: 'y' }),
      stage('c', { cluster: 'x' })
    ];
    const there = [
      { name: 'y', state: 'running' },
      { name: 'x', state: 'closing' }
    ];
    expect(missingClusters(stages, there)).toEqual(['x']);
  });

  it('is known to be under way', () => {
    const runs = [run('a', [], { status: 'succeeded' }), run('b', []), run('c', [])];
    expect([activeRun(runs)?.id, activeRun(null), activeRun([])]).toEqual(['b', null, null]);
  });
});

describe('errors', () => {
  it('are a sentence, and the rest to unfold', () => {
    expect(splitError('KeyError: x\n  at line 3\n')).toEqual({
      summary: 'KeyError: x',
      rest: 'at line 3'
    });
    expect(splitError('only this').rest).toBe('');
  });
});

describe('an error of one long line', () => {
  it('is cut for the row, and whole below', () => {
    const error = `ValueError: ${'x'.repeat(10_000)}`;
    const { summary, rest } = splitError(error);
    expect(summary.length).toBeLessThan(300);
    expect(rest).toBe(error);
  });
});

describe('the timeline', () => {
  it('draws each stage in its part of the time', () => {
    const stages = [
      record('a', { started_at: 0, ended_at: 25 }),
      record('b', { started_at: 25 }),
      record('c')
    ];
    const drawn = bars(run('r', stages), 100);
    expect(drawn.get('a')).toEqual({ left: 0, width: 0.25, wait: 0 });
    expect(drawn.get('b')).toEqual({ left: 0.25, width: 0.75, wait: 0.25 });
    expect(drawn.get('c')).toEqual({ left: 0, width: 0, wait: 1 }); // it waits still
  });

  it('stays within its bounds when clocks differ', () => {
    const drawn = bars(run('r', [record('a', { started_at: 500 })]), 100);
    const bar = drawn.get('a');
    expect((bar?.left ?? 9) + (bar?.width ?? 9)).toBeLessThanOrEqual(1);
  });
});

describe('parameters', () => {
  const params = { months: [1, 2], seed: 7, rate: 0.5, name: 'm', fast: true };
  const fields = parameterFields([stage('a', { params }), stage('b')]);

  it('are those of the manifest, by their kinds', () => {
    expect(fields.map(({ kind }) => kind)).toEqual([
      'json',
      'integer',
      'number',
      'text',
      'boolean'
    ]);
  });

  it('are sent where they were changed', () => {
    expect(readFields(fields, trans)).toEqual({ params: {}, faults: new Map() });
    const texts: Record<string, string> = { months: '[3]', seed: '8', fast: 'false' };
    const entered = fields.map(field => ({ ...field, text: texts[field.name] ?? field.text }));
    expect(readFields(entered, trans).params).toEqual({
      a: { months: [3], seed: 8, fast: false }
    });
  });

  it.each([
    ['seed', '1.5'],
    ['seed', ''],
    ['rate', 'x'],
    ['months', '[1,']
  ])('%s cannot be "%s"', (name, text) => {
    const entered = fields.map(field => (field.name === name ? { ...field, text } : field));
    expect([...readFields(entered, trans).faults.keys()]).toEqual([`a.${name}`]);
  });
});

describe('executed notebooks', () => {
  const drive = new RunsDrive(ServerConnection.makeSettings(), trans);

  it('have paths that lead back to them', () => {
    const executed = { slug: 'flights', run: '1a', stage: 'train' };
    expect(readPath(executedPath(executed).split(':')[1])).toEqual(executed);
    expect(readPath('flights/train.ipynb')).toBeNull();
  });

  it('have cells that nobody can change', () => {
    const cell = { cell_type: 'code', source: '', metadata: { tags: ['a'] } };
    const notebook = { cells: [cell], metadata: {}, nbformat: 4, nbformat_minor: 5 };
    expect(locked(notebook as never).cells[0].metadata).toEqual({
      tags: ['a'],
      editable: false,
      deletable: false
    });
  });

  it('cannot be saved, renamed or deleted', async () => {
    for (const refused of [drive.save(), drive.rename(), drive.delete(), drive.newUntitled()]) {
      await expect(refused).rejects.toThrow('cannot be changed');
    }
  });
});
