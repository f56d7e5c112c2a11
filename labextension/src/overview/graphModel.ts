import { Project, Run, Stage, StageRun } from '../api/types';

/** A stage as the graph shows it. */
export interface IGraphNode {
  name: string;
  notebook: string;
  cluster: string | null;
  /** Stages that it waits for. */
  after: readonly string[];
  /** What happened to it in the shown run; null without one. */
  stage: StageRun | null;
}

/** Files that go from one stage to another. */
export interface IGraphEdge {
  from: string;
  to: string;
  files: readonly string[];
}

/** The stages of the manifest, with what the run did to each. */
export function graphNodes(project: Project, run: Run | null): IGraphNode[] {
  const states = new Map(run?.stages.map(stage => [stage.name, stage]));
  return project.stages.map(stage => ({
    name: stage.name,
    notebook: stage.notebook,
    cluster: stage.cluster,
    after: stage.waits_for,
    stage: states.get(stage.name) ?? null
  }));
}

/** An edge for each stage that another waits for. */
export function graphEdges(project: { stages: readonly Stage[] }): IGraphEdge[] {
  const byName = new Map(project.stages.map(stage => [stage.name, stage]));
  return project.stages.flatMap(stage =>
    stage.waits_for.flatMap(name => {
      const source = byName.get(name);
      if (!source) {
        return [];
      }
      const files = source.outputs.filter(path => stage.inputs.some(input => covers(input, path)));
      return [{ from: name, to: stage.name, files }];
    })
  );
}

/** How far a stage is, from 0 to 1; null when that is not known. */
export function stageProgress(stage: StageRun | null): number | null {
  if (!stage || stage.status !== 'running' || stage.cells <= 0) {
    return null;
  }
  // the cell it is at has begun, not ended
  return Math.min(1, Math.max(0, (stage.cell - 0.5) / stage.cells));
}

/** Whether an input (a file, a folder, a pattern) takes a path in. */
function covers(input: string, path: string): boolean {
  if (input === path) {
    return true;
  }
  const folder = (text: string) => text.replace(/\/+$/, '') + '/';
  if (path.startsWith(folder(input)) || input.startsWith(folder(path))) {
    return true;
  }
  if (!input.includes('*')) {
    return false;
  }
  const escaped = input.replace(/[.+^${}()|[\]\\?]/g, '\\$&');
  const pattern = escaped.replace(/\*\*?/g, found => (found === '**' ? '.*' : '[^/]*'));
  return new RegExp(`^${pattern}$`).test(path);
}
