import { TranslationBundle } from '@jupyterlab/translation';

import type { Run, RunComparison, Sweep } from '../../api/types';
import { hasEnded, stateWord } from '../../components/states';
import { topMetrics } from '../../models/metrics';
import { runState } from '../../service/reduce';
import { seconds } from '../rows';

/** A parameter or a metric of a stage. */
export interface IName {
  stage: string;
  name: string;
  /** As short as it tells it from the others. */
  label: string;
}

/** Metrics of a run: "stage name" → value. */
export type Metrics = ReadonlyMap<string, number>;

/** One combination of values, and its run. */
export interface IPoint {
  /** From 1, in the sweep's order. */
  number: number;
  run: Run;
  /** In the order of the sweep's axes. */
  values: readonly unknown[];
  metrics: Metrics;
}

/** What a table is sorted by. */
export type SortKey = 'number' | 'state' | 'duration' | `value ${number}` | `metric ${string}`;

export interface ISort {
  by: SortKey;
  down: boolean;
}

/** The parameters that the runs differ in; all that were given when they differ in none. */
export function axesOf({ grid }: Pick<Sweep, 'grid'>): IName[] {
  const all = Object.entries(grid).flatMap(([stage, of]) =>
    Object.entries(of).map(([name, values]) => ({ stage, name, several: values.length > 1 }))
  );
  const some = all.filter(({ several }) => several);
  return labelled(some.length > 0 ? some : all);
}

/** How many runs the grid makes. */
export function sizeOf({ grid }: Pick<Sweep, 'grid'>): number {
  return Object.values(grid)
    .flatMap(of => Object.values(of))
    .reduce((all, values) => all * values.length, 1);
}

/** The sweep's points, as far as their runs are there. */
export function pointsOf(
  sweep: Sweep,
  axes: readonly IName[],
  metrics: ReadonlyMap<string, Metrics>
): IPoint[] {
  return sweep.runs.map((run, index) => ({
    number: index + 1,
    run,
    values: axes.map(({ stage, name }) => sweep.points[index]?.[stage]?.[name]),
    metrics: metrics.get(run.id) ?? new Map<string, number>()
  }));
}

/** All metrics of the points, the most telling first. */
export function metricsOf(points: readonly IPoint[]): IName[] {
  const names = new Map<string, Omit<IName, 'label'>>();
  for (const { metrics } of points) {
    for (const key of metrics.keys()) {
      const [stage, ...rest] = key.split(' ');
      names.set(key, { stage, name: rest.join(' ') });
    }
  }
  const ranks = Object.fromEntries([...names.values()].map(({ name }) => [name, 0]));
  const order = topMetrics(ranks, Infinity).map(({ name }) => name);
  const sorted = [...names.values()].sort(
    (a, b) => order.indexOf(a.name) - order.indexOf(b.name) || (a.stage < b.stage ? -1 : 1)
  );
  return labelled(sorted);
}

/** The metrics of each run of a comparison, by its id. */
export function readMetrics({ runs, differences, same }: RunComparison): Map<string, Metrics> {
  const found = new Map(runs.map(({ id }) => [id, new Map<string, number>()]));
  for (const { stage, part, name, values } of [...differences, ...same]) {
    if (part === 'metric' && stage !== null) {
      runs.forEach(({ id }, index) => {
        const value = values[index];
        if (typeof value === 'number') {
          found.get(id)?.set(metricKey({ stage, name }), value);
        }
      });
    }
  }
  return found;
}

/** What tells metrics apart: names of stages have no space. */
export function metricKey({ stage, name }: { stage: string; name: string }): string {
  return `${stage} ${name}`;
}

/** Whether a run may have metrics: a stage has an MLflow run, or the result of one that has. */
export function isTracked(run: Run): boolean {
  return (
    hasEnded(run.status) &&
    run.stages.some(stage => stage.tracking_run !== null || stage.cached_from !== null)
  );
}

/** The points in another order; what is not known comes last, whichever way. */
export function sortPoints(
  points: readonly IPoint[],
  { by, down }: ISort,
  trans: TranslationBundle
): IPoint[] {
  const value = (point: IPoint) => sortValue(point, by, trans);
  return [...points].sort((a, b) => {
    const [one, two] = [value(a), value(b)];
    if (one === null || two === null) {
      return Number(one === null) - Number(two === null) || a.number - b.number;
    }
    return (down ? -1 : 1) * compare(one, two) || a.number - b.number;
  });
}

/** A value of a parameter in a table or picture. */
export function valueText(value: unknown): string {
  return value === undefined ? '–' : typeof value === 'string' ? value : JSON.stringify(value);
}

/** The values of a point, in words: "depth = 4, rate = 0.1". */
export function pointLabel({ values }: IPoint, axes: readonly IName[]): string {
  return axes.map(({ label }, index) => `${label} = ${valueText(values[index])}`).join(', ');
}

function sortValue(point: IPoint, by: SortKey, trans: TranslationBundle): number | string | null {
  if (by === 'number') {
    return point.number;
  }
  if (by === 'state') {
    return stateWord(runState(point.run), trans);
  }
  if (by === 'duration') {
    return seconds(point.run);
  }
  const rest = by.slice(by.indexOf(' ') + 1);
  if (by.startsWith('metric ')) {
    return point.metrics.get(rest) ?? null;
  }
  const value = point.values[Number(rest)];
  return value === undefined ? null : typeof value === 'number' ? value : valueText(value);
}

function compare(one: number | string, two: number | string): number {
  return typeof one === 'number' && typeof two === 'number'
    ? one - two
    : String(one).localeCompare(String(two), undefined, { numeric: true });
}

/** Names with their stage where several stages have some. */
function labelled(names: readonly { stage: string; name: string }[]): IName[] {
  const one = new Set(names.map(({ stage }) => stage)).size < 2;
  return names.map(({ stage, name }) => ({ stage, name, label: one ? name : `${stage}.${name}` }));
}
