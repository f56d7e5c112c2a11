import type { Run, Stage, StageRun, StageStatus } from '../api/types';
import { hasEnded } from '../components/states';

/** A stage of the manifest with what is known of its runs. */
export interface IStageRow {
  stage: Stage;
  /** In the newest run; null when there is none, or the stage is newer than that run. */
  now: StageRun | null;
  /** Seconds that the stage took when it last succeeded. */
  lastSeconds: number | null;
  /** The newest run that has an executed notebook, or is about to: see `canOpen`. */
  executedIn: string | null;
  /** The newest run of all; it has the log of `now`. */
  run: string | null;
  /** The newest run goes on. */
  active: boolean;
  /** What a run would do now; null until it is known. */
  plan: StageStatus | null;
}

/** The pipeline's stages in their order, with state and last duration. Runs: newest first. */
export function stageRows(
  stages: readonly Stage[],
  all: readonly Run[],
  plan: ReadonlyMap<string, StageStatus> = new Map()
): IStageRow[] {
  const runs = pipelineRuns(all);
  return inOrder(stages).map(stage => {
    const records = runs.flatMap(run =>
      run.stages.filter(({ name }) => name === stage.name).map(record => ({ run, record }))
    );
    const newest = records[0]?.run === runs[0] ? records[0] : undefined;
    const planned = plan.get(stage.name) ?? null;
    const good = records.find(({ record }) => record.status === 'succeeded');
    const executed = records.find(({ record }) => canOpen(record));
    return {
      stage,
      now: newest?.record ?? null,
      lastSeconds: (good && seconds(good.record)) ?? planned?.last_seconds ?? null,
      executedIn: executed?.run.id ?? planned?.last_run ?? null,
      run: newest?.run.id ?? null,
      active: newest !== undefined && !hasEnded(newest.run.status),
      plan: planned
    };
  });
}

/** Stages with each one after those that it waits for; otherwise as the manifest has them. */
export function inOrder(stages: readonly Stage[]): Stage[] {
  const placed: Stage[] = [];
  let left = [...stages];
  while (left.length > 0) {
    const names = new Set(left.map(({ name }) => name));
    const next = left.find(({ waits_for: before }) => !before.some(name => names.has(name)));
    const chosen = next ?? left[0]; // a circle is told by the manifest's problem
    placed.push(chosen);
    left = left.filter(stage => stage !== chosen);
  }
  return placed;
}

/** The state word of a stage: what happens to it now or went wrong with it, else what a run would do. */
export function rowState({
  now,
  plan,
  active
}: Pick<IStageRow, 'now' | 'plan' | 'active'>): string {
  if (!now || !plan) {
    return now?.status ?? plan?.state ?? 'none';
  }
  const good = ['succeeded', 'skipped'].includes(now.status) && plan.state === 'up_to_date';
  return active || good || wentWrong(now.status) ? now.status : plan.state;
}

/** How long something took; null while it has not ended. */
export function seconds(timed: {
  started_at: number | null;
  ended_at: number | null;
}): number | null {
  return timed.started_at === null || timed.ended_at === null
    ? null
    : timed.ended_at - timed.started_at;
}

/** Runs of the pipeline: those of single notebooks, for a verification say, are no news of its stages. */
export function pipelineRuns(runs: readonly Run[]): readonly Run[] {
  return runs.filter(({ kind }) => kind !== 'notebook' && kind !== 'verification');
}

/** The newest run that has not ended. Runs: newest first. */
export function activeRun(runs: readonly Run[] | null): Run | null {
  return runs?.find(run => !hasEnded(run.status)) ?? null;
}

/** Clusters that stages name and that are not there. */
export function missingClusters(
  stages: readonly Stage[],
  clusters: readonly { name: string; state: string }[]
): string[] {
  const there = new Set(
    clusters.filter(({ state }) => state !== 'closing').map(({ name }) => name)
  );
  const wanted = stages.map(({ cluster }) => cluster).filter(name => name !== null);
  return [...new Set(wanted)].filter(name => !there.has(name));
}

/** Characters of an error that a row shows; a message may hold a whole table. */
const SUMMARY = 240;

/** An error as one sentence for the row, and the rest to unfold. */
export function splitError(error: string): { summary: string; rest: string } {
  const text = error.trim();
  const [line] = text.split('\n', 1);
  if (line.length > SUMMARY) {
    return { summary: `${line.slice(0, SUMMARY).trim()}…`, rest: text };
  }
  return { summary: line.trim(), rest: text.slice(line.length + 1).trim() };
}

/** Whether a stage has a notebook to show: the kept one, or as far as it is while the stage runs. */
export function canOpen({ notebook, status, cell }: StageRun): boolean {
  return notebook || (status === 'running' && cell > 0);
}

/** Whether a stage ended badly of its own accord. */
export function wentWrong(status: string): boolean {
  const fair = ['succeeded', 'skipped', 'cancelled', 'upstream_failed', 'not_run'];
  return hasEnded(status) && !fair.includes(status);
}
