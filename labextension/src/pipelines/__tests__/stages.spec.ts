import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import type { Stage } from '../../api/types';
import { fit, neighbour, step } from '../geometry';
import { editOfHint } from '../hints';
import { readOptions } from '../options';
import { notebookFields, readFields } from '../parameters';
import { rowState } from '../rows';
import { afterEdit, draftEdits, draftOf, newDraft, readParams, stageName } from '../stageDraft';
import { suggestFiles } from '../suggest';

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

describe('a new stage', () => {
  it.each([
    ['01-prepare.ipynb', 'prepare'],
    ['deep/02_Train model.ipynb', 'train-model'],
    ['2024.ipynb', '2024'],
    ['été.ipynb', 't'],
    ['…….ipynb', 'stage']
  ])('of %s is called %s', (notebook, name) => expect(stageName(notebook, [])).toBe(name));

  it('gets a name that is free', () => {
    expect(stageName('fit.ipynb', ['fit', 'fit-2'])).toBe('fit-3');
  });

  it('is written with what was filled in alone', () => {
    const draft = newDraft('01-a.ipynb', { inputs: ['x.csv'], outputs: [] }, []);
    expect(draftEdits(null, { ...draft, retries: '2', params: 'n = 3' }, trans)).toEqual([
      {
        op: 'add_stage',
        path: ['stages', 'a'],
        value: { notebook: '01-a.ipynb', params: { n: 3 }, inputs: ['x.csv'], retries: 2 }
      }
    ]);
  });
});

describe('a changed stage', () => {
  const before = stage('fit', {
    params: { seed: 1, rate: 0.1 },
    inputs: ['a.csv'],
    settings: { timeout: '5m', after: ['prepare'] }
  });

  it('is not written when nothing is changed', () => {
    expect(draftEdits(before, draftOf(before), trans)).toEqual([]);
  });

  it('is changed key by key, so that comments stay', () => {
    const draft = {
      ...draftOf(before),
      name: 'train',
      params: 'seed = 2\nkind = "x"',
      timeout: '',
      inputs: 'a.csv\n b.csv \n'
    };
    expect(draftEdits(before, draft, trans)).toEqual([
      { op: 'rename_stage', path: ['stages', 'fit'], value: 'train' },
      { op: 'remove', path: ['stages', 'train', 'params', 'rate'], value: null },
      { op: 'set', path: ['stages', 'train', 'params', 'seed'], value: 2 },
      { op: 'set', path: ['stages', 'train', 'params', 'kind'], value: 'x' },
      { op: 'set', path: ['stages', 'train', 'inputs'], value: ['a.csv', 'b.csv'] },
      { op: 'remove', path: ['stages', 'train', 'timeout'], value: null }
    ]);
  });

  it('tells what is no parameter, and what is no number', () => {
    expect(() => readParams('seed: 7', trans)).toThrow(/seed = 7/);
    expect(() => readParams('seed = [1,', trans)).toThrow(/cannot be read/);
    expect(readParams('mode = fast\non = True\nx = [1, 2]', trans)).toEqual({
      mode: 'fast',
      on: true,
      x: [1, 2]
    });
    expect(() => draftEdits(before, { ...draftOf(before), retries: 'two' }, trans)).toThrow(
      /whole number/
    );
  });
});

describe('a drawn edge', () => {
  const stages = [
    stage('a'),
    stage('b', { waits_for: ['a'] }),
    stage('c', { waits_for: ['b'], settings: { after: ['b'] } })
  ];

  it('is added to those that are written', () => {
    expect(afterEdit(stages, 'a', 'c')).toEqual({
      op: 'set',
      path: ['stages', 'c', 'after'],
      value: ['b', 'a']
    });
  });

  it('is not drawn twice, nor in a circle, nor to itself', () => {
    expect(afterEdit(stages, 'a', 'b')).toBe('known');
    expect(afterEdit(stages, 'c', 'a')).toBe('circle');
    expect(afterEdit(stages, 'a', 'a')).toBe('circle');
    expect(afterEdit(stages, 'a', 'gone')).toBeNull();
  });
});

