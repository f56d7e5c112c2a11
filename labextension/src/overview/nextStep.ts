import { Deployment, Model, Project, Run, StageRun } from '../api/types';
import { CHAMPION, holder, latestModels, newestFirst } from '../models/versions';
import { pipelineRuns } from '../pipelines/rows';
import { IProjectStore } from '../tokens';

/** The one thing to do next in a project. */
export type NextStep =
  | { kind: 'loading' }
  | { kind: 'find-folder'; path: string }
  | { kind: 'mend-manifest'; problem: string }
  | { kind: 'no-stages' }
  | { kind: 'run'; missingCluster: string | null; again: boolean }
  | { kind: 'running'; run: Run; stage: StageRun | null; position: number }
  | { kind: 'cancelling'; run: Run }
  | { kind: 'failed'; run: Run; stage: StageRun | null }
  | { kind: 'confirm'; deployment: Deployment; version: string }
  | { kind: 'no-model' }
  | { kind: 'champion'; model: string; version: string }
  | { kind: 'deploy'; model: string; version: string }
  | { kind: 'deploying'; deployment: Deployment }
  | { kind: 'endpoint-failed'; deployment: Deployment }
  | { kind: 'ready'; deployment: Deployment; newer: { model: string; version: string } | null };

/** What `nextStep` looks at. */
export type StepSource = Pick<
  IProjectStore,
  'project' | 'runs' | 'clusters' | 'models' | 'deployments'
>;

/** Stages in these states were themselves at fault; others only suffered from them. */
const FAULTS = new Set(['failed', 'timed_out', 'kernel_died', 'lost']);
const ACTIVE = new Set(['pending', 'running']);

/** Find the next step: from a broken manifest, over the first run, to an endpoint that answers. */
export function nextStep(store: StepSource): NextStep {
  const { project } = store;
  if (project.missing) {
    return { kind: 'find-folder', path: project.path };
  }
  if (project.problem) {
    return { kind: 'mend-manifest', problem: project.problem };
  }
  if (project.stages.length === 0) {
    return { kind: 'no-stages' };
  }
  const { items } = store.runs;
  if (items === null) {
    return { kind: 'loading' };
  }
  const runs = pipelineRuns(items);
  return (runs.length > 0 && ofRun(runs[0])) || afterRun(store, runs[0] ?? null);
}

/** What the newest run asks for; null when it ended well, or was cancelled. */
function ofRun(run: Run): NextStep | null {
  if (ACTIVE.has(run.status)) {
    if (run.reason) {
      return { kind: 'cancelling', run };
    }
    const index = activeStage(run);
    return { kind: 'running', run, stage: run.stages[index] ?? null, position: index + 1 };
  }
  if (run.status !== 'succeeded' && run.status !== 'cancelled') {
    return { kind: 'failed', run, stage: faultyStage(run) };
  }
  return null;
}

function afterRun(store: StepSource, run: Run | null): NextStep {
  const { models, deployments, clusters, project } = store;
  if (models.items === null || deployments.items === null) {
    return { kind: 'loading' };
  }
  const waiting = deployments.items.find(item => item.requested_version);
  if (waiting?.requested_version) {
    return { kind: 'confirm', deployment: waiting, version: waiting.requested_version };
  }
  const model = latestModels(models.items).find(item => item.versions.length > 0);
  if (model) {
    return ofModel(model, deployments.items);
  }
  if (run?.status === 'succeeded') {
    return { kind: 'no-model' };
  }
  if (clusters.items === null) {
    return { kind: 'loading' };
  }
  const missingCluster = wantedClusters(project).find(
    name => !clusters.items?.some(cluster => cluster.name === name)
  );
  return { kind: 'run', missingCluster: missingCluster ?? null, again: run !== null };
}

function ofModel(model: Model, deployments: readonly Deployment[]): NextStep {
  const newest = newestFirst(model)[0];
  const champion = holder(model, CHAMPION);
  if (!champion) {
    return { kind: 'champion', model: model.name, version: newest.version };
  }
  const serving = deployments.filter(
    item => item.model_name === model.name && item.model_version === champion.version
  );
  const ready = serving.find(item => item.state === 'ready');
  if (ready) {
    const later = Number(newest.version) > Number(champion.version);
    const newer = later ? { model: model.name, version: newest.version } : null;
    return { kind: 'ready', deployment: ready, newer };
  }
  const failed = serving.find(item => item.state === 'failed');
  if (failed && serving.every(item => item.state === 'failed')) {
    return { kind: 'endpoint-failed', deployment: failed };
  }
  if (serving.length > 0) {
    const moving = serving.find(item => item.state !== 'failed') ?? serving[0];
    return { kind: 'deploying', deployment: moving };
  }
  return { kind: 'deploy', model: model.name, version: champion.version };
}

/** Clusters that stages name, each once. */
export function wantedClusters(project: Project): string[] {
  return [...new Set(project.stages.flatMap(stage => (stage.cluster ? [stage.cluster] : [])))];
}

/** The index of the stage that a running run is at. */
export function activeStage(run: Run): number {
  const running = run.stages.findIndex(stage => stage.status === 'running');
  if (running >= 0) {
    return running;
  }
  const next = run.stages.findIndex(
    stage => stage.status === 'waiting' || stage.status === 'pending'
  );
  return next >= 0 ? next : run.stages.length - 1;
}

/** The stage that made a run fail; null when none did (the run itself failed). */
export function faultyStage(run: Run): StageRun | null {
  return run.stages.find(stage => FAULTS.has(stage.status)) ?? null;
}
