import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { RequestError } from '../../api/request';
import type { Run } from '../../api/types';
import type { IHimalia, IProjectStore } from '../../tokens';
import PipelineSection from '../pipelineSection';
import { RunDocument } from '../runDocument';

const trans = nullTranslator.load('himalia');
const commands = new CommandRegistry();

function stage(name: string, change: object = {}) {
  return {
    name,
    status: 'pending',
    params: {},
    outputs: {},
    cached_from: null,
    attempts: 0,
    started_at: null,
    ended_at: null,
    ...change
  };
}

function run(change: Partial<Run> = {}): Run {
  return {
    id: 'run-0001',
    status: 'failed',
    created_by: 'ada',
    created_at: 1,
    started_at: 2,
    ended_at: 3,
    reason: null,
    stages: [stage('boom', { status: 'failed', error: 'no file' })],
    ...change
  } as Run;
}

function makeStore(change: object = {}): IProjectStore {
  const store = {
    slug: 'p',
    project: { role: 'owner', stages: [] },
    runs: { items: [run()], problem: null },
    part: () => ({ value: null, problem: null }),
    ...change
  };
  return Object.assign(store, {
    changed: new Signal<object, void>(store)
  }) as unknown as IProjectStore;
}

const start = vi.fn(() => Promise.resolve());

function makeHimalia(change: Partial<IHimalia>): IHimalia & { changed: Signal<object, void> } {
  const himalia = {
    connection: 'live',
    store: null,
    start,
    request: () => Promise.reject(new RequestError(404, 'There is no project p.')),
    ...change
  };
  return Object.assign(himalia, { changed: new Signal<object, void>(himalia) }) as never;
}

beforeEach(() => start.mockClear());
afterEach(cleanup);

describe('the document of a run', () => {
  const show = (himalia: IHimalia) =>
    render(
      <RunDocument himalia={himalia} commands={commands} trans={trans} slug="p" id="run-0001" />
    );

  it('says that the service is stopped, rather than that it loads, and starts it', () => {
    show(makeHimalia({ connection: 'stopped' }));
    expect(screen.queryByText(/Loading/)).toBeNull();
    fireEvent.click(screen.getByRole('button', { name: 'Start Himalia' }));
    expect(start).toHaveBeenCalledOnce();
  });

  it('keeps what it showed when the project goes, and says so', async () => {
    const himalia = makeHimalia({ store: makeStore() });
    show(himalia);
    expect(screen.getByText('no file')).toBeTruthy();
    Object.assign(himalia, { store: null });
    await act(async () => {
      himalia.changed.emit();
      await Promise.resolve();
    });
    expect(await screen.findByText('There is no project p.')).toBeTruthy();
    expect(screen.getByText('no file')).toBeTruthy();
  });
});

describe('a stage that was not run', () => {
  it('says why', () => {
    const store = makeStore({
      project: {
        role: 'owner',
        problem: null,
        stages: [{ name: 'late', notebook: 'late.ipynb', waits_for: [], params: {} }]
      },
      runs: {
        problem: null,
        items: [
          run({
            stages: [
              stage('late', {
                status: 'upstream_failed',
                error: 'not run, because boom did not succeed'
              })
            ] as never
          })
        ]
      }
    });
    render(<PipelineSection store={store} commands={commands} trans={trans} />);
    expect(screen.getByText('not run, because boom did not succeed')).toBeTruthy();
  });
});
