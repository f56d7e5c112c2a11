import type { Cluster, Deployment, Run, StageRun } from '../api/types';
import { hasEnded } from '../components/states';
import type { IServiceEvent } from './protocol';

/** Runs that a page keeps. */
export const RUNS_KEPT = 20;

/** What an event says about runs, put into the known ones. The same array when it says nothing new. */
export function reduceRuns(runs: readonly Run[], event: IServiceEvent): readonly Run[] {
  const index = runs.findIndex(run => run.id === event.subject);
  if (index < 0) {
    return runs;
  }
  const run = runs[index];
  const changed =
    event.topic === 'stages.ended'
      ? changeStages(run, event)
      : event.topic.startsWith('stage.')
        ? changeStage(run, event)
        : changeRun(run, event);
  if (changed === run) {
    return runs;
  }
  return [...runs.slice(0, index), changed, ...runs.slice(index + 1)];
}

function changeRun(run: Run, event: IServiceEvent): Run {
  if (hasEnded(run.status)) {
    return run;
  }
  switch (event.topic) {
    case 'run.started':
      return { ...run, status: 'running', started_at: run.started_at ?? event.at };
    case 'run.ended':
      return {
        ...run,
        status: text(event.data.status) ?? run.status,
        reason: text(event.data.reason),
        ended_at: event.at
      };
    case 'run.cancelling':
      return { ...run, reason: run.reason ?? 'being cancelled' };
    default:
      return run;
  }
}

function changeStage(run: Run, event: IServiceEvent): Run {
  const name = event.data.stage;
  const stage = run.stages.find(candidate => candidate.name === name);
  if (!stage || hasEnded(stage.status)) {
    return run; // an answer was ahead of the event
  }
  const changed = { ...stage, ...stageChange(stage, event) };
  return { ...run, stages: run.stages.map(other => (other === stage ? changed : other)) };
}

/** Many stages that ended at once: those that were up to date, or that were not reached. */
function changeStages(run: Run, event: IServiceEvent): Run {
  const told = Array.isArray(event.data.stages) ? (event.data.stages as unknown[]) : [];
  const ends = new Map<unknown, string>();
  for (const end of told as { stage?: unknown; status?: unknown }[]) {
    ends.set(end.stage, text(end.status) ?? '');
  }
  const stages = run.stages.map(stage => {
    const status = hasEnded(stage.status) ? undefined : ends.get(stage.name);
    return status ? { ...stage, status, ended_at: event.at } : stage;
  });
  return stages.some((stage, index) => stage !== run.stages[index]) ? { ...run, stages } : run;
}

function stageChange(stage: StageRun, event: IServiceEvent): Partial<StageRun> {
  const { data } = event;
  switch (event.topic) {
    case 'stage.progress':
      return {
        status: 'running',
        cell: Math.max(stage.cell, Number(data.cell) || 0),
        cells: Number(data.cells) || stage.cells,
        label: text(data.label)
      };
    case 'stage.waiting':
      return { status: text(data.status) ?? 'waiting', reason: text(data.reason) };
    case 'stage.started':
      return { status: 'running', reason: null, started_at: stage.started_at ?? event.at };
    case 'stage.attempt':
      return { attempts: Number(data.attempt) || stage.attempts, cell: 0, label: null };
    case 'stage.ended':
      return {
        status: text(data.status) ?? stage.status,
        error: text(data.error),
        hint: text(data.hint),
        ended_at: event.at
      };
    default:
      return {};
  }
}

/** A run read anew, put among the known ones, newest first. */
export function putRun(runs: readonly Run[], run: Run): readonly Run[] {
  const known = runs.find(other => other.id === run.id);
  const others = runs.filter(other => other.id !== run.id);
  return newest([...others, known ? ahead(known, run) : run]);
}

/** The list read anew. What is newer than all of it was made after it was asked for, and stays. */
export function putRuns(known: readonly Run[], answer: readonly Run[]): readonly Run[] {
  const last = Math.max(0, ...answer.map(run => run.created_at));
  const before = new Map(known.map(run => [run.id, run]));
  const merged = answer.map(run => ahead(before.get(run.id) ?? run, run));
  return newest([...known.filter(run => run.created_at > last), ...merged]);
}

function newest(runs: Run[]): readonly Run[] {
  return runs.sort((a, b) => b.created_at - a.created_at).slice(0, RUNS_KEPT);
}

/** An answer, with what events have told since it was made: an end, a cancelling, cells that were reached. */
function ahead(known: Run, answer: Run): Run {
  if (hasEnded(answer.status)) {
    return answer;
  }
  if (hasEnded(known.status)) {
    return known;
  }
  const stages = answer.stages.map(stage => {
    const before = known.stages.find(other => other.name === stage.name);
    return before && isAhead(before, stage) ? before : stage;
  });
  return { ...answer, reason: answer.reason ?? known.reason, stages };
}

function isAhead(known: StageRun, answer: StageRun): boolean {
  if (hasEnded(answer.status)) {
    return false;
  }
  return hasEnded(known.status) || (known.status === answer.status && known.cell > answer.cell);
}

/** A run's status with the cancelling that is not a status of its own. */
export function runState(run: Run): string {
  return !hasEnded(run.status) && run.reason ? 'cancelling' : run.status;
}

/** What an event says about clusters. */
export function reduceClusters(
  clusters: readonly Cluster[],
  event: IServiceEvent
): readonly Cluster[] {
  const { data, subject } = event;
  if (data.state === 'stopped') {
    return clusters.filter(cluster => cluster.name !== subject);
  }
  return clusters.map(cluster => {
    if (cluster.name !== subject) {
      return cluster;
    }
    if (event.topic === 'cluster.scaled') {
      return { ...cluster, wanted: Number(data.workers) };
    }
    return {
      ...cluster,
      state: text(data.state) ?? cluster.state,
      workers: typeof data.workers === 'number' ? data.workers : cluster.workers,
      wanted: typeof data.wanted === 'number' ? data.wanted : cluster.wanted,
      error: text(data.error)
    };
  });
}

/** What an event says about deployments. */
export function reduceDeployments(
  deployments: readonly Deployment[],
  event: IServiceEvent
): readonly Deployment[] {
  const { data, subject } = event;
  if (event.topic !== 'deployment.state') {
    return deployments;
  }
  if (data.state === 'deleted') {
    return deployments.filter(deployment => deployment.name !== subject);
  }
  return deployments.map(deployment =>
    deployment.name === subject
      ? {
          ...deployment,
          state: text(data.state) ?? deployment.state,
          error: text(data.error)
        }
      : deployment
  );
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