describe('suggested files', () => {
  const notebook = (...sources: string[]) =>
    ({
      cells: sources.map(source => ({ cell_type: 'code', source, metadata: {} }))
    }) as never;

  it('are read or written', () => {
    const found = suggestFiles(
      notebook(
        "frame = pd.read_csv('data/in.csv')\nframe.to_parquet('build/out.parquet')",
        "with open('build/m.json', 'w') as file:\n    pass\nfig.savefig(\"plot.png\")",
        "# pd.read_csv('never.csv')\npd.read_parquet('build/out.parquet')"
      ),
      []
    );
    expect(found).toEqual({
      inputs: ['data/in.csv'],
      outputs: ['build/out.parquet', 'build/m.json', 'plot.png']
    });
  });

  it('are inputs when another stage makes them, and never lie elsewhere', () => {
    const found = suggestFiles(
      notebook("json.dump(x, open('a.json', 'w'))\nopen('../b.csv')\nopen('/etc/c.csv')\n'e.g.'"),
      ['a.json']
    );
    expect(found).toEqual({ inputs: ['a.json'], outputs: [] });
  });
});

describe('the graph', () => {
  const places = new Map([
    ['a', { x: 0, y: 50 }],
    ['b', { x: 300, y: 0 }],
    ['c', { x: 300, y: 100 }],
    ['d', { x: 600, y: 50 }]
  ]);

  it('is walked by arrow keys', () => {
    expect(neighbour(places, 'b', 'ArrowDown')).toBe('c');
    expect(neighbour(places, 'a', 'ArrowRight')).toBe('b');
    expect(neighbour(places, 'd', 'ArrowLeft')).toBe('b');
    expect(neighbour(places, 'a', 'ArrowLeft')).toBeNull();
    expect(neighbour(places, 'gone', 'ArrowLeft')).toBeNull();
  });

  it('is as large as it fits, and can be read', () => {
    expect(fit({ width: 100, height: 50 }, { width: 400, height: 400 })).toBe(1);
    expect(fit({ width: 800, height: 50 }, { width: 400, height: 400 })).toBe(0.5);
    expect(fit({ width: 80_000, height: 50 }, { width: 400, height: 400 })).toBe(0.3);
    expect(step(1, 1)).toBeCloseTo(1.25);
    expect(step(1.5, 1)).toBe(1.5);
  });
});

describe('a hint', () => {
  it('that names a line becomes an edit', () => {
    const hint =
      'A stage sees only what is declared. If b.csv is a file of the project, write `inputs = ["a.csv", "b.csv"]` under `[stages.load]` in himalia.toml.';
    expect(editOfHint(hint)).toEqual({
      op: 'set',
      path: ['stages', 'load', 'inputs'],
      value: ['a.csv', 'b.csv']
    });
    expect(editOfHint(hint.replace('[stages.load]', '[stages."a b"]'))?.path[1]).toBe('a b');
    expect(editOfHint('Look for exit() in the cells.')).toBeNull();
    expect(editOfHint(null)).toBeNull();
  });
});

describe('options', () => {
  it('are read from the arguments of a command', () => {
    expect(readOptions({ only: 'a', from: ['b', ''], force: true, parallel: 2 })).toEqual({
      only: ['a'],
      from: ['b'],
      force: true,
      parallel: 2
    });
    expect(readOptions({ force: 'yes', parallel: 0 })).toEqual({});
  });
});

describe('the form of a notebook', () => {
  const parameter = (name: string, value: unknown, change: object = {}) => ({
    name,
    type: '',
    annotation: null,
    default: JSON.stringify(value),
    help: '',
    plain: true,
    value,
    choices: [],
    ...change
  });

  it('has its parameters, with what himalia.toml gives', () => {
    const fields = notebookFields(
      's',
      [
        parameter('seed', 7),
        parameter('rate', 1, { annotation: 'float' }),
        parameter('made', null, { plain: false })
      ],
      { seed: 9, other: 'x' }
    );
    expect(fields.map(({ name, kind, text }) => [name, kind, text])).toEqual([
      ['seed', 'integer', '9'],
      ['rate', 'number', '1'],
      ['other', 'text', 'x']
    ]);
    const typed = fields.map(field => (field.name === 'rate' ? { ...field, text: '0.5' } : field));
    expect(readFields(typed, trans).params).toEqual({ s: { rate: 0.5 } });
  });
});

describe('the state of a row', () => {
  const row = (now: string | null, plan: string | null, active = false) =>
    rowState({
      now: now === null ? null : ({ status: now } as never),
      plan: plan === null ? null : ({ state: plan } as never),
      active
    });

  it('is what happens, else what went wrong, else what a run would do', () => {
    expect(row(null, null)).toBe('none');
    expect(row(null, 'new')).toBe('new');
    expect(row('succeeded', 'up_to_date')).toBe('succeeded');
    expect(row('succeeded', 'changed')).toBe('changed');
    expect(row('succeeded', 'new', true)).toBe('succeeded');
    expect(row('failed', 'changed')).toBe('failed');
    expect(row('not_run', 'waits')).toBe('waits');
  });
});
