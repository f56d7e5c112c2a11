import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import { act, cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import * as React from 'react';
import { afterEach, describe, expect, it, vi } from 'vitest';

import type { Parameter, Run, Stage, Sweep } from '../../api/types';
import { CommandIDs } from '../../commands';
import type { IHimalia, IProjectStore } from '../../tokens';
import { SweepDocument } from '../sweeps/document';
import { ISweepField, readSweep, readValues, refusal, sweepFields } from '../sweeps/form';
import { axesOf, metricsOf, pointsOf, sizeOf } from '../sweeps/model';
import { numberScale, valueScale } from '../sweeps/scales';

const trans = nullTranslator.load('himalia');

function stage(name: string, params: object, settings: object = {}): Stage {
  return { name, notebook: `${name}.ipynb`, waits_for: [], params, settings } as unknown as Stage;
}

function takes(name: string, value: unknown, change: Partial<Parameter> = {}): Parameter {
  return { name, value, plain: true, annotation: null, help: '', choices: [], ...change } as never;
}

function fieldsOf(params: object, settings?: object, own: Parameter[] = []): ISweepField[] {
  return sweepFields([stage('fit', params, settings)], new Map([['fit.ipynb', own]]));
}

function typed(field: ISweepField, text: string): ISweepField {
  return { ...field, text };
}

describe('the form of a sweep', () => {
  it('is filled with the lists of a stage with sweep = true, and has what the notebook takes', () => {
    const fields = fieldsOf({ depth: [4, 8], rate: 0.1 }, { sweep: true }, [takes('seed', 7)]);
    expect(fields.map(({ name, text }) => [name, text])).toEqual([
      ['seed', '7'],
      ['depth', '4\n8'],
      ['rate', '0.1']
    ]);
    expect(readSweep(fields, trans)).toMatchObject({ count: 2, grid: { fit: { depth: [4, 8] } } });
  });

  it('takes a list as one value where the stage is no sweep', () => {
    const [field] = fieldsOf({ columns: ['a', 'b'] });
    expect(readValues(field, trans)).toEqual([['a', 'b']]);
    expect(readValues(typed(field, '["a"]\n["a", "b"]'), trans)).toEqual([['a'], ['a', 'b']]);
  });

  it('reads a value a line, or a list', () => {
    const [depth, rate, name] = fieldsOf({ depth: 4, rate: 0.1, name: 'x' });
    expect(readValues(typed(depth, '4\n\n 8 '), trans)).toEqual([4, 8]);
    expect(readValues(typed(rate, '[0.1, 0.3]'), trans)).toEqual([0.1, 0.3]);
    expect(readValues(typed(name, '["a", "b, c"]'), trans)).toEqual(['a', 'b, c']);
    expect(readValues(typed(name, '[not json'), trans)).toEqual(['[not json']);
    const { grid, count, factors } = readSweep(
      [typed(depth, '4\n8\n16'), typed(rate, '[0.1, 0.3]'), typed(name, 'y')],
      trans
    );
    expect(grid).toEqual({ fit: { depth: [4, 8, 16], rate: [0.1, 0.3], name: ['y'] } });
    expect([count, factors]).toEqual([6, [3, 2]]);
  });

  it('refuses what is no value, none, or one twice', () => {
    const [depth] = fieldsOf({ depth: 4 }, {}, [takes('depth', 4, { annotation: 'int' })]);
    expect(() => readValues(typed(depth, '4\n0.5'), trans)).toThrow(/whole number/);
    expect(() => readValues(typed(depth, ' \n'), trans)).toThrow(/at least one/);
    expect(() => readValues(typed(depth, '[4, 8'), trans)).toThrow(/JSON list/);
    expect(() => readValues(typed(depth, '4\n4.0'), trans)).toThrow(/twice/);
    expect(readSweep([typed(depth, 'x')], trans).count).toBeNull();
    const [kind] = fieldsOf({ kind: 'a' }, {}, [takes('kind', 'a', { choices: ['a', 'b'] })]);
    expect(() => readValues(typed(kind, 'a\nc'), trans)).toThrow('c is none of a, b.');
  });

  it('keeps texts that are more than a line, and empty ones', () => {
    const [text, none] = fieldsOf({ text: 'one\ntwo', none: '' });
    expect(readValues(text, trans)).toEqual(['one\ntwo']);
    expect(readValues(none, trans)).toEqual(['']);
  });

  it('is refused with one run and with more than a thousand', () => {
    expect(refusal(1, trans)).toMatch(/several values/);
    expect([refusal(2, trans), refusal(1000, trans)]).toEqual([null, null]);
    expect(refusal(1001, trans)).toMatch(/at most 1,000 runs/);
  });
});

function run(id: string, change: object = {}): Run {
  return {
    id,
    project: 'p',
    status: 'succeeded',
    reason: null,
    started_at: 10,
    ended_at: 11,
    stages: [{ name: 'fit', tracking_run: `t-${id}`, cached_from: null }],
    ...change
  } as unknown as Run;
}

function sweep(runs: Run[]): Sweep {
  const grid = { fit: { depth: [4, 8], rate: [0.1, 0.3], seed: [1] } };
  const points = [4, 8].flatMap(depth =>
    [0.1, 0.3].map(rate => ({ fit: { depth, rate, seed: 1 } }))
  );
  return { id: 'sweep-01', project: 'p', grid, created_by: 'ada', created_at: 1, points, runs };
}

describe('the points of a sweep', () => {
  it('have a column for each parameter that differs', () => {
    const one = sweep([run('a'), run('b')]);
    const axes = axesOf(one);
    expect(axes.map(({ label }) => label)).toEqual(['depth', 'rate']);
    expect(sizeOf(one)).toBe(4);
    expect(pointsOf(one, axes, new Map()).map(({ values }) => values)).toEqual([
      [4, 0.1],
      [4, 0.3]
    ]);
  });

  it('name stages where several have metrics, the most telling first', () => {
    const one = sweep([run('a')]);
    const metrics = new Map([
      ['fit loss', 1],
      ['fit accuracy', 2],
      ['test loss', 3]
    ]);
    const points = pointsOf(one, axesOf(one), new Map([['a', metrics]]));
    expect(metricsOf(points).map(({ label }) => label)).toEqual([
      'fit.accuracy',
      'fit.loss',
      'test.loss'
    ]);
  });
});

describe('axes', () => {
  it('have round marks around the values', () => {
    const { ticks, place } = numberScale([0.912, 0.934]);
    expect(ticks.map(({ text }) => text)).toEqual(['0.91', '0.92', '0.93', '0.94']);
    expect(place(0.925)).toBeCloseTo(0.5);
    expect(numberScale([2]).ticks.length).toBeGreaterThan(1);
    expect(numberScale([]).ticks).toEqual([]);
  });

  it('give a few values a step each, numbers by their size', () => {
    expect(valueScale([8, 4, 16, 4]).ticks.map(({ text }) => text)).toEqual(['4', '8', '16']);
    expect(valueScale(['b', 'a']).ticks.map(({ text }) => text)).toEqual(['b', 'a']);
    const many = valueScale(Array.from({ length: 101 }, (_, index) => index));
    expect(many.ticks.map(({ text }) => text)).toEqual(['0', '50', '100']);
  });
});

describe('the document of a sweep', () => {
  const opened: unknown[] = [];
  const commands = new CommandRegistry();
  commands.addCommand(CommandIDs.openRun, {
    describedBy: { args: { type: 'object', properties: { run: { type: 'string' } } } },
    execute: args => void opened.push(args.run)
  });
  const scores: Record<string, number> = { a: 0.7, b: 0.9, c: 0.8 };
  const drop = vi.fn();

  function show(runs: Run[]) {
    let known = sweep(runs);
    const store = {
      slug: 'p',
      project: { role: 'owner' },
      tracking: 'running',
      part: () => ({ value: known, problem: null }),
      drop
    } as unknown as IProjectStore;
    const asked: string[] = [];
    const himalia = {
      connection: 'live',
      store,
      request: (method: string, path: string) => {
        asked.push(`${method} ${path}`);
        const ids = [...path.matchAll(/runs=(\w+)/g)].map(([, id]) => id);
        const values = ids.map(id => scores[id]);
        const metric = { stage: 'fit', part: 'metric', name: 'score', values };
        return Promise.resolve({ runs: ids.map(id => run(id)), differences: [metric], same: [] });
      }
    } as unknown as IHimalia;
    Object.assign(himalia, { changed: new Signal<object, void>(himalia) });
    const element = () => (
      <SweepDocument {...{ himalia, commands, trans, store }} slug="p" id="sweep-01" />
    );
    const { rerender } = render(element());
    return {
      asked,
      now: (next: Run[]) => {
        known = sweep(next);
        rerender(element());
      }
    };
  }

  const column = (index: number) =>
    screen
      .getAllByRole('row')
      .slice(1)
      .map(row => within(row).getAllByRole('cell')[index].textContent);

  afterEach(cleanup);

  it('asks for the metrics of each run once, as runs end, and sorts by them', async () => {
    const going = { status: 'running', ended_at: null };
    const { asked, now } = show([run('a'), run('b'), run('c', going), run('d', going)]);
    await screen.findByRole('columnheader', { name: 'score' });
    expect(asked).toEqual(['GET projects/p/runs/compare?runs=a&runs=b']);
    expect(column(4)).toEqual(['0.7', '0.9', '–', '–']);

    now([run('a'), run('b'), run('c'), run('d', going)]);
    await screen.findByText('0.8');
    expect(asked.slice(1)).toEqual(['GET projects/p/runs/compare?runs=c&runs=c']);
    const head = screen.getByRole('button', { name: 'score' });
    fireEvent.click(head);
    expect(column(4)).toEqual(['0.7', '0.8', '0.9', '–']);
    fireEvent.click(head);
    expect(column(4)).toEqual(['0.9', '0.8', '0.7', '–']);
    expect(screen.getByRole('columnheader', { name: 'score' }).getAttribute('aria-sort')).toBe(
      'descending'
    );
  });

  it('draws a mark for each run that has the metric, told when it is focused, opened by a key', async () => {
    show([run('a'), run('b'), run('c')]);
    const mark = await screen.findByRole('button', {
      name: 'depth = 4, rate = 0.3: score 0.9, run b, succeeded'
    });
    act(() => mark.focus());
    expect(document.querySelector('figcaption')!.textContent).toContain('score 0.9');
    fireEvent.keyDown(mark, { key: 'Enter' });
    fireEvent.click(screen.getByRole('button', { name: 'run c' }));
    expect(opened).toEqual(['b', 'c']);
  });

  it('is not asked for any more when it is closed', () => {
    show([run('a')]);
    cleanup();
    expect(drop).toHaveBeenCalledOnce();
  });
});
