import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { toProblem } from '../../api/problem';
import { at } from '../../api/request';
import type { Run, RunComparison } from '../../api/types';
import type { IHimalia, IProblem, IProjectStore } from '../../tokens';
import { isTracked, Metrics, readMetrics } from './model';

/** Runs that are asked about at a time. */
const BATCH = 10;

/** The metrics of the runs that have ended, by run. They are asked for batch by batch, each run once. */
export function useMetrics(
  himalia: IHimalia,
  store: IProjectStore,
  runs: readonly Run[],
  trans: TranslationBundle
): { metrics: ReadonlyMap<string, Metrics>; problem: IProblem | null } {
  const [metrics, setMetrics] = React.useState<ReadonlyMap<string, Metrics>>(new Map());
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const { slug } = store;
  const live = himalia.connection === 'live' && store.tracking === 'running';
  const next = runs
    .filter(run => isTracked(run) && !metrics.has(run.id))
    .slice(0, BATCH)
    .map(({ id }) => id)
    .join();
  React.useEffect(() => {
    if (!live || next === '') {
      return;
    }
    const ids = next.split(',');
    const asked = ids.length > 1 ? ids : [...ids, ...ids]; // a comparison is of two or more
    const query = asked.map(id => `runs=${encodeURIComponent(id)}`).join('&');
    // an answer holds also when more runs have ended since it was asked for
    himalia
      .request<RunComparison>('GET', `${at('projects', slug, 'runs', 'compare')}?${query}`)
      .then(
        answer => {
          setMetrics(before => new Map([...before, ...readMetrics(answer)]));
          setProblem(null);
        },
        (error: unknown) => setProblem(toProblem(error, trans))
      );
  }, [himalia, trans, slug, live, next]);
  return { metrics, problem };
}
